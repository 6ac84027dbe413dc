/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The members of a tar archive, one after the other: POSIX.1-2017 pax(1), "ustar Interchange Format" and "pax Extended
 * Header"; read also as GNU tar writes long names. For a program that must stay small; what it does not know (sparse
 * files, access lists) it refuses.
 *
 * Everything in a header is a stranger's: numbers are bounded, names too. Times are whole seconds.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"

#define TAR_BLOCK    512
#define TAR_NAME_MAX 4095 /* of a member, and of what a link leads to */

enum tar_kind {
        TAR_FILE = '0',
        TAR_HARD_LINK = '1',
        TAR_SYMBOLIC_LINK = '2',
        TAR_CHARACTER_DEVICE = '3',
        TAR_BLOCK_DEVICE = '4',
        TAR_FOLDER = '5',
        TAR_FIFO = '6',
};

struct tar_member {
        enum tar_kind kind;
        char name[TAR_NAME_MAX + 1], link[TAR_NAME_MAX + 1];
        unsigned mode, uid, gid, major, minor;
        int64_t time;  /* seconds since 1970 */
        uint64_t size; /* of a file's content, which follows the header */
};

/* Where an archive comes from or goes to. Returns 0 or a negative errno; a read gives exactly `length` bytes. */
struct tar_stream {
        void *owner;
        int (*read)(void *owner, void *bytes, size_t length);
        int (*write)(void *owner, const void *bytes, size_t length);
};

/*
 * Reads the next header with what extends it. The content and what fills its last block are then the caller's to read
 * (tar_padding()). Returns 1, 0 at the archive's end, or a negative errno: -EBADMSG for what is no such archive.
 */
int tar_read_header(const struct tar_stream *stream, struct tar_member *member, struct error *err);
/* Writes a header, and one that extends it where a name or a number is too long. -ENAMETOOLONG, or the stream's. */
int tar_write_header(const struct tar_stream *stream, const struct tar_member *member, struct error *err);
/* The two blocks of zeros at the end. */
int tar_write_end(const struct tar_stream *stream);

/* How many bytes follow a content of that size. */
static inline size_t tar_padding(uint64_t size)
{
        return (size_t)(-size & (TAR_BLOCK - 1));
}
