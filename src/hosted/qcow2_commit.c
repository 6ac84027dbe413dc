/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The order in which changed tables reach the medium.
 */
#include <errno.h>
#include <stdlib.h>

#include "hosted/qcow2_private.h"

void qcow2_table_changed(struct qcow2_table *table, uint64_t index)
{
        bool none = table->dirty_from == table->dirty_to;
        if (none || index < table->dirty_from)
                table->dirty_from = index;
        if (none || index + 1 > table->dirty_to)
                table->dirty_to = index + 1;
}

static bool changed(const struct qcow2_table *table)
{
        return table->dirty_from != table->dirty_to;
}

static int write_table(struct qcow2 *image, struct qcow2_table *table)
{
        size_t size = sizeof(*table->entry);
        int r = !changed(table) ? 0
                                : disk_storage_write(image->storage, table->entry + table->dirty_from,
                                                     (table->dirty_to - table->dirty_from) * size,
                                                     table->offset + table->dirty_from * size);
        if (!r)
                table->dirty_from = table->dirty_to = 0;
        return r;
}

/* Refcount blocks before the table that points to them, a table that has moved before the header that does. */
static int write_refcounts(struct qcow2 *image)
{
        struct qcow2_table *table = &image->refcount_table;
        int r = qcow2_cache_write(image, &image->refcounts);
        if (r < 0 || (!changed(table) && !image->old_refcount_offset))
                return r;
        if (!image->old_refcount_offset) {
                r = disk_storage_sync(image->storage);
                return r ? r : write_table(image, table);
        }
        table->dirty_from = 0;
        table->dirty_to = table->entries;
        r = write_table(image, table);
        if (!r)
                r = disk_storage_sync(image->storage);
        if (!r)
                r = qcow2_header_set_refcount_table(image);
        if (!r)
                image->old_refcount_offset = 0;
        return r;
}

/* Nothing on the medium holds them any more. */
static int apply_frees(struct qcow2 *image)
{
        struct qcow2_frees *frees = &image->frees;
        for (size_t i = 0; i < frees->count; i++) {
                struct qcow2_free *free = &frees->entries[i];
                uint64_t start = free->cluster, run = 0;
                for (uint64_t j = 0; j < free->count; j++) {
                        uint64_t count;
                        int r = qcow2_refcount_get(image, start + j, &count);
                        if (!r && count)
                                r = qcow2_refcount_set(image, start + j, --count);
                        /* What cannot be counted down stays counted: the next one who repairs the image finds it. */
                        bool unused = !r && !count;
                        run += unused;
                        if (run && (!unused || j + 1 == free->count)) {
                                uint64_t last = start + j + unused;
                                (void)disk_storage_zero(image->storage, (last - run) << image->cluster_bits,
                                                        run << image->cluster_bits, STORAGE_DISCARD);
                                run = 0;
                        }
                }
        }
        frees->count = 0;
        return qcow2_cache_write(image, &image->refcounts);
}

int qcow2_commit(struct qcow2 *image, bool durable)
{
        bool map = changed(&image->l1) || qcow2_cache_dirty(&image->tables);
        bool refcounts = changed(&image->refcount_table) || qcow2_cache_dirty(&image->refcounts);
        int r = image->broken ? -EIO : 0;
        if (!r && !image->marked && (map || refcounts)) {
                r = qcow2_header_mark(image, true);
                image->marked = !r;
        }
        if (!r && refcounts)
                r = write_refcounts(image);
        /* Refcounts and the data itself are there before the map leads to them. */
        if (!r && map)
                r = disk_storage_sync(image->storage);
        if (!r && map)
                r = qcow2_cache_write(image, &image->tables);
        if (!r && map)
                r = write_table(image, &image->l1);
        if (!r && (durable || image->frees.count))
                r = disk_storage_sync(image->storage);
        return r || !image->frees.count ? r : apply_frees(image);
}
