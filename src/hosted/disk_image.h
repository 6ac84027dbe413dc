/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What a disk reads and writes: a raw image, a block device, or a qcow2 image with the images behind it.
 *
 * Every image behind the first is read-only and shared with other machines. An image's header names the one behind it,
 * and whoever wrote that header may have been a guest: so it must lie in the folder of the first image, or in the one
 * that the user named, and the header must state its format.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/error.h"
#include "hosted/disk_storage.h"
#include "machine/virtio/block.h"

struct qcow2;

enum disk_format {
        /* qcow2 where the file begins as one, otherwise raw; a guest then cannot write that beginning. */
        DISK_FORMAT_PROBED,
        DISK_FORMAT_RAW,
        DISK_FORMAT_QCOW2,
};

struct disk_image {
        struct disk_storage storage;
        struct qcow2 *qcow2; /* NULL: raw */
        bool probed;
        uint64_t size; /* bytes; whole sectors in the first image */
        struct disk_image *backing;
};

struct disk_image_settings {
        const char *path;
        enum disk_format format;
        bool read_only;
        const char *backing; /* folder or file where images behind it may lie; NULL: the folder of `path` */
};

int disk_image_open(const struct disk_image_settings *settings, struct disk_image **image, struct error *err);
/* Also what could not be written any more is in the code that it returns: 0 or a negative errno. */
int disk_image_close(struct disk_image *image);

/* Does what the request says. 0 or a negative errno. May block; any thread. */
int disk_image_run(struct disk_image *image, const struct block_request *request);
/* -EINVAL where it is neither "raw" nor "qcow2". */
int disk_format_parse(const char *name, enum disk_format *format);
