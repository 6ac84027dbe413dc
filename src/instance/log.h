/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The log of an instance: what its program wrote on standard output and error, one entry a line, as the CRI writes
 * logs:
 *
 *   2026-01-02T03:04:05.678901234Z stdout F the whole line
 *
 * P instead of F: part of a line, the line feed comes in a later entry. The monitor alone writes: log is the newest
 * file, log.1, log.2 … the ones before. A file that would outgrow max-size is renamed, never truncated, so a reader
 * that has it open still sees its tail. Readers need no lock: entries are whole when they end in a line feed.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <time.h>

#include "base/error.h"

/* ---- Writing ---- */

struct log_writer {
        int folder;         /* borrowed */
        int fd;             /* -1: nothing is kept (log driver none) */
        uint64_t size;      /* of the newest file */
        uint64_t size_max;  /* 0: no rotation */
        unsigned files_max; /* newest included, from 1 */
        bool open_line[2];  /* the last entry of the stream was a part: [0] stdout, [1] stderr */
};

/* Log files are made with 0640. */
int log_open(struct log_writer *log, int folder, uint64_t size_max, unsigned files_max, struct error *err);
/* Appends what the program wrote; stream 1 or 2. Returns 0 or a negative errno; what did not fit on a full disk is
 * lost, never half. */
int log_append(struct log_writer *log, int stream, const char *data, size_t length);
void log_close(struct log_writer *log);

/* ---- Reading ---- */

struct log_entry {
        struct timespec time;
        int stream;       /* 1 or 2 */
        bool whole;       /* a line feed follows */
        const char *text; /* not NUL-terminated */
        size_t length;
};
/* Parses one line (without its line feed). -EBADMSG where it is not an entry. */
int log_parse(const char *line, size_t length, struct log_entry *entry);

struct instance;
struct log_query {
        bool follow;
        int64_t tail;                 /* the last n lines; -1: all */
        struct timespec since, until; /* { 0 }: no bound */
        bool no_stdout, no_stderr;
};
/*
 * Calls `each` for every entry wanted, oldest first; with `follow` until the instance has exited. A return other than 0
 * of `each` ends the walk and is returned. Entries that cannot be parsed are passed over.
 */
int log_read(struct instance *instance, const struct log_query *query,
             int (*each)(const struct log_entry *entry, void *context), void *context, struct error *err);

/* "10m" ago, RFC 3339 or seconds since the epoch (with a fraction), as docker's --since. -EINVAL. */
int log_parse_time(const char *text, struct timespec *time);
