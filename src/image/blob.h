/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Blobs: the store's content, each a file named by the digest of its bytes.
 *
 * A blob is written under a temporary name while its digest is made, and takes its final name when digest and size are
 * right and its bytes are on the disk. Nothing under a final name is ever changed.
 */
#pragma once

#include <jansson.h>
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
/* A blob that is written and known, but not yet the store's: it goes with the command unless blob_keep() keeps it. */
struct blob_file {
        char name[24]; /* in the folder of `adding` */
        struct digest digest;
        uint64_t size;
};

/* Ends the writing. The writer is closed in any case. */
int blob_seal(struct blob_writer *writer, struct blob_file *file, struct error *err);
/* Brings the blob to the disk and gives it its final name. Keeping it twice is no error. */
int blob_keep(struct adding *adding, const struct blob_file *file, struct error *err);

/*
 * blob_seal() and blob_keep(); *digest is its name then. `expected` (may be NULL) is what the digest must be: -EBADMSG
 * otherwise.
 */
int blob_finish(struct blob_writer *writer, const struct digest *expected, struct digest *digest, struct error *err);
/* Drops what was written. Does nothing after blob_seal() and blob_finish(). */
void blob_abandon(struct blob_writer *writer);

/* A blob from memory, the whole way. */
int blob_store(struct adding *adding, const void *data, size_t length, struct digest *digest, struct error *err);

/* Opens a blob for reading: only its size is checked here (BLOB_SIZE_UNKNOWN: not even that). */
int blob_open(struct store *store, const struct digest *digest, uint64_t size, struct error *err);

/*
 * Reads a whole blob of at most `limit` bytes and checks its digest; the caller frees *data. `what` says what it is, in
 * errors.
 */
int blob_read(struct store *store, const struct digest *digest, uint64_t size, const char *what, size_t limit,
              char **data, size_t *length, struct error *err);
/* As blob_read(), parsed as JSON. */
int blob_read_json(struct store *store, const struct digest *digest, uint64_t size, const char *what, json_t **document,
                   struct error *err);
