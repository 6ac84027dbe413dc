/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A file in memory for tests of disk images, which dies after so many changes, and of what was not synced then keeps
 * what the test chooses: all (the process was killed) or any sectors (the host lost its power).
 */
#pragma once

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "hosted/disk_storage.h"

#define CRASH_ROOM   (8U << 20)
#define CRASH_SECTOR 512U

struct crash_storage {
        struct disk_storage storage;
        uint8_t *now, *synced;
        uint64_t now_size, synced_size;
        unsigned changes, dies_after; /* 0: never */
        bool full;                    /* nothing beyond `room` can be written */
        uint64_t room;
};

static struct crash_storage *crash_of(struct disk_storage *storage)
{
        return (struct crash_storage *)(void *)storage;
}

static bool crash_dies(struct crash_storage *file)
{
        return file->dies_after && ++file->changes > file->dies_after;
}

static ssize_t crash_readv(struct disk_storage *storage, const struct iovec *vector, int count, uint64_t offset)
{
        struct crash_storage *file = crash_of(storage);
        ssize_t done = 0;
        for (int i = 0; i < count && offset < file->now_size; i++) {
                size_t piece = vector[i].iov_len;
                if (piece > file->now_size - offset)
                        piece = (size_t)(file->now_size - offset);
                memcpy(vector[i].iov_base, file->now + offset, piece);
                offset += piece;
                done += (ssize_t)piece;
        }
        return done;
}

static ssize_t crash_writev(struct disk_storage *storage, const struct iovec *vector, int count, uint64_t offset,
                            bool durable)
{
        struct crash_storage *file = crash_of(storage);
        (void)durable;
        uint64_t length = vector_length(vector, (unsigned)count);
        if (crash_dies(file))
                return -EIO;
        if (offset + length > (file->full ? file->room : CRASH_ROOM))
                return -ENOSPC;
        for (int i = 0; i < count; i++) {
                memcpy(file->now + offset, vector[i].iov_base, vector[i].iov_len);
                offset += vector[i].iov_len;
        }
        if (offset > file->now_size)
                file->now_size = offset;
        return (ssize_t)length;
}

static int crash_sync(struct disk_storage *storage)
{
        struct crash_storage *file = crash_of(storage);
        if (crash_dies(file))
                return -EIO;
        memcpy(file->synced, file->now, CRASH_ROOM);
        file->synced_size = file->now_size;
        return 0;
}

static int crash_resize(struct disk_storage *storage, uint64_t size)
{
        struct crash_storage *file = crash_of(storage);
        if (crash_dies(file))
                return -EIO;
        if (size > CRASH_ROOM)
                return -EFBIG;
        if (size < file->now_size)
                memset(file->now + size, 0, file->now_size - size);
        file->now_size = size;
        return 0;
}

static int crash_zero(struct disk_storage *storage, uint64_t offset, uint64_t length, enum storage_zero how)
{
        struct crash_storage *file = crash_of(storage);
        (void)how;
        if (crash_dies(file))
                return -EIO;
        memset(file->now + offset, 0, length);
        return 0;
}

static void crash_close(struct disk_storage *storage)
{
        (void)storage;
}

static const struct disk_storage_operations crash_operations = {
        .readv = crash_readv,
        .writev = crash_writev,
        .sync = crash_sync,
        .resize = crash_resize,
        .zero = crash_zero,
        .close = crash_close,
};

static inline void crash_open(struct crash_storage *file)
{
        *file = (struct crash_storage){ .storage = { .operations = &crash_operations, .fd = -1 } };
        file->now = calloc(1, CRASH_ROOM);
        file->synced = calloc(1, CRASH_ROOM);
}

static inline void crash_free(struct crash_storage *file)
{
        free(file->now);
        free(file->synced);
}

/* What is there after the crash. `seed` 0: all that was written; otherwise which of the sectors not synced are. */
static inline void crash_revive(struct crash_storage *file, uint64_t seed)
{
        for (uint64_t at = 0; seed && at < CRASH_ROOM; at += CRASH_SECTOR) {
                if (!memcmp(file->now + at, file->synced + at, CRASH_SECTOR))
                        continue;
                seed = seed * 6364136223846793005ULL + 1442695040888963407ULL;
                if (seed >> 63)
                        memcpy(file->now + at, file->synced + at, CRASH_SECTOR);
        }
        file->dies_after = 0;
        file->storage.size = file->now_size;
}
