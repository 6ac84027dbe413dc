/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Writes, zeroes and discards. Clusters that are this image's alone are overwritten in place by any number of threads;
 * all else changes the map, one at a time.
 */
#include <errno.h>
#include <string.h>

#include "hosted/qcow2_private.h"

/* More references than these to be given back are not kept. */
#define FREES_MAX 4096

static uint8_t zeroes[QCOW2_SCRATCH]; /* never written: not const, so that it costs no room in the program */

static bool in_place(const struct qcow2 *image, uint64_t entry, const struct qcow2_extent *extent)
{
        (void)image;
        return extent->kind == QCOW2_DATA && (entry & QCOW2_COPIED);
}

static int look_up(struct qcow2 *image, uint64_t cluster, uint64_t *entry, struct qcow2_extent *extent)
{
        int r = qcow2_entry(image, cluster, entry);
        return r ? r : qcow2_classify(image, *entry, extent);
}

/* Writes from byte `done` of the vector on what can be in one piece in place; *written 0: nothing can. */
static int overwrite(struct qcow2 *image, const struct iovec *vector, unsigned count, uint64_t done, uint64_t offset,
                     uint64_t length, uint64_t *written)
{
        uint64_t within = offset & (image->cluster_size - 1), host = 0, covered = 0;
        struct iovec slice[STORAGE_PARTS_MAX];
        for (uint64_t cluster = offset >> image->cluster_bits; covered < within + length; cluster++) {
                struct qcow2_extent extent;
                uint64_t entry;
                int r = look_up(image, cluster, &entry, &extent);
                if (r < 0 && !covered)
                        return r;
                if (r < 0 || !in_place(image, entry, &extent) || (covered && extent.host != host + covered))
                        break;
                if (!covered)
                        host = extent.host;
                covered += image->cluster_size;
        }
        *written = !covered ? 0 : covered - within < length ? covered - within : length;
        unsigned parts = vector_slice(vector, count, done, *written, slice);
        return parts ? disk_storage_writev(image->storage, slice, parts, host + within, false) : 0;
}

/* ---- What a new cluster has around what is written ---- */

/* One piece of the disk as it was, into the file; a piece that is zeroes already is left as it is. */
static int copy_piece(struct qcow2 *image, uint64_t offset, uint64_t host, bool fresh,
                      const struct qcow2_extent *extent)
{
        const struct iovec vector = { image->scratch, (size_t)extent->length };
        bool zero = extent->kind == QCOW2_ZERO || (extent->kind == QCOW2_BELOW && !image->below);
        int r = 0;
        if (zero && fresh)
                return 0;
        if (zero)
                memset(image->scratch, 0, (size_t)extent->length);
        else if (extent->kind == QCOW2_BELOW)
                r = image->below(image->below_owner, image->scratch, (size_t)extent->length, offset);
        else if (extent->kind == QCOW2_COMPRESSED)
                r = qcow2_read_compressed(image, extent, offset, &vector, 1);
        else
                r = disk_storage_read(image->storage, image->scratch, (size_t)extent->length, extent->host);
        return r ? r : disk_storage_write(image->storage, image->scratch, (size_t)extent->length, host);
}

static int copy_old(struct qcow2 *image, uint64_t offset, uint64_t length, uint64_t host, bool fresh)
{
        for (int r; length;) {
                struct qcow2_extent extent;
                r = qcow2_map(image, offset, length < QCOW2_SCRATCH ? length : QCOW2_SCRATCH, &extent);
                if (!r)
                        r = copy_piece(image, offset, host, fresh, &extent);
                if (r < 0)
                        return r;
                offset += extent.length;
                host += extent.length;
                length -= extent.length;
        }
        return 0;
}

/* ---- Changing the map ---- */

/* The references of an entry that has been replaced. Without memory they stay counted, until a repair. */
static void give_back(struct qcow2 *image, uint64_t entry)
{
        uint64_t offset = entry & QCOW2_OFFSET_MASK, length;
        if (entry & QCOW2_IS_COMPRESSED) {
                if (qcow2_compressed_range(image, entry, &offset, &length) < 0)
                        return;
                uint64_t first = offset >> image->cluster_bits, last = (offset + length - 1) >> image->cluster_bits;
                (void)qcow2_free_later(image, first << image->cluster_bits, last - first + 1);
                image->unpacked_entry = 0;
        } else if (offset) {
                (void)qcow2_free_later(image, offset, 1);
        }
}

static int replace(struct qcow2 *image, uint64_t cluster, uint64_t entry)
{
        struct qcow2_slice *slice;
        unsigned index;
        int r = qcow2_own_slice(image, cluster, &slice, &index);
        if (r < 0)
                return r;
        uint64_t *at = &((uint64_t *)(void *)slice->bytes)[index], old = be64toh(*at);
        *at = htobe64(entry);
        slice->dirty = true;
        if ((old & QCOW2_OFFSET_MASK) != (entry & QCOW2_OFFSET_MASK) || (old & QCOW2_IS_COMPRESSED))
                give_back(image, old);
        return 0;
}

/* How many clusters from this one on, in one slice of the map, cannot be written in place. */
static int count_new(struct qcow2 *image, uint64_t cluster, uint64_t most, uint64_t *clusters)
{
        uint64_t per_slice = qcow2_slice_entries(image);
        if (most > per_slice - cluster % per_slice)
                most = per_slice - cluster % per_slice;
        for (*clusters = 0; *clusters < most; ++*clusters) {
                struct qcow2_extent extent;
                uint64_t entry;
                int r = look_up(image, cluster + *clusters, &entry, &extent);
                if (r < 0 && !*clusters)
                        return r;
                if (r < 0 || in_place(image, entry, &extent))
                        break;
        }
        return 0;
}

/* New clusters for what is written, and what was there around it. Nothing points to them until all is there. */
static int write_new(struct qcow2 *image, const struct iovec *vector, unsigned count, uint64_t done, uint64_t offset,
                     uint64_t length, uint64_t *written)
{
        uint64_t within = offset & (image->cluster_size - 1), cluster = offset >> image->cluster_bits;
        uint64_t clusters, host, got;
        struct iovec slice[STORAGE_PARTS_MAX];
        bool fresh;
        int r = count_new(image, cluster, qcow2_clusters(image, within + length), &clusters);
        if (!r)
                r = qcow2_allocate(image, clusters, &host, &got, &fresh);
        if (r < 0)
                return r;
        uint64_t room = got << image->cluster_bits;
        *written = room - within < length ? room - within : length;
        uint64_t end = within + *written;
        r = copy_old(image, offset - within, within, host, fresh);
        if (!r)
                r = copy_old(image, offset + *written, room - end, host + end, fresh);
        unsigned parts = vector_slice(vector, count, done, *written, slice);
        if (!r)
                r = disk_storage_writev(image->storage, slice, parts, host + within, false);
        uint64_t mapped = 0;
        for (; !r && mapped < got; mapped += !r)
                r = replace(image, cluster + mapped, (host + (mapped << image->cluster_bits)) | QCOW2_COPIED);
        if (r < 0)
                qcow2_unallocate(image, host + (mapped << image->cluster_bits), got - mapped);
        return r;
}

static int write_locked(struct qcow2 *image, const struct iovec *vector, unsigned count, uint64_t done, uint64_t offset,
                        uint64_t length)
{
        int r = image->broken ? -EIO : 0;
        while (!r && done < length) {
                uint64_t written;
                r = overwrite(image, vector, count, done, offset + done, length - done, &written);
                if (!r && !written)
                        r = write_new(image, vector, count, done, offset + done, length - done, &written);
                if (!r)
                        done += written;
        }
        return !r && image->frees.count > FREES_MAX ? qcow2_commit(image, false) : r;
}

int qcow2_write(struct qcow2 *image, const struct iovec *vector, unsigned count, uint64_t offset)
{
        uint64_t length = vector_length(vector, count), done = 0, written = 1;
        int r = 0;
        qcow2_hold(image);
        for (; !r && written && done < length; done += written)
                r = overwrite(image, vector, count, done, offset + done, length - done, &written);
        qcow2_release(image);
        if (r < 0 || done == length)
                return r;
        pthread_rwlock_wrlock(&image->lock);
        r = write_locked(image, vector, count, done, offset, length);
        pthread_rwlock_unlock(&image->lock);
        return r;
}

/* ---- Zeroes ---- */

/* A whole cluster. -EOPNOTSUPP: only data can say it. */
static int zero_cluster(struct qcow2 *image, uint64_t cluster, bool discard)
{
        struct qcow2_extent extent;
        uint64_t entry;
        int r = look_up(image, cluster, &entry, &extent);
        bool keeps_room = !discard && in_place(image, entry, &extent);
        if (r < 0 || (extent.kind == QCOW2_BELOW && !image->below))
                return r;
        if (extent.kind == QCOW2_ZERO && (!discard || !(entry & QCOW2_OFFSET_MASK)))
                return 0;
        if (image->header.version >= 3)
                return replace(image, cluster, QCOW2_IS_ZERO | (keeps_room ? entry : 0));
        return image->below || keeps_room ? -EOPNOTSUPP : replace(image, cluster, 0);
}

static int write_zeroes(struct qcow2 *image, uint64_t offset, uint64_t length)
{
        while (length) {
                struct qcow2_extent extent;
                uint64_t piece = length < QCOW2_SCRATCH ? length : QCOW2_SCRATCH;
                int r = qcow2_map(image, offset, piece, &extent);
                bool zero = !r && (extent.kind == QCOW2_ZERO || (extent.kind == QCOW2_BELOW && !image->below));
                if (!r)
                        piece = extent.length;
                if (!r && !zero)
                        r = write_locked(image, &(struct iovec){ zeroes, (size_t)piece }, 1, 0, offset, piece);
                if (r < 0)
                        return r;
                offset += piece;
                length -= piece;
        }
        return 0;
}

/* `hint`: what is no whole cluster, or could only be said by data, is left. */
static int zero_locked(struct qcow2 *image, uint64_t offset, uint64_t length, bool discard, bool hint)
{
        int r = image->broken ? -EIO : 0;
        while (!r && length) {
                uint64_t within = offset & (image->cluster_size - 1), piece = image->cluster_size - within;
                /* The last cluster of the disk need not be whole. */
                bool whole = !within && (length >= piece || offset + length == image->header.size);
                if (piece > length)
                        piece = length;
                r = whole ? zero_cluster(image, offset >> image->cluster_bits, discard) : -EOPNOTSUPP;
                if (r == -EOPNOTSUPP)
                        r = hint ? 0 : write_zeroes(image, offset, piece);
                if (!r && image->frees.count > FREES_MAX)
                        r = qcow2_commit(image, false);
                offset += piece;
                length -= piece;
        }
        return r;
}

int qcow2_zero(struct qcow2 *image, uint64_t offset, uint64_t length, bool discard)
{
        pthread_rwlock_wrlock(&image->lock);
        int r = zero_locked(image, offset, length, discard, false);
        pthread_rwlock_unlock(&image->lock);
        return r;
}

int qcow2_discard(struct qcow2 *image, uint64_t offset, uint64_t length)
{
        pthread_rwlock_wrlock(&image->lock);
        int r = zero_locked(image, offset, length, true, true);
        pthread_rwlock_unlock(&image->lock);
        return r;
}

/* ---- Flush ---- */

int qcow2_flush(struct qcow2 *image)
{
        qcow2_hold(image);
        bool clean = !image->frees.count && image->l1.dirty_from == image->l1.dirty_to &&
                     !qcow2_cache_dirty(&image->tables) && !qcow2_cache_dirty(&image->refcounts) &&
                     image->refcount_table.dirty_from == image->refcount_table.dirty_to;
        int r = !clean ? 0 : image->broken ? -EIO : disk_storage_sync(image->storage);
        qcow2_release(image);
        if (clean)
                return r;
        pthread_rwlock_wrlock(&image->lock);
        r = qcow2_commit(image, true);
        pthread_rwlock_unlock(&image->lock);
        return r;
}
