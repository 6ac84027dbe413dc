/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The map from clusters of the disk to clusters of the file: section "Cluster mapping".
 */
#include <errno.h>
#include <string.h>

#include "hosted/qcow2_private.h"

unsigned qcow2_slice_entries(const struct qcow2 *image)
{
        return (1U << image->slice_bits) / sizeof(uint64_t);
}

static unsigned l2_bits(const struct qcow2 *image)
{
        return image->cluster_bits - 3; /* entries of 8 bytes, a cluster of them */
}

/* Where the entry of a cluster stands in the file; 0: its table is not there. */
static int entry_offset(const struct qcow2 *image, uint64_t cluster, uint64_t *at)
{
        uint64_t index = cluster >> l2_bits(image);
        *at = 0;
        if (index >= image->l1.entries)
                return -EIO;
        uint64_t table = be64toh(image->l1.entry[index]) & QCOW2_OFFSET_MASK;
        if (!table)
                return 0;
        if (!qcow2_offset_valid(image, table, image->cluster_size))
                return -EIO;
        *at = table + (cluster & ((1ULL << l2_bits(image)) - 1)) * sizeof(uint64_t);
        return 0;
}

/* cache_lock is held. */
static int read_entry(struct qcow2 *image, uint64_t at, uint64_t *entry)
{
        struct qcow2_slice *slice;
        int r = qcow2_cache_get(image, &image->tables, at, &slice);
        if (r == -EAGAIN) /* no place for it, and so it is on the medium as it is */
                r = disk_storage_read(image->storage, entry, sizeof(*entry), at);
        else if (!r)
                memcpy(entry, slice->bytes + (at & ((1U << image->slice_bits) - 1)), sizeof(*entry));
        *entry = be64toh(*entry);
        return r;
}

int qcow2_entry(struct qcow2 *image, uint64_t cluster, uint64_t *entry)
{
        uint64_t at;
        *entry = 0;
        int r = entry_offset(image, cluster, &at);
        if (r < 0 || !at)
                return r;
        pthread_mutex_lock(&image->cache_lock);
        r = read_entry(image, at, entry);
        pthread_mutex_unlock(&image->cache_lock);
        return r;
}

/* Data that lies over the header or the tables that we know of: whoever made the image wants a guest to write them. */
static bool is_table(const struct qcow2 *image, uint64_t offset)
{
        const struct qcow2_table *tables[] = { &image->l1, &image->refcount_table };
        for (unsigned i = 0; i < 2; i++) {
                uint64_t length = tables[i]->entries * sizeof(uint64_t);
                if (length && offset + image->cluster_size > tables[i]->offset && offset < tables[i]->offset + length)
                        return true;
        }
        return false;
}

int qcow2_compressed_range(const struct qcow2 *image, uint64_t entry, uint64_t *offset, uint64_t *length)
{
        /* Section "Compressed Clusters Descriptor". */
        unsigned bits = 62 - (image->cluster_bits - 8);
        uint64_t sectors = (entry & ~(3ULL << 62)) >> bits;
        *offset = entry & ((1ULL << bits) - 1);
        *length = (sectors + 1) * 512 - (*offset & 511);
        return *offset < image->cluster_size || *offset >= image->storage->size ||
                               *length > 2 * image->cluster_size + 512
                       ? -EIO
                       : 0;
}

int qcow2_classify(const struct qcow2 *image, uint64_t entry, struct qcow2_extent *extent)
{
        uint64_t offset, length;
        *extent = (struct qcow2_extent){ .kind = QCOW2_BELOW };
        if (entry & QCOW2_IS_COMPRESSED) {
                *extent = (struct qcow2_extent){ .kind = QCOW2_COMPRESSED, .host = entry };
                return qcow2_compressed_range(image, entry, &offset, &length);
        }
        offset = entry & QCOW2_OFFSET_MASK;
        if (offset && (!qcow2_offset_valid(image, offset, image->cluster_size) || is_table(image, offset)))
                return -EIO;
        if (image->header.version >= 3 && (entry & QCOW2_IS_ZERO))
                extent->kind = QCOW2_ZERO;
        else if (offset)
                *extent = (struct qcow2_extent){ .kind = QCOW2_DATA, .host = offset };
        return 0;
}

/* One cluster after the other, as long as they go on as the first one. */
int qcow2_map(struct qcow2 *image, uint64_t offset, uint64_t length, struct qcow2_extent *extent)
{
        uint64_t within = offset & (image->cluster_size - 1), covered = 0;
        for (uint64_t cluster = offset >> image->cluster_bits; covered < within + length; cluster++) {
                struct qcow2_extent next;
                uint64_t entry;
                int r = qcow2_entry(image, cluster, &entry);
                if (!r)
                        r = qcow2_classify(image, entry, &next);
                if (r < 0 && !covered)
                        return r;
                if (covered && (r < 0 || next.kind != extent->kind || next.kind == QCOW2_COMPRESSED ||
                                (next.kind == QCOW2_DATA && next.host != extent->host + covered)))
                        break;
                if (!covered)
                        *extent = next;
                covered += image->cluster_size;
        }
        extent->length = covered - within < length ? covered - within : length;
        if (extent->kind == QCOW2_DATA)
                extent->host += within;
        return 0;
}

/* ---- Changing it ---- */

/* A table that a snapshot holds too is copied; one that is not there is made. */
static int own_table(struct qcow2 *image, uint64_t index)
{
        uint64_t old = be64toh(image->l1.entry[index]), from = old & QCOW2_OFFSET_MASK, to, got;
        bool fresh;
        if (from && (old & QCOW2_COPIED))
                return 0;
        int r = qcow2_allocate(image, 1, &to, &got, &fresh);
        if (r < 0)
                return r;
        memset(image->scratch, 0, QCOW2_SCRATCH);
        size_t piece = image->cluster_size < QCOW2_SCRATCH ? image->cluster_size : QCOW2_SCRATCH;
        for (uint64_t done = 0; !r && done < image->cluster_size; done += piece) {
                if (from)
                        r = disk_storage_read(image->storage, image->scratch, piece, from + done);
                if (!r)
                        r = disk_storage_write(image->storage, image->scratch, piece, to + done);
        }
        if (r < 0) {
                qcow2_unallocate(image, to, 1);
                return r;
        }
        image->l1.entry[index] = htobe64(to | QCOW2_COPIED);
        qcow2_table_changed(&image->l1, index);
        return from ? qcow2_free_later(image, from, 1) : 0;
}

int qcow2_own_slice(struct qcow2 *image, uint64_t cluster, struct qcow2_slice **slice, unsigned *index)
{
        uint64_t at;
        int r = entry_offset(image, cluster, &at);
        if (!r)
                r = own_table(image, cluster >> l2_bits(image));
        if (!r)
                r = entry_offset(image, cluster, &at);
        if (r < 0)
                return r;
        r = qcow2_cache_get(image, &image->tables, at, slice);
        if (r == -EAGAIN) {
                r = qcow2_commit(image, false);
                if (!r)
                        r = qcow2_cache_get(image, &image->tables, at, slice);
        }
        *index = (unsigned)(cluster % qcow2_slice_entries(image));
        return r;
}
