/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A disk image of the form qcow2, versions 2 and 3: QEMU docs/interop/qcow2.txt.
 *
 * An image maps clusters of the disk to clusters of its file; what it has not, its backing image has, or it is
 * zeroes. Belongs to a struct disk_image, which knows the backing image. Whoever made the file may have been hostile:
 * each offset, size and table is checked before it is used, and a wrong one is an I/O error of the guest.
 *
 * Consistent at every instant, whatever is killed and whatever of the unsynced writes is lost with the host: changes
 * of tables are kept in memory, and qcow2_flush() writes them in an order in which nothing points to a cluster that is
 * not counted yet, nothing points to data that is not there yet, and nothing is reused that is still pointed to. What
 * is lost in a crash is what the guest did not flush; clusters that are counted and not used are found when the image
 * is opened next (it is marked dirty while it is written).
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"
#include "hosted/disk_storage.h"

struct qcow2;

enum qcow2_kind {
        QCOW2_BELOW,      /* not here: what the backing image has */
        QCOW2_ZERO,       /* zeroes */
        QCOW2_DATA,       /* at `host` of the file */
        QCOW2_COMPRESSED, /* in a cluster that is to be unpacked */
};

/* A piece of the disk whose bytes are all in one way in the image. */
struct qcow2_extent {
        enum qcow2_kind kind;
        uint64_t host;   /* QCOW2_DATA: offset in the file; QCOW2_COMPRESSED: the table's entry */
        uint64_t length; /* bytes, not beyond what was asked for; a compressed one ends with its cluster */
};

/* Reads what the disk has at `offset` when this image has not got it. Called with the image held. */
typedef int qcow2_read_below(void *owner, void *bytes, size_t length, uint64_t offset);

/*
 * Opens an image in `storage`, which stays the caller's and outlives it. `name` is for errors. An image that was not
 * closed after its last writer is repaired first.
 */
int qcow2_open(struct disk_storage *storage, const char *name, bool read_only, struct qcow2 **image, struct error *err);
/* Writes what is to be written, marks the image as whole and frees it. Returns what went wrong, in negative errno. */
int qcow2_close(struct qcow2 *image);

bool qcow2_recognise(const void *start, size_t length);
uint64_t qcow2_size(const struct qcow2 *image);
/* The file and format of its backing image as its header has them, or NULL. */
const char *qcow2_backing_file(const struct qcow2 *image);
const char *qcow2_backing_format(const struct qcow2 *image);
void qcow2_set_below(struct qcow2 *image, qcow2_read_below *below, void *owner);

/* Between these the map does not change in a way that takes clusters away. Any thread; not nested. */
void qcow2_hold(struct qcow2 *image);
void qcow2_release(struct qcow2 *image);

/* With the image held: what the bytes from `offset` on are. 0, or -EIO for tables that make no sense. */
int qcow2_map(struct qcow2 *image, uint64_t offset, uint64_t length, struct qcow2_extent *extent);
/* With the image held: the bytes of a compressed extent, from `offset` of the disk on. */
int qcow2_read_compressed(struct qcow2 *image, const struct qcow2_extent *extent, uint64_t offset,
                          const struct iovec *vector, unsigned count);

/* Without it held. `offset` and lengths in whole sectors, inside the disk. */
int qcow2_write(struct qcow2 *image, const struct iovec *vector, unsigned count, uint64_t offset);
int qcow2_zero(struct qcow2 *image, uint64_t offset, uint64_t length, bool discard);
/* A hint, that reads as zeroes afterwards where it was followed. */
int qcow2_discard(struct qcow2 *image, uint64_t offset, uint64_t length);
int qcow2_flush(struct qcow2 *image);

struct qcow2_creation {
        uint64_t size;                             /* bytes, whole sectors */
        unsigned cluster_bits;                     /* 9 to 21; 0: 16 */
        const char *backing_file, *backing_format; /* "raw" or "qcow2"; NULL: none */
};

/* Writes an empty image into an empty file. */
int qcow2_create(struct disk_storage *storage, const struct qcow2_creation *creation, struct error *err);
