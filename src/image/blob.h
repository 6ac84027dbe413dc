/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Blobs: the store's content, each a file named by the digest of its bytes.
 *
 * A blob is written under a temporary name while its digest is made, and takes its final name when digest and size are
 * right and its bytes are on the disk. Nothing under a final name is ever changed.
 */
#pragma once

#include <stdint.h>

#include "base/error.h"
#include "image/adding.h"
#include "image/digest.h"

#define BLOB_SIZE_UNKNOWN UINT64_MAX

struct blob_writer {
        struct adding *adding;
        int fd;
        char name[24]; /* in the folder of `adding` */
        struct digester digester;
};

int blob_create(struct adding *adding, struct blob_writer *writer, struct error *err);
int blob_write(struct blob_writer *writer, const void *data, size_t length, struct error *err);
/*
 * Gives the blob its final name; *digest says which. `expected` (may be NULL) is what the digest must be: -EBADMSG otherwise.
 * The writer is closed in any case.
 */
int blob_finish(struct blob_writer *writer, const struct digest *expected, struct digest *digest, struct error *err);
/* Drops what was written. Does nothing after blob_finish(). */
void blob_abandon(struct blob_writer *writer);

/* A blob from memory, the whole way. */
int blob_store(struct adding *adding, const void *data, size_t length, struct digest *digest, struct error *err);

/* Opens a blob for reading: only its size is checked here (BLOB_SIZE_UNKNOWN: not even that). */
int blob_open(struct store *store, const struct digest *digest, uint64_t size, struct error *err);

/* Reads a whole blob of at most `limit` bytes and checks its digest; the caller frees *data. `what` says what it is, in errors. */
int blob_read(struct store *store, const struct digest *digest, uint64_t size, const char *what, size_t limit,
              char **data, size_t *length, struct error *err);
/* As blob_read(), parsed as JSON. */
int blob_read_json(struct store *store, const struct digest *digest, uint64_t size, const char *what, json_t **document,
                   struct error *err);
