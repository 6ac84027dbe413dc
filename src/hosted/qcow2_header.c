/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "hosted/qcow2_private.h"

/* Section "Header extensions". */
enum {
        EXTENSION_END = 0,
        EXTENSION_BACKING_FORMAT = 0xe2792aca,
};

#define COMPRESSION_DEFLATE 0
#define COMPRESSION_ZSTD    1

bool qcow2_recognise(const void *start, size_t length)
{
        const struct qcow2_raw_header *raw = start;
        return length >= sizeof(uint32_t) && be32toh(raw->magic) == QCOW2_MAGIC;
}

bool qcow2_offset_valid(const struct qcow2 *image, uint64_t offset, uint64_t length)
{
        uint64_t end = qcow2_clusters(image, image->storage->size) << image->cluster_bits;
        return offset >= image->cluster_size && !(offset & (image->cluster_size - 1)) && offset <= end &&
               length <= end - offset;
}

static void to_host(const struct qcow2_raw_header *raw, struct qcow2_raw_header *header)
{
        *header = (struct qcow2_raw_header){
                .magic = be32toh(raw->magic),
                .version = be32toh(raw->version),
                .backing_offset = be64toh(raw->backing_offset),
                .backing_length = be32toh(raw->backing_length),
                .cluster_bits = be32toh(raw->cluster_bits),
                .size = be64toh(raw->size),
                .encryption = be32toh(raw->encryption),
                .l1_entries = be32toh(raw->l1_entries),
                .l1_offset = be64toh(raw->l1_offset),
                .refcount_offset = be64toh(raw->refcount_offset),
                .refcount_clusters = be32toh(raw->refcount_clusters),
                .snapshots = be32toh(raw->snapshots),
                .snapshots_offset = be64toh(raw->snapshots_offset),
                .refcount_order = 4, /* version 2 has no choice */
                .header_length = QCOW2_HEADER_V2,
        };
        if (header->version < 3)
                return;
        header->incompatible = be64toh(raw->incompatible);
        header->compatible = be64toh(raw->compatible);
        header->autoclear = be64toh(raw->autoclear);
        header->refcount_order = be32toh(raw->refcount_order);
        header->header_length = be32toh(raw->header_length);
        if (header->header_length > QCOW2_HEADER_V3)
                header->compression = raw->compression;
}

static const struct {
        uint64_t bit;
        const char *text;
} refused[] = {
        { QCOW2_INCOMPATIBLE_CORRUPT, "is marked as corrupt; `qemu-img check -r all` may repair it" },
        { QCOW2_INCOMPATIBLE_DATA_FILE, "keeps its data in another file, which onggi does not read; "
                                        "`qemu-img convert` makes one image of both" },
        { QCOW2_INCOMPATIBLE_EXTENDED, "has extended L2 entries, which onggi does not read; "
                                       "`qemu-img convert` makes an image without" },
};

static int check_features(const struct qcow2 *image, const char *name, struct error *err)
{
        const struct qcow2_raw_header *header = &image->header;
        uint64_t known = QCOW2_INCOMPATIBLE_DIRTY | QCOW2_INCOMPATIBLE_COMPRESSION;
        for (size_t i = 0; i < sizeof(refused) / sizeof(refused[0]); i++)
                if (header->incompatible & refused[i].bit)
                        return error_set(err, -ENOTSUP, "disk %s %s", name, refused[i].text);
        if (header->incompatible & ~known)
                return error_set(err, -ENOTSUP, "disk %s needs features of qcow2 that onggi does not know: 0x%" PRIx64,
                                 name, header->incompatible & ~known);
        if (header->encryption)
                return error_set(err, -ENOTSUP, "disk %s is encrypted, which onggi does not read", name);
        if (header->compression > COMPRESSION_ZSTD ||
            !!(header->incompatible & QCOW2_INCOMPATIBLE_COMPRESSION) != (header->compression != COMPRESSION_DEFLATE))
                return error_set(err, -ENOTSUP, "disk %s is compressed in a way that onggi does not know: %u", name,
                                 header->compression);
        if (!image->read_only && (header->autoclear & QCOW2_AUTOCLEAR_BITMAPS))
                return error_set(err, -ENOTSUP,
                                 "disk %s has persistent bitmaps, which writes would falsify; "
                                 "`qemu-img bitmap --remove` takes them off",
                                 name);
        return 0;
}

static int check_header(struct qcow2 *image, const char *name, struct error *err)
{
        const struct qcow2_raw_header *header = &image->header;
        if (header->magic != QCOW2_MAGIC)
                return error_set(err, -EINVAL, "disk %s is not a qcow2 image", name);
        if (header->version != 2 && header->version != 3)
                return error_set(err, -ENOTSUP, "disk %s is a qcow2 image of version %u; onggi reads 2 and 3", name,
                                 header->version);
        if (header->cluster_bits < QCOW2_CLUSTER_BITS_MIN || header->cluster_bits > QCOW2_CLUSTER_BITS_MAX)
                return error_set(err, -EINVAL, "disk %s has clusters of 2^%u bytes; 2^%d to 2^%d are allowed", name,
                                 header->cluster_bits, QCOW2_CLUSTER_BITS_MIN, QCOW2_CLUSTER_BITS_MAX);
        if (header->version == 3 && (header->header_length < QCOW2_HEADER_V3 || header->header_length % 8 ||
                                     header->header_length > 1U << header->cluster_bits))
                return error_set(err, -EINVAL, "disk %s has a header of %u bytes", name, header->header_length);
        if (header->refcount_order > 6)
                return error_set(err, -EINVAL, "disk %s has refcounts of 2^%u bits", name, header->refcount_order);
        image->cluster_bits = header->cluster_bits;
        image->cluster_size = 1ULL << header->cluster_bits;
        image->slice_bits = header->cluster_bits < 12 ? header->cluster_bits : 12;
        return check_features(image, name, err);
}

/* Tables whose size the header gives: they lie in the file and are as large as the disk needs. */
static int check_tables(const struct qcow2 *image, const char *name, struct error *err)
{
        const struct qcow2_raw_header *header = &image->header;
        uint64_t per_table = image->cluster_size * (image->cluster_size / sizeof(uint64_t));
        uint64_t needed = header->size / per_table + !!(header->size % per_table);
        uint64_t refcounts = (uint64_t)header->refcount_clusters << image->cluster_bits;
        if (!header->size || header->size % 512 || header->size > INT64_MAX)
                return error_set(err, -EINVAL, "disk %s has %" PRIu64 " bytes, which is no whole number of sectors",
                                 name, header->size);
        if (needed > QCOW2_L1_BYTES_MAX / sizeof(uint64_t) || header->l1_entries < needed ||
            header->l1_entries > QCOW2_L1_BYTES_MAX / sizeof(uint64_t) ||
            !qcow2_offset_valid(image, header->l1_offset, header->l1_entries * sizeof(uint64_t)))
                return error_set(err, -EINVAL, "disk %s has an L1 table that does not fit its size or its file", name);
        if (refcounts > QCOW2_REFCOUNT_BYTES_MAX || !refcounts ||
            !qcow2_offset_valid(image, header->refcount_offset, refcounts))
                return error_set(err, -EINVAL, "disk %s has a refcount table that lies outside its file", name);
        if (header->snapshots > QCOW2_SNAPSHOTS_MAX)
                return error_set(err, -EINVAL, "disk %s claims to have %u snapshots", name, header->snapshots);
        return 0;
}

static char *text_at(const uint8_t *bytes, size_t length)
{
        return memchr(bytes, 0, length) ? NULL : strndup((const char *)bytes, length);
}

/* The first cluster, as far as the file has it: extensions and the name of the backing image. */
static int read_rest(struct qcow2 *image, const uint8_t *cluster, const char *name, struct error *err)
{
        const struct qcow2_raw_header *header = &image->header;
        uint64_t end = image->cluster_size;
        if (header->backing_offset) {
                if (!header->backing_length || header->backing_length > QCOW2_BACKING_NAME_MAX ||
                    header->backing_length > end || header->backing_offset < header->header_length ||
                    header->backing_offset > end - header->backing_length)
                        return error_set(err, -EINVAL, "disk %s names its backing file outside its header", name);
                end = header->backing_offset;
                image->backing_file = text_at(cluster + header->backing_offset, header->backing_length);
                if (!image->backing_file)
                        return error_set(err, -EINVAL, "disk %s has no readable name of its backing file", name);
        }
        for (uint64_t at = header->header_length; at + 8 <= end;) {
                uint32_t type, length;
                memcpy(&type, cluster + at, 4);
                memcpy(&length, cluster + at + 4, 4);
                type = be32toh(type);
                length = be32toh(length);
                if (type == EXTENSION_END)
                        break;
                at += 8;
                if (length > end - at)
                        return error_set(err, -EINVAL, "disk %s has a header extension that does not end", name);
                if (type == EXTENSION_BACKING_FORMAT && !image->backing_format)
                        image->backing_format = text_at(cluster + at, length);
                at += (length + 7) & ~7U;
        }
        return 0;
}

int qcow2_header_read(struct qcow2 *image, const char *name, struct error *err)
{
        struct qcow2_raw_header raw = { 0 };
        uint64_t size = image->storage->size;
        size_t first = size < sizeof(raw) ? (size_t)size : sizeof(raw);
        int r = first < QCOW2_HEADER_V2 ? 0 : disk_storage_read(image->storage, &raw, first, 0);
        if (r < 0)
                return error_code(err, r, "cannot read disk %s", name);
        to_host(&raw, &image->header);
        r = check_header(image, name, err);
        if (!r)
                r = check_tables(image, name, err);
        if (r < 0)
                return r;
        uint8_t *cluster = calloc(1, image->cluster_size);
        if (!cluster)
                return error_memory(err);
        r = disk_storage_read(image->storage, cluster, size < image->cluster_size ? size : image->cluster_size, 0);
        r = r < 0 ? error_code(err, r, "cannot read disk %s", name) : read_rest(image, cluster, name, err);
        free(cluster);
        return r;
}

int qcow2_header_mark(struct qcow2 *image, bool dirty)
{
        struct qcow2_raw_header *header = &image->header;
        if (header->version < 3)
                return 0;
        uint64_t incompatible =
                (header->incompatible & ~QCOW2_INCOMPATIBLE_DIRTY) | (dirty ? QCOW2_INCOMPATIBLE_DIRTY : 0);
        /* Features of a kind that a writer who does not know them clears. */
        const uint64_t features[3] = { htobe64(incompatible), htobe64(header->compatible), 0 };
        int r = disk_storage_write(image->storage, features, sizeof(features),
                                   offsetof(struct qcow2_raw_header, incompatible));
        if (!r)
                r = disk_storage_sync(image->storage);
        if (!r) {
                header->incompatible = incompatible;
                header->autoclear = 0;
        }
        return r;
}

int qcow2_header_set_refcount_table(struct qcow2 *image)
{
        struct __attribute__((packed)) {
                uint64_t offset;
                uint32_t clusters;
        } fields = { htobe64(image->header.refcount_offset), htobe32(image->header.refcount_clusters) };
        return disk_storage_write(image->storage, &fields, sizeof(fields),
                                  offsetof(struct qcow2_raw_header, refcount_offset));
}
