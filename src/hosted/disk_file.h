/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The file behind a disk: a raw image, or a block device of the host. Its functions may block; several threads may
 * call them.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/error.h"
#include "machine/virtio/block.h"

struct disk_file {
        int fd; /* -1: none */
        bool block_device;
        uint64_t size; /* bytes, whole sectors */
};

/* Opens it and, unless it is read-only, locks it against a second writer. */
int disk_file_open(struct disk_file *file, const char *path, bool read_only, struct error *err);
void disk_file_close(struct disk_file *file);

/* Does what the request says. 0 or a negative errno. */
int disk_file_run(const struct disk_file *file, const struct block_request *request);
