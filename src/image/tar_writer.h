/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Tar archives being written (pax where a header needs it, else plain ustar), to wherever a sink puts the bytes.
 */
#pragma once

#include <archive.h>
#include <archive_entry.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"

struct tar_sink {
        int (*write)(void *context, const void *data, size_t length, struct error *err);
        void *context;
        struct error err; /* of a write that libarchive asked for */
};

/* The sink must outlive the archive. */
int tar_writer_open(struct tar_sink *sink, struct archive **tar, struct error *err);
int tar_writer_header(struct archive *tar, struct archive_entry *entry, struct error *err);
int tar_writer_data(struct archive *tar, const void *data, size_t length, struct error *err);

/* A regular file (0644, of root, from 1970) whose data follows; a folder (0755) with a name that ends in "/". */
int tar_writer_member(struct archive *tar, const char *name, uint64_t size, struct error *err);

/* Ends the archive, unless `code` is an earlier failure (then *err is that one's). Returns code or the failure to end it. */
int tar_writer_close(struct archive *tar, struct tar_sink *sink, int code, struct error *err);
