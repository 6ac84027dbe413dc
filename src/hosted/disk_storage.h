/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The bytes that a disk image lies in: a file or a block device of the host, behind a table of operations so that a
 * test can stand in for a host that loses what was not synced.
 *
 * Functions return 0 or a negative errno, may block, and may be called by several threads. A transfer that meets the
 * end of the file before storage->size is -EIO: somebody cut the file while it was in use.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/uio.h>

#include "base/error.h"

struct disk_storage;

enum storage_zero {
        STORAGE_DISCARD,      /* the bytes are of no interest any more; a hint */
        STORAGE_ZERO,         /* they read as zeroes, and keep their room where that can be had */
        STORAGE_ZERO_DISCARD, /* they read as zeroes, and need no room */
};

struct disk_storage_operations {
        ssize_t (*readv)(struct disk_storage *storage, const struct iovec *vector, int count, uint64_t offset);
        /* `durable`: on the medium when it returns. */
        ssize_t (*writev)(struct disk_storage *storage, const struct iovec *vector, int count, uint64_t offset,
                          bool durable);
        int (*sync)(struct disk_storage *storage);
        int (*resize)(struct disk_storage *storage, uint64_t size);
        int (*zero)(struct disk_storage *storage, uint64_t offset, uint64_t length, enum storage_zero how);
        void (*close)(struct disk_storage *storage);
};

struct disk_storage {
        const struct disk_storage_operations *operations;
        int fd; /* -1: none */
        bool block_device;
        uint64_t size; /* bytes */
};

/*
 * Opens `path` below the folder `dir` (AT_FDCWD: wherever it says), which with `beneath` it may not lead out of, and
 * locks it: against every other user where we may write, against writers where we read. The lock goes with the
 * descriptor, whatever ends the process.
 */
int disk_storage_open(struct disk_storage *storage, int dir, const char *path, bool read_only, bool beneath,
                      struct error *err);
void disk_storage_close(struct disk_storage *storage);

/* Whether both are the same file. */
bool disk_storage_same(const struct disk_storage *a, const struct disk_storage *b);

int disk_storage_readv(struct disk_storage *storage, const struct iovec *vector, unsigned count, uint64_t offset);
int disk_storage_writev(struct disk_storage *storage, const struct iovec *vector, unsigned count, uint64_t offset,
                        bool durable);
int disk_storage_read(struct disk_storage *storage, void *bytes, size_t length, uint64_t offset);
int disk_storage_write(struct disk_storage *storage, const void *bytes, size_t length, uint64_t offset);
int disk_storage_sync(struct disk_storage *storage);
/* The bytes that it grows by are zeroes. A block device has the size that it has: -ENOSPC. */
int disk_storage_resize(struct disk_storage *storage, uint64_t size);
int disk_storage_zero(struct disk_storage *storage, uint64_t offset, uint64_t length, enum storage_zero how);

/* The most parts that a vector of ours has. */
#define STORAGE_PARTS_MAX 264

/* Bytes [skip, skip + length) of a vector as another one, of at most `count` parts; returns how many. */
unsigned vector_slice(const struct iovec *vector, unsigned count, uint64_t skip, uint64_t length, struct iovec *slice);
uint64_t vector_length(const struct iovec *vector, unsigned count);
void vector_fill(const struct iovec *vector, unsigned count, uint8_t byte);
void vector_put(const struct iovec *vector, unsigned count, const void *bytes);
