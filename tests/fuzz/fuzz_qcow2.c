/* SPDX-License-Identifier: GPL-2.0-or-later */
/* A hostile qcow2 image: opened, repaired, read, written and closed. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "hosted/qcow2.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define ROOM (1U << 20)

static uint8_t file[ROOM];
static uint64_t file_size;

static ssize_t fuzz_readv(struct disk_storage *storage, const struct iovec *vector, int count, uint64_t offset)
{
        ssize_t done = 0;
        (void)storage;
        for (int i = 0; i < count && offset < file_size; i++) {
                size_t piece =
                        vector[i].iov_len < file_size - offset ? vector[i].iov_len : (size_t)(file_size - offset);
                memcpy(vector[i].iov_base, file + offset, piece);
                offset += piece;
                done += (ssize_t)piece;
        }
        return done;
}

static ssize_t fuzz_writev(struct disk_storage *storage, const struct iovec *vector, int count, uint64_t offset,
                           bool durable)
{
        uint64_t length = vector_length(vector, (unsigned)count);
        (void)storage;
        (void)durable;
        if (offset > ROOM || length > ROOM - offset)
                return -ENOSPC;
        for (int i = 0; i < count; i++) {
                memcpy(file + offset, vector[i].iov_base, vector[i].iov_len);
                offset += vector[i].iov_len;
        }
        file_size = offset > file_size ? offset : file_size;
        return (ssize_t)length;
}

static int fuzz_sync(struct disk_storage *storage)
{
        (void)storage;
        return 0;
}

static int fuzz_resize(struct disk_storage *storage, uint64_t size)
{
        (void)storage;
        if (size > ROOM)
                return -EFBIG;
        if (size < file_size)
                memset(file + size, 0, file_size - size);
        file_size = size;
        return 0;
}

static int fuzz_zero(struct disk_storage *storage, uint64_t offset, uint64_t length, enum storage_zero how)
{
        (void)storage;
        (void)how;
        if (offset > ROOM || length > ROOM - offset)
                return -EINVAL;
        memset(file + offset, 0, length);
        return 0;
}

static void fuzz_close(struct disk_storage *storage)
{
        (void)storage;
}

static const struct disk_storage_operations operations = { fuzz_readv,  fuzz_writev, fuzz_sync,
                                                           fuzz_resize, fuzz_zero,   fuzz_close };

static void read_all(struct qcow2 *image)
{
        static uint8_t bytes[65536];
        uint64_t size = qcow2_size(image);
        for (uint64_t at = 0, turns = 0; at < size && turns < 256; turns++) {
                struct qcow2_extent extent;
                uint64_t length = size - at < sizeof(bytes) ? size - at : sizeof(bytes);
                const struct iovec whole = { bytes, length };
                struct iovec piece;
                qcow2_hold(image);
                int r = qcow2_map(image, at, length, &extent);
                if (!r && (!extent.length || extent.length > length))
                        abort();
                if (!r && extent.kind == QCOW2_COMPRESSED && vector_slice(&whole, 1, 0, extent.length, &piece))
                        (void)qcow2_read_compressed(image, &extent, at, &piece, 1);
                qcow2_release(image);
                at += r ? 512 : extent.length;
        }
}

/* The first bytes say what is done, the rest is the image. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
        static uint8_t bytes[32768];
        struct disk_storage storage = { .operations = &operations, .fd = -1 };
        struct qcow2 *image;
        struct error err = { 0 };
        if (size < 8 || size - 8 > ROOM / 2)
                return 0;
        memset(file, 0, sizeof(file));
        memcpy(file, data + 8, size - 8);
        storage.size = file_size = size - 8;
        if (qcow2_open(&storage, "fuzz", data[0] & 1, &image, &err) < 0)
                return 0;
        read_all(image);
        for (unsigned i = 1; !(data[0] & 1) && i < 8; i++) {
                uint64_t length = 512 * (1 + data[i] % 64), at = data[i] * 7919ULL * 512;
                if (at + length > qcow2_size(image))
                        continue;
                if (data[i] % 4 == 0)
                        (void)qcow2_zero(image, at, length, data[i] & 4);
                else if (data[i] % 4 == 1)
                        (void)qcow2_discard(image, at, length);
                else
                        (void)qcow2_write(image, &(struct iovec){ bytes, length }, 1, at);
                if (data[i] % 5 == 0)
                        (void)qcow2_flush(image);
        }
        read_all(image);
        (void)qcow2_close(image);
        return 0;
}
