/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * An empty image: header, refcount table, one refcount block and the L1 table, one behind the other.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "hosted/qcow2_private.h"

#define CLUSTER_BITS      16
#define REFCOUNT_ORDER    4
#define BACKING_FORMAT    0xe2792acaU
#define FORMAT_LENGTH_MAX 8

/* The format's extension, the end of extensions, and the name; returns false where they do not fit. */
static bool put_backing(uint8_t *cluster, size_t room, const struct qcow2_creation *creation,
                        struct qcow2_raw_header *header)
{
        size_t at = sizeof(*header), name = creation->backing_file ? strlen(creation->backing_file) : 0;
        size_t format = creation->backing_format ? strlen(creation->backing_format) : 0;
        if (!name)
                return true;
        if (name > QCOW2_BACKING_NAME_MAX || format > FORMAT_LENGTH_MAX || at + 8 + FORMAT_LENGTH_MAX + 8 + name > room)
                return false;
        if (format) {
                const uint32_t extension[2] = { htobe32(BACKING_FORMAT), htobe32((uint32_t)format) };
                memcpy(cluster + at, extension, sizeof(extension));
                memcpy(cluster + at + 8, creation->backing_format, format);
                at += 8 + FORMAT_LENGTH_MAX;
        }
        at += 8; /* the end of extensions is zeroes */
        memcpy(cluster + at, creation->backing_file, name);
        header->backing_offset = htobe64(at);
        header->backing_length = htobe32((uint32_t)name);
        return true;
}

int qcow2_create(struct disk_storage *storage, const struct qcow2_creation *creation, struct error *err)
{
        unsigned bits = creation->cluster_bits ? creation->cluster_bits : CLUSTER_BITS;
        if (bits < QCOW2_CLUSTER_BITS_MIN || bits > QCOW2_CLUSTER_BITS_MAX)
                return error_set(err, -EINVAL, "a qcow2 image has clusters of 2^%d to 2^%d bytes, not 2^%u",
                                 QCOW2_CLUSTER_BITS_MIN, QCOW2_CLUSTER_BITS_MAX, bits);
        uint64_t cluster = 1ULL << bits, per_table = cluster * (cluster / sizeof(uint64_t));
        uint64_t l1 = creation->size / per_table + !!(creation->size % per_table);
        uint64_t l1_clusters = (l1 * sizeof(uint64_t) + cluster - 1) >> bits, used = 3 + l1_clusters;
        if (!creation->size || creation->size % 512 || creation->size > INT64_MAX ||
            l1 * sizeof(uint64_t) > QCOW2_L1_BYTES_MAX || used > cluster / sizeof(uint16_t))
                return error_set(err, -EINVAL, "a qcow2 image cannot have %" PRIu64 " bytes in clusters of %" PRIu64,
                                 creation->size, cluster);
        struct qcow2_raw_header header = {
                .magic = htobe32(QCOW2_MAGIC),
                .version = htobe32(3),
                .cluster_bits = htobe32(bits),
                .size = htobe64(creation->size),
                .l1_entries = htobe32((uint32_t)l1),
                .l1_offset = htobe64(3 * cluster),
                .refcount_offset = htobe64(cluster),
                .refcount_clusters = htobe32(1),
                .refcount_order = htobe32(REFCOUNT_ORDER),
                .header_length = htobe32(sizeof(header)),
        };
        _cleanup_free_ uint8_t *bytes = calloc(3, cluster);
        if (!bytes)
                return error_memory(err);
        if (!put_backing(bytes, cluster, creation, &header))
                return error_set(err, -ENAMETOOLONG, "the name of the backing file is too long: %s",
                                 creation->backing_file);
        memcpy(bytes, &header, sizeof(header));
        *(uint64_t *)(void *)(bytes + cluster) = htobe64(2 * cluster);
        for (uint64_t i = 0; i < used; i++)
                ((uint16_t *)(void *)(bytes + 2 * cluster))[i] = htobe16(1);
        int r = disk_storage_resize(storage, used << bits);
        if (!r)
                r = disk_storage_write(storage, bytes, 3 * cluster, 0);
        if (!r)
                r = disk_storage_sync(storage);
        return r < 0 ? error_code(err, r, "cannot write the image") : 0;
}
