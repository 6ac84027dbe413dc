/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * An image's layers as one read-only EROFS file, for virtual machines: <root>/erofs/<chain id>.erofs, made once and
 * shared by all machines of the image, through the page cache as well. By mkfs.erofs(1) of Debian's erofs-utils.
 *
 * The same layers give the same bytes. The file has no name before it is whole, so nothing is left of a command that is
 * killed. It goes with the image (sweep.h); an instance's pin holds it as it holds the layers.
 */
#pragma once

#include <stdint.h>

#include "base/error.h"
#include "image/digest.h"
#include "image/store.h"

/*
 * The path (the caller frees it) of the image's file, which is made if it is not there. Needs the right to mount.
 * -ENOENT with a text that says so where mkfs.erofs is not installed.
 */
int store_erofs(struct store *store, const struct image *image, char **path, struct error *err);

/* Removes the files whose chain id `in_use` does not know. The caller holds content.lock exclusively. */
int erofs_sweep(struct store *store, bool (*in_use)(const void *context, const char *hex), const void *context,
                uint64_t *freed, struct error *err);
