/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Slices of L2 tables and refcount blocks in memory: sets of a few places each, the oldest of a set goes first.
 */
#include <errno.h>
#include <stdlib.h>

#include "hosted/qcow2_private.h"

static struct qcow2_slice *set_of(struct qcow2 *image, struct qcow2_cache *cache, uint64_t offset)
{
        return &cache->slices[(offset >> image->slice_bits) % cache->sets * QCOW2_WAYS];
}

static int fill(struct qcow2 *image, struct qcow2_slice *slice, uint64_t offset)
{
        size_t length = 1U << image->slice_bits;
        if (!slice->bytes)
                slice->bytes = malloc(length);
        slice->offset = 0;
        int r = slice->bytes ? disk_storage_read(image->storage, slice->bytes, length, offset) : -ENOMEM;
        if (!r)
                slice->offset = offset;
        return r;
}

int qcow2_cache_get(struct qcow2 *image, struct qcow2_cache *cache, uint64_t offset, struct qcow2_slice **result)
{
        offset &= ~((1ULL << image->slice_bits) - 1);
        struct qcow2_slice *set = set_of(image, cache, offset), *oldest = NULL;
        cache->clock++;
        for (unsigned i = 0; i < QCOW2_WAYS; i++) {
                if (set[i].offset == offset) {
                        set[i].used = cache->clock;
                        *result = &set[i];
                        return 0;
                }
                if (!set[i].dirty && (!oldest || set[i].used < oldest->used))
                        oldest = &set[i];
        }
        if (!oldest)
                return -EAGAIN;
        int r = fill(image, oldest, offset);
        oldest->used = r ? 0 : cache->clock;
        *result = oldest;
        return r;
}

int qcow2_cache_write(struct qcow2 *image, struct qcow2_cache *cache)
{
        for (unsigned i = 0; i < cache->sets * QCOW2_WAYS; i++) {
                struct qcow2_slice *slice = &cache->slices[i];
                if (!slice->dirty)
                        continue;
                int r = disk_storage_write(image->storage, slice->bytes, 1U << image->slice_bits, slice->offset);
                if (r < 0)
                        return r;
                slice->dirty = false;
        }
        return 0;
}

bool qcow2_cache_dirty(const struct qcow2_cache *cache)
{
        for (unsigned i = 0; i < cache->sets * QCOW2_WAYS; i++)
                if (cache->slices[i].dirty)
                        return true;
        return false;
}

void qcow2_cache_forget(struct qcow2 *image, struct qcow2_cache *cache, uint64_t cluster_offset)
{
        for (uint64_t at = 0; at < image->cluster_size; at += 1ULL << image->slice_bits) {
                struct qcow2_slice *set = set_of(image, cache, cluster_offset + at);
                for (unsigned i = 0; i < QCOW2_WAYS; i++)
                        if (set[i].offset == cluster_offset + at) {
                                set[i].offset = set[i].used = 0;
                                set[i].dirty = false;
                        }
        }
}

void qcow2_cache_free(struct qcow2_cache *cache)
{
        for (unsigned i = 0; i < cache->sets * QCOW2_WAYS; i++)
                free(cache->slices[i].bytes);
}
