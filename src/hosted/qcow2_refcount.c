/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Which clusters of the file are in use, and how often: section "Host cluster management".
 *
 * What is counted up in memory may be written at any time: at worst a cluster is counted and not used. What is counted
 * down was given up on the medium before. So a full cache of refcounts is simply written.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "hosted/qcow2_private.h"

/* The file grows by so many clusters at once; what is left over goes when it is closed. */
#define GROWTH 64

static uint64_t per_block(const struct qcow2 *image)
{
        return image->cluster_size * 8 >> image->header.refcount_order;
}

static uint64_t read_count(const uint8_t *bytes, uint64_t index, unsigned order)
{
        switch (order) {
        case 3: return bytes[index];
        case 4: return be16toh(((const uint16_t *)(const void *)bytes)[index]);
        case 5: return be32toh(((const uint32_t *)(const void *)bytes)[index]);
        case 6: return be64toh(((const uint64_t *)(const void *)bytes)[index]);
        default: { /* several in a byte, the first in its lowest bits */
                uint64_t bit = index << order;
                return bytes[bit / 8] >> bit % 8 & ((1U << (1U << order)) - 1);
        }
        }
}

static void write_count(uint8_t *bytes, uint64_t index, unsigned order, uint64_t count)
{
        switch (order) {
        case 3: bytes[index] = (uint8_t)count; break;
        case 4: ((uint16_t *)(void *)bytes)[index] = htobe16((uint16_t)count); break;
        case 5: ((uint32_t *)(void *)bytes)[index] = htobe32((uint32_t)count); break;
        case 6: ((uint64_t *)(void *)bytes)[index] = htobe64(count); break;
        default: {
                uint64_t bit = index << order;
                unsigned mask = (1U << (1U << order)) - 1;
                bytes[bit / 8] = (uint8_t)((bytes[bit / 8] & ~(mask << bit % 8)) | (unsigned)count << bit % 8);
        }
        }
}

static uint64_t count_max(const struct qcow2 *image)
{
        unsigned bits = 1U << image->header.refcount_order;
        return bits == 64 ? UINT64_MAX : (1ULL << bits) - 1;
}

/* The offset of a block in the file, 0 if there is none. */
static int block_offset(const struct qcow2 *image, uint64_t cluster, uint64_t *offset)
{
        uint64_t block = cluster / per_block(image);
        *offset = 0;
        if (block >= image->refcount_table.entries)
                return 0;
        *offset = be64toh(image->refcount_table.entry[block]) & QCOW2_OFFSET_MASK;
        return *offset && !qcow2_offset_valid(image, *offset, image->cluster_size) ? -EIO : 0;
}

/* The slice with a cluster's count, and its place there. NULL: no block, so all of it is free. */
static int slice_of(struct qcow2 *image, uint64_t cluster, struct qcow2_slice **slice, uint64_t *index)
{
        uint64_t block, order = image->header.refcount_order;
        uint64_t per_slice = (8ULL << image->slice_bits) >> order;
        *slice = NULL;
        *index = cluster % per_slice;
        int r = block_offset(image, cluster, &block);
        if (r < 0 || !block)
                return r;
        uint64_t at = block + (cluster % per_block(image) / per_slice << image->slice_bits);
        r = qcow2_cache_get(image, &image->refcounts, at, slice);
        if (r == -EAGAIN)
                r = qcow2_cache_write(image, &image->refcounts);
        return r < 0 || *slice ? r : qcow2_cache_get(image, &image->refcounts, at, slice);
}

int qcow2_refcount_get(struct qcow2 *image, uint64_t cluster, uint64_t *count)
{
        struct qcow2_slice *slice;
        uint64_t index;
        int r = slice_of(image, cluster, &slice, &index);
        *count = !r && slice ? read_count(slice->bytes, index, image->header.refcount_order) : 0;
        return r;
}

/* ---- Blocks and the table of them ---- */

static int extend(struct qcow2 *image, uint64_t clusters)
{
        uint64_t size = clusters << image->cluster_bits;
        if (clusters > UINT64_MAX >> (image->cluster_bits + 8))
                return -EFBIG;
        if (size <= image->storage->size)
                return 0;
        /* A step ahead, where there is one: a call for each cluster would cost as much as its data. */
        uint64_t step = (clusters + GROWTH) << image->cluster_bits;
        int r = disk_storage_resize(image->storage, image->storage->block_device ? size : step);
        return r == -EFBIG ? disk_storage_resize(image->storage, size) : r;
}

static int set_in_block(struct qcow2 *image, uint64_t cluster, uint64_t count)
{
        struct qcow2_slice *slice;
        uint64_t index;
        int r = slice_of(image, cluster, &slice, &index);
        if (r < 0 || !slice)
                return r < 0 ? r : -EIO;
        write_count(slice->bytes, index, image->header.refcount_order, count);
        slice->dirty = true;
        return 0;
}

/* A cluster of zeroes that is to become a table. */
static int clear_cluster(struct qcow2 *image, uint64_t cluster)
{
        uint64_t at = cluster << image->cluster_bits;
        int r = extend(image, cluster + 1);
        if (at + image->cluster_size > image->used_end)
                image->used_end = at + image->cluster_size;
        /* Written and not a hole: tables must not meet a full file system later. */
        memset(image->scratch, 0, QCOW2_SCRATCH);
        for (uint64_t done = 0; !r && done < image->cluster_size; done += QCOW2_SCRATCH)
                r = disk_storage_write(image->storage, image->scratch,
                                       image->cluster_size < QCOW2_SCRATCH ? image->cluster_size : QCOW2_SCRATCH,
                                       at + done);
        qcow2_cache_forget(image, &image->refcounts, at);
        qcow2_cache_forget(image, &image->tables, at);
        return r;
}

static void put_block(struct qcow2 *image, uint64_t block, uint64_t cluster)
{
        image->refcount_table.entry[block] = htobe64(cluster << image->cluster_bits);
        qcow2_table_changed(&image->refcount_table, block);
}

/* The block that counts `cluster` is made in that cluster: all that it counts was free. */
static int make_block(struct qcow2 *image, uint64_t cluster)
{
        int r = clear_cluster(image, cluster);
        if (r < 0)
                return r;
        put_block(image, cluster / per_block(image), cluster);
        return set_in_block(image, cluster, 1);
}

/* All that the table can count is in use: a larger one behind it, with the blocks that count it and themselves. */
static int grow_table(struct qcow2 *image)
{
        struct qcow2_table *table = &image->refcount_table;
        uint64_t first = table->entries * per_block(image);
        uint64_t old_clusters = image->header.refcount_clusters;
        uint64_t clusters = old_clusters + old_clusters / 2 + 1, blocks = 1;
        while (blocks * per_block(image) < blocks + clusters)
                blocks++;
        if (clusters << image->cluster_bits > QCOW2_REFCOUNT_BYTES_MAX || image->old_refcount_offset)
                return -EFBIG;
        uint64_t *entry = calloc(clusters, image->cluster_size);
        if (!entry)
                return -ENOMEM;
        int r = extend(image, first + blocks + clusters);
        for (uint64_t i = 0; !r && i < blocks + clusters; i++)
                r = clear_cluster(image, first + i);
        if (r < 0) {
                free(entry);
                return r;
        }
        memcpy(entry, table->entry, table->entries * sizeof(*entry));
        free(table->entry);
        image->old_refcount_offset = table->offset;
        *table = (struct qcow2_table){ .offset = (first + blocks) << image->cluster_bits,
                                       .entries = clusters * (image->cluster_size / sizeof(*entry)),
                                       .entry = entry };
        image->header.refcount_offset = table->offset;
        image->header.refcount_clusters = (uint32_t)clusters;
        for (uint64_t i = 0; i < blocks; i++)
                put_block(image, first / per_block(image) + i, first + i);
        for (uint64_t i = 0; !r && i < blocks + clusters; i++)
                r = set_in_block(image, first + i, 1);
        /* Given back when the header points to the new one: see qcow2_commit(). */
        if (!r)
                r = qcow2_free_later(image, image->old_refcount_offset, old_clusters);
        image->broken = r < 0; /* half a table must not reach the medium */
        return r;
}

int qcow2_refcount_set(struct qcow2 *image, uint64_t cluster, uint64_t count)
{
        uint64_t block;
        int r = count > count_max(image) ? -EOVERFLOW : block_offset(image, cluster, &block);
        if (!r && !block && !count)
                return 0;
        if (!r && !block && cluster / per_block(image) >= image->refcount_table.entries)
                r = grow_table(image);
        if (!r && !block)
                r = block_offset(image, cluster, &block);
        if (!r && !block) /* only a repair counts where no block is: it looks for one in what is free */
                r = -EIO;
        if (!r && count < 1 && cluster < image->free_hint)
                image->free_hint = cluster;
        return r ? r : set_in_block(image, cluster, count);
}

/* ---- Taking and giving back ---- */

/* The first cluster from the hint on that is free and counted by a block; blocks are made on the way. */
static int find_free(struct qcow2 *image, uint64_t *found)
{
        for (uint64_t cluster = image->free_hint;; cluster++) {
                uint64_t block, count;
                /* Nothing beyond the end of the file is in use, whatever the refcounts say. */
                int r = cluster > qcow2_clusters(image, image->storage->size) + GROWTH
                                ? -EIO
                                : block_offset(image, cluster, &block);
                if (!r && !block && cluster / per_block(image) >= image->refcount_table.entries) {
                        r = grow_table(image);
                        if (!r)
                                r = block_offset(image, cluster, &block);
                }
                if (!r && !block) {
                        r = make_block(image, cluster);
                        if (!r)
                                continue;
                }
                if (!r)
                        r = qcow2_refcount_get(image, cluster, &count);
                if (r < 0)
                        return r;
                if (!count) {
                        *found = image->free_hint = cluster;
                        return 0;
                }
        }
}

int qcow2_allocate(struct qcow2 *image, uint64_t wanted, uint64_t *offset, uint64_t *got, bool *fresh)
{
        uint64_t first, known = image->storage->block_device ? UINT64_MAX : qcow2_clusters(image, image->used_end);
        int r = find_free(image, &first);
        *got = 0;
        while (!r && *got < wanted) {
                uint64_t cluster = first + *got, block, count = 1;
                r = block_offset(image, cluster, &block);
                if (!r && block)
                        r = qcow2_refcount_get(image, cluster, &count);
                /* All of one kind: either beyond what the file ever had, or not. */
                if (r < 0 || count || (*got && (cluster >= known) != (first >= known)))
                        break;
                r = extend(image, cluster + 1);
                if (!r)
                        r = set_in_block(image, cluster, 1);
                if (!r)
                        ++*got;
        }
        if (!*got)
                return r ? r : -ENOSPC;
        uint64_t end = (first + *got) << image->cluster_bits;
        *offset = first << image->cluster_bits;
        *fresh = first >= known;
        if (end > image->used_end)
                image->used_end = end;
        image->free_hint = first + *got;
        for (uint64_t i = 0; i < *got; i++) {
                qcow2_cache_forget(image, &image->tables, *offset + (i << image->cluster_bits));
                qcow2_cache_forget(image, &image->refcounts, *offset + (i << image->cluster_bits));
        }
        return 0;
}

void qcow2_unallocate(struct qcow2 *image, uint64_t offset, uint64_t clusters)
{
        uint64_t first = offset >> image->cluster_bits;
        for (uint64_t i = 0; i < clusters; i++)
                (void)qcow2_refcount_set(image, first + i, 0); /* at worst it stays counted */
}

int qcow2_free_later(struct qcow2 *image, uint64_t offset, uint64_t clusters)
{
        struct qcow2_frees *frees = &image->frees;
        struct qcow2_free *last = frees->count ? &frees->entries[frees->count - 1] : NULL;
        uint64_t first = offset >> image->cluster_bits;
        if (last && last->cluster + last->count == first) {
                last->count += clusters;
                return 0;
        }
        if (frees->count == frees->room) {
                size_t room = frees->room ? frees->room * 2 : 64;
                struct qcow2_free *entries = realloc(frees->entries, room * sizeof(*entries));
                if (!entries)
                        return -ENOMEM;
                frees->entries = entries;
                frees->room = room;
        }
        frees->entries[frees->count++] = (struct qcow2_free){ first, clusters };
        return 0;
}
