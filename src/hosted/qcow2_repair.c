/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Repair of an image whose last writer did not close it: all references are counted, and the refcounts corrected.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "hosted/qcow2_private.h"

/* Of the file: 256 TiB in clusters of 1 MiB, 16 TiB in those of 64 KiB. */
#define CLUSTERS_MAX (1ULL << 28)

struct census {
        struct qcow2 *image;
        uint16_t *counts;
        uint64_t clusters;
        uint64_t *table; /* one L2 table */
        bool lies;       /* a reference that leads nowhere */
};

static void refer(struct census *census, uint64_t offset, uint64_t length)
{
        unsigned bits = census->image->cluster_bits;
        if (!length)
                return;
        for (uint64_t cluster = offset >> bits; cluster <= (offset + length - 1) >> bits; cluster++) {
                if (cluster >= census->clusters || census->counts[cluster] == UINT16_MAX) {
                        census->lies = true;
                        return;
                }
                census->counts[cluster]++;
        }
}

static void count_entry(struct census *census, uint64_t entry)
{
        struct qcow2 *image = census->image;
        uint64_t offset, length;
        if (entry & QCOW2_IS_COMPRESSED) {
                if (qcow2_compressed_range(image, entry, &offset, &length) < 0) {
                        census->lies = true;
                        return;
                }
                /* The sectors that it may use can go on behind the end of the file. */
                uint64_t end = census->clusters << image->cluster_bits;
                refer(census, offset, length < end - offset ? length : end - offset);
                return;
        }
        offset = entry & QCOW2_OFFSET_MASK;
        if (offset && !qcow2_offset_valid(image, offset, image->cluster_size))
                census->lies = true;
        else if (offset)
                refer(census, offset, image->cluster_size);
}

static int count_map(struct census *census, const uint64_t *l1, uint64_t entries)
{
        struct qcow2 *image = census->image;
        for (uint64_t i = 0; i < entries; i++) {
                uint64_t offset = be64toh(l1[i]) & QCOW2_OFFSET_MASK;
                if (census->lies) /* no repair: and tables that all refer to one another are read without end */
                        return 0;
                if (!offset)
                        continue;
                if (!qcow2_offset_valid(image, offset, image->cluster_size)) {
                        census->lies = true;
                        continue;
                }
                refer(census, offset, image->cluster_size);
                int r = disk_storage_read(image->storage, census->table, image->cluster_size, offset);
                if (r < 0)
                        return r;
                for (uint64_t j = 0; j < image->cluster_size / sizeof(uint64_t); j++)
                        count_entry(census, be64toh(census->table[j]));
        }
        return 0;
}

static int count_snapshot_map(struct census *census, uint64_t offset, uint32_t entries)
{
        struct qcow2 *image = census->image;
        uint64_t length = entries * sizeof(uint64_t);
        if (length > QCOW2_L1_BYTES_MAX || !qcow2_offset_valid(image, offset, length)) {
                census->lies = true;
                return 0;
        }
        _cleanup_free_ uint64_t *l1 = malloc(length + 1);
        int r = l1 ? disk_storage_read(image->storage, l1, length, offset) : -ENOMEM;
        refer(census, offset, length);
        return r ? r : count_map(census, l1, entries);
}

/* Section "Snapshots": entries one after the other, each with its length inside. */
static int count_snapshots(struct census *census)
{
        struct qcow2 *image = census->image;
        uint64_t start = image->header.snapshots_offset, at = start;
        if (image->header.snapshots && !qcow2_offset_valid(image, start, 1)) {
                census->lies = true;
                return 0;
        }
        for (uint32_t i = 0; i < image->header.snapshots; i++) {
                struct __attribute__((packed)) {
                        uint64_t l1_offset;
                        uint32_t l1_entries;
                        uint16_t id_length, name_length;
                        uint8_t times[20];
                        uint32_t extra_length;
                } entry;
                _Static_assert(sizeof(entry) == 40, "the layout of section \"Snapshots\"");
                int r = disk_storage_read(image->storage, &entry, sizeof(entry), at);
                if (!r)
                        r = count_snapshot_map(census, be64toh(entry.l1_offset), be32toh(entry.l1_entries));
                if (r < 0 || census->lies)
                        return r;
                uint64_t length = sizeof(entry) + (uint64_t)be32toh(entry.extra_length) + be16toh(entry.id_length) +
                                  be16toh(entry.name_length);
                at += (length + 7) & ~7ULL;
                if (at - start > QCOW2_SNAPSHOT_BYTES_MAX || at > image->storage->size) {
                        census->lies = true;
                        return 0;
                }
        }
        refer(census, start, at - start);
        return 0;
}

static void count_refcounts(struct census *census)
{
        struct qcow2 *image = census->image;
        const struct qcow2_table *table = &image->refcount_table;
        refer(census, table->offset, table->entries * sizeof(uint64_t));
        for (uint64_t i = 0; i < table->entries; i++) {
                uint64_t offset = be64toh(table->entry[i]) & QCOW2_OFFSET_MASK;
                if (offset && !qcow2_offset_valid(image, offset, image->cluster_size))
                        census->lies = true;
                else if (offset)
                        refer(census, offset, image->cluster_size);
        }
}

static int correct(struct census *census)
{
        for (uint64_t cluster = 0; cluster < census->clusters; cluster++) {
                uint64_t stored;
                int r = qcow2_refcount_get(census->image, cluster, &stored);
                if (!r && stored != census->counts[cluster])
                        r = qcow2_refcount_set(census->image, cluster, census->counts[cluster]);
                if (r < 0)
                        return r;
        }
        return qcow2_commit(census->image, true);
}

int qcow2_repair(struct qcow2 *image, struct error *err)
{
        struct census census = { .image = image, .clusters = qcow2_clusters(image, image->storage->size) };
        if (census.clusters > CLUSTERS_MAX)
                return error_set(err, -EFBIG,
                                 "was not closed, and is too large to be repaired here; "
                                 "`qemu-img check -r all` does it");
        _cleanup_free_ uint16_t *counts = census.counts = calloc(census.clusters, sizeof(*counts));
        _cleanup_free_ uint64_t *table = census.table = malloc(image->cluster_size);
        if (!counts || !table)
                return error_memory(err);
        refer(&census, 0, image->cluster_size);
        count_refcounts(&census);
        refer(&census, image->l1.offset, image->l1.entries * sizeof(uint64_t));
        int r = count_map(&census, image->l1.entry, image->l1.entries);
        if (!r)
                r = count_snapshots(&census);
        if (!r && census.lies)
                r = -EBADMSG;
        if (!r)
                r = correct(&census);
        if (r == -EBADMSG)
                return error_set(err, r,
                                 "was not closed, and its tables lead outside its file; "
                                 "`qemu-img check -r all` may repair it");
        return r < 0 ? error_code(err, r, "cannot be repaired after its last writer did not close it") : 0;
}
