/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What the files of a qcow2 image share. Sections are those of QEMU docs/interop/qcow2.txt.
 *
 * Locks: `lock` is held shared by whoever reads or overwrites data where the map leads to, exclusively by whoever
 * changes the map. `cache_lock`, taken inside it, is over the caches and the unpacked cluster.
 */
#pragma once

#include <endian.h>
#include <pthread.h>

#include "hosted/qcow2.h"

#define QCOW2_MAGIC 0x514649fbU /* "QFI\xfb" */

/* Section "Header". */
#define QCOW2_INCOMPATIBLE_DIRTY       (1ULL << 0)
#define QCOW2_INCOMPATIBLE_CORRUPT     (1ULL << 1)
#define QCOW2_INCOMPATIBLE_DATA_FILE   (1ULL << 2)
#define QCOW2_INCOMPATIBLE_COMPRESSION (1ULL << 3)
#define QCOW2_INCOMPATIBLE_EXTENDED    (1ULL << 4)
#define QCOW2_AUTOCLEAR_BITMAPS        (1ULL << 0)

#define QCOW2_HEADER_V2        72
#define QCOW2_HEADER_V3        104
#define QCOW2_CLUSTER_BITS_MIN 9
#define QCOW2_CLUSTER_BITS_MAX 21

/* Bounds that QEMU has too. */
#define QCOW2_L1_BYTES_MAX       (32U << 20)
#define QCOW2_REFCOUNT_BYTES_MAX (8U << 20)
#define QCOW2_SNAPSHOTS_MAX      65536
#define QCOW2_SNAPSHOT_BYTES_MAX (64U << 20)
#define QCOW2_BACKING_NAME_MAX   1023

struct qcow2_raw_header {
        uint32_t magic, version;
        uint64_t backing_offset;
        uint32_t backing_length, cluster_bits;
        uint64_t size;
        uint32_t encryption, l1_entries;
        uint64_t l1_offset, refcount_offset;
        uint32_t refcount_clusters, snapshots;
        uint64_t snapshots_offset;
        uint64_t incompatible, compatible, autoclear;
        uint32_t refcount_order, header_length;
        uint8_t compression, unused[7];
};

_Static_assert(sizeof(struct qcow2_raw_header) == 112, "the layout of section \"Header\"");

/* Sections "Cluster mapping": entries of the L1 and L2 tables. */
#define QCOW2_COPIED        (1ULL << 63)
#define QCOW2_IS_COMPRESSED (1ULL << 62)
#define QCOW2_IS_ZERO       (1ULL << 0)
#define QCOW2_OFFSET_MASK   0x00fffffffffffe00ULL

/* Slices of tables, so that a small piece of a large table is read and kept. */
#define QCOW2_SLICE_BYTES   4096
#define QCOW2_WAYS          4
#define QCOW2_L2_SETS       64 /* 1 MiB: 8 GiB of disk in clusters of 64 KiB */
#define QCOW2_REFCOUNT_SETS 16

struct qcow2_slice {
        uint64_t offset; /* in the file; 0: empty */
        uint64_t used;   /* when last; the oldest of a set goes first */
        bool dirty;
        uint8_t *bytes;
};

struct qcow2_cache {
        unsigned sets;
        uint64_t clock;
        struct qcow2_slice slices[QCOW2_L2_SETS * QCOW2_WAYS];
};

/* References that go when nothing on the medium holds them any more. */
struct qcow2_free {
        uint64_t cluster, count;
};

struct qcow2_frees {
        struct qcow2_free *entries;
        size_t count, room;
};

/* A table that is wholly in memory, in the file's byte order, and the range of it that is to be written. */
struct qcow2_table {
        uint64_t offset; /* in the file */
        uint64_t entries;
        uint64_t *entry;
        uint64_t dirty_from, dirty_to; /* entries; equal: none */
};

struct qcow2 {
        struct disk_storage *storage;
        struct qcow2_raw_header header; /* in the host's byte order */
        bool read_only;
        struct qcow2_zstd *zstd;           /* NULL: clusters are compressed by deflate */
        unsigned cluster_bits, slice_bits; /* slice_bits: bytes of a slice of a table */
        uint64_t cluster_size;
        char *backing_file, *backing_format;
        qcow2_read_below *below;
        void *below_owner;

        pthread_rwlock_t lock;
        pthread_mutex_t cache_lock;
        struct qcow2_cache tables, refcounts;
        struct qcow2_table l1, refcount_table;
        struct qcow2_frees frees;
        uint64_t old_refcount_offset; /* 0, or where the refcount table was that has moved */
        uint64_t free_hint;           /* no cluster below it is free */
        uint64_t used_end;            /* bytes of the file that may have been something already; it may be longer */
        bool marked;                  /* dirty, in the header on the medium */
        bool broken;                  /* tables in memory that must not reach the medium: nothing is written any more */
        uint8_t *scratch;             /* of QCOW2_SCRATCH bytes, under the exclusive lock */

        uint64_t unpacked_entry; /* of which `unpacked` is the cluster; 0: none */
        uint8_t *unpacked;
};

#define QCOW2_SCRATCH 65536

static inline uint64_t qcow2_clusters(const struct qcow2 *image, uint64_t bytes)
{
        return (bytes >> image->cluster_bits) + !!(bytes & (image->cluster_size - 1));
}

/* Whether `length` bytes at `offset` are whole clusters of the file behind its header. */
bool qcow2_offset_valid(const struct qcow2 *image, uint64_t offset, uint64_t length);

/* ---- Header ---- */

int qcow2_header_read(struct qcow2 *image, const char *name, struct error *err);
/* Sets or clears the dirty mark on the medium. Version 3 alone has one. */
int qcow2_header_mark(struct qcow2 *image, bool dirty);
/* Points to another refcount table. */
int qcow2_header_set_refcount_table(struct qcow2 *image);

/* ---- Caches; cache_lock is held, or the lock exclusively ---- */

/*
 * The slice that holds byte `offset` of a table cluster in the file. It may be lost at the next call. -EAGAIN: all that
 * could go is to be written first (only where the lock is held exclusively: slices are dirty nowhere else).
 */
int qcow2_cache_get(struct qcow2 *image, struct qcow2_cache *cache, uint64_t offset, struct qcow2_slice **slice);
int qcow2_cache_write(struct qcow2 *image, struct qcow2_cache *cache);
bool qcow2_cache_dirty(const struct qcow2_cache *cache);
/* Forgets what was in a cluster of the file, which becomes something else. */
void qcow2_cache_forget(struct qcow2 *image, struct qcow2_cache *cache, uint64_t cluster_offset);
void qcow2_cache_free(struct qcow2_cache *cache);

/* ---- Refcounts; the lock is held exclusively ---- */

int qcow2_refcount_get(struct qcow2 *image, uint64_t cluster, uint64_t *count);
int qcow2_refcount_set(struct qcow2 *image, uint64_t cluster, uint64_t count);
/*
 * Finds up to `wanted` free clusters in a row and counts them as used once; returns their number in *got. Those beyond
 * the file's end extend it, and are zeroes: *fresh.
 */
int qcow2_allocate(struct qcow2 *image, uint64_t wanted, uint64_t *offset, uint64_t *got, bool *fresh);
/* Undoes that: nothing points to them. */
void qcow2_unallocate(struct qcow2 *image, uint64_t offset, uint64_t clusters);
/* Gives back references once the change that is being made is on the medium. -ENOMEM. */
int qcow2_free_later(struct qcow2 *image, uint64_t offset, uint64_t clusters);

/* ---- Writing tables ---- */

void qcow2_table_changed(struct qcow2_table *table, uint64_t index);
/* Writes all changes in their order. `durable`: and waits until they are on the medium. */
int qcow2_commit(struct qcow2 *image, bool durable);

/* ---- The map ---- */

/* The L2 entry of a cluster of the disk; 0 where there is no table. */
int qcow2_entry(struct qcow2 *image, uint64_t cluster, uint64_t *entry);
/* The slice that holds it, in a table that is this image's alone; the lock is held exclusively. */
int qcow2_own_slice(struct qcow2 *image, uint64_t cluster, struct qcow2_slice **slice, unsigned *index);
unsigned qcow2_slice_entries(const struct qcow2 *image);
/* What an entry says of the whole cluster; -EIO. */
int qcow2_classify(const struct qcow2 *image, uint64_t entry, struct qcow2_extent *extent);
/* Where the bytes of a compressed cluster lie; -EIO. */
int qcow2_compressed_range(const struct qcow2 *image, uint64_t entry, uint64_t *offset, uint64_t *length);

/* Loads the library that unpacks the image's clusters, if it needs one: before the jail, which has no files. */
int qcow2_load_zstd(struct qcow2 *image, const char *name, struct error *err);
void qcow2_unload_zstd(struct qcow2 *image);

/* Unpacks all of a compressed cluster; cache_lock is held. */
int qcow2_unpack(struct qcow2 *image, uint64_t entry, const uint8_t **bytes);

/* Counts all references and makes the refcounts say so. */
int qcow2_repair(struct qcow2 *image, struct error *err);
