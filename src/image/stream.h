/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The bytes of a file that may be compressed (gzip, bzip2, xz, lzma, zstd, lz4), read once: digested as they stand in
 * the file and as they come out, and bounded on their way, so that a small file cannot fill a disk.
 */
#pragma once

#include <archive.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/cleanup.h"
#include "base/error.h"
#include "image/blob.h"
#include "image/digest.h"

/* What may come out of one stream. */
struct stream_limits {
        uint64_t bytes; /* at most so many */
        bool any_ratio; /* the user said how many: then the ratio to what went in tells nothing more */
};

#define STREAM_BYTES_DEFAULT (UINT64_C(32) << 30)

struct stream;

/*
 * `fd` stays the caller's and must outlive the stream; `what` names it in errors and is borrowed. With `copy` (may be
 * NULL) the bytes are also written to that blob: as they stand in the file where a layer may be compressed so, else as
 * they come out.
 */
int stream_open(int fd, const char *what, const struct stream_limits *limits, struct blob_writer *copy,
                struct stream **stream, struct error *err);
void stream_close(struct stream *stream);
DEFINE_CLEANUP(stream, struct stream, stream_close)
#define _cleanup_stream_ _cleanup_(stream)

/*
 * What a layer is called that has the file's bytes (manifest.h); as a plain tar archive where it must not be compressed
 * so.
 */
const char *stream_media_type(const struct stream *stream);

/* The next bytes: *length 0 at the end. *data is valid until the next call. */
int stream_read(struct stream *stream, const void **data, size_t *length, struct error *err);

/* Reads both sides to their end. *input is the digest of the file, *output of what came out; each may be NULL. */
int stream_finish(struct stream *stream, struct digest *input, struct digest *output, struct error *err);
/* Bytes that have come out so far. */
uint64_t stream_length(const struct stream *stream);

/*
 * The tar archive in a stream: entries by archive_read_next_header() of *tar, to be released with archive_read_free()
 * before the stream. tar_error() turns a failure of it into ours.
 */
int tar_open(struct stream *stream, struct archive **tar, struct error *err);
int tar_error(struct stream *stream, struct archive *tar, const char *entry, struct error *err);
DEFINE_CLEANUP(archive, struct archive, archive_free)
#define _cleanup_archive_ _cleanup_(archive)
