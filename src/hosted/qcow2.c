/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "hosted/qcow2_private.h"

uint64_t qcow2_size(const struct qcow2 *image)
{
        return image->header.size;
}

const char *qcow2_backing_file(const struct qcow2 *image)
{
        return image->backing_file;
}

const char *qcow2_backing_format(const struct qcow2 *image)
{
        return image->backing_format;
}

void qcow2_set_below(struct qcow2 *image, qcow2_read_below *below, void *owner)
{
        image->below = below;
        image->below_owner = owner;
}

void qcow2_hold(struct qcow2 *image)
{
        pthread_rwlock_rdlock(&image->lock);
}

void qcow2_release(struct qcow2 *image)
{
        pthread_rwlock_unlock(&image->lock);
}

static int read_table(struct qcow2 *image, struct qcow2_table *table, uint64_t offset, uint64_t entries)
{
        *table = (struct qcow2_table){ .offset = offset, .entries = entries };
        table->entry = malloc(entries * sizeof(*table->entry));
        return table->entry ? disk_storage_read(image->storage, table->entry, entries * sizeof(*table->entry), offset)
                            : -ENOMEM;
}

/* What only a writer needs. */
static int prepare_writes(struct qcow2 *image, const char *name, struct error *err)
{
        const struct qcow2_raw_header *header = &image->header;
        image->scratch = malloc(QCOW2_SCRATCH);
        if (!image->scratch)
                return error_memory(err);
        image->used_end = qcow2_clusters(image, image->storage->size) << image->cluster_bits;
        int r = 0;
        if (image->used_end > image->storage->size)
                r = disk_storage_resize(image->storage, image->used_end);
        uint64_t entries = ((uint64_t)header->refcount_clusters << image->cluster_bits) / sizeof(uint64_t);
        if (!r)
                r = read_table(image, &image->refcount_table, header->refcount_offset, entries);
        if (r < 0)
                return error_code(err, r, "cannot read the refcounts of disk %s", name);
        if (header->version == 3 && !(header->incompatible & QCOW2_INCOMPATIBLE_DIRTY))
                return 0;
        /* Version 2 has no mark that would say whether it is needed. */
        image->marked = header->version == 3;
        r = qcow2_repair(image, err);
        return r < 0 ? error_prefix(err, "disk %s", name) : 0;
}

static void release(struct qcow2 *image)
{
        qcow2_cache_free(&image->tables);
        qcow2_cache_free(&image->refcounts);
        free(image->l1.entry);
        free(image->refcount_table.entry);
        free(image->frees.entries);
        free(image->scratch);
        free(image->unpacked);
        qcow2_unload_zstd(image);
        free(image->backing_file);
        free(image->backing_format);
        pthread_rwlock_destroy(&image->lock);
        pthread_mutex_destroy(&image->cache_lock);
        free(image);
}

DEFINE_CLEANUP(image, struct qcow2, release)

int qcow2_open(struct disk_storage *storage, const char *name, bool read_only, struct qcow2 **result, struct error *err)
{
        _cleanup_(image) struct qcow2 *image = calloc(1, sizeof(*image));
        pthread_rwlockattr_t attributes;
        if (!image)
                return error_memory(err);
        *image = (struct qcow2){ .storage = storage,
                                 .read_only = read_only,
                                 .tables.sets = QCOW2_L2_SETS,
                                 .refcounts.sets = QCOW2_REFCOUNT_SETS,
                                 .free_hint = 1,
                                 .cache_lock = PTHREAD_MUTEX_INITIALIZER };
        pthread_rwlockattr_init(&attributes);
        /* Otherwise readers that never cease keep a writer out. */
        pthread_rwlockattr_setkind_np(&attributes, PTHREAD_RWLOCK_PREFER_WRITER_NONRECURSIVE_NP);
        pthread_rwlock_init(&image->lock, &attributes);
        pthread_rwlockattr_destroy(&attributes);
        int r = qcow2_header_read(image, name, err);
        if (!r)
                r = qcow2_load_zstd(image, name, err);
        if (r < 0)
                return r;
        r = read_table(image, &image->l1, image->header.l1_offset, image->header.l1_entries);
        if (r < 0)
                return error_code(err, r, "cannot read the map of disk %s", name);
        r = read_only ? 0 : prepare_writes(image, name, err);
        if (r < 0)
                return r;
        *result = TAKE_PTR(image);
        return 0;
}

int qcow2_close(struct qcow2 *image)
{
        int r = image->read_only ? 0 : qcow2_commit(image, true);
        if (!r && image->marked)
                r = qcow2_header_mark(image, false);
        if (!r && !image->read_only && image->storage->size > image->used_end)
                (void)disk_storage_resize(image->storage, image->used_end);
        release(image);
        return r;
}
