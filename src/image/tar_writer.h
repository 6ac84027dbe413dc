/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Tar archives being written (pax where a header needs it, else plain ustar), to wherever the owner puts the bytes.
 */
#pragma once

#include <archive.h>
#include <archive_entry.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"

struct tar_writer {
        /* The bytes go here. */
        int (*write)(void *context, const void *data, size_t length, struct error *err);
        void *context;
        struct archive *archive; /* NULL: not open */
        bool failed;
        struct error err; /* of a write */
};

/* Begins an archive; `write` and `context` are set. The writer must not move until tar_writer_close(). */
int tar_writer_open(struct tar_writer *writer, struct error *err);
int tar_writer_header(struct tar_writer *writer, struct archive_entry *entry, struct error *err);
int tar_writer_data(struct tar_writer *writer, const void *data, size_t length, struct error *err);

/* A regular file (0644, of root, from 1970) whose data follows; a folder (0755) with a name that ends in "/". */
int tar_writer_member(struct tar_writer *writer, const char *name, uint64_t size, struct error *err);

/*
 * Ends the archive, unless `code` is an earlier failure (then *err is that one's). Returns code or the failure to end
 * it.
 */
int tar_writer_close(struct tar_writer *writer, int code, struct error *err);
