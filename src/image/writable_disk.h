/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The disk that an instance in a virtual machine writes to: an empty ext4 in a sparse file, of which a template for
 * each size is made once, <root>/disks/<bytes>.ext4, by mkfs.ext4(8).
 */
#pragma once

#include <stdint.h>

#include "base/error.h"

#define WRITABLE_DISK_LEAST (16ULL << 20) /* bytes; a smaller one has no room for the journal */
#define WRITABLE_DISK_MOST  (16ULL << 40)

/*
 * Makes the file `name` in the folder `dir` (-EEXIST if it is there), a disk of `size` bytes, whole MiB. `root` is
 * onggi's folder. -ENOENT with a text that says so where mkfs.ext4 is not installed.
 */
int writable_disk_make(const char *root, uint64_t size, int dir, const char *name, struct error *err);
