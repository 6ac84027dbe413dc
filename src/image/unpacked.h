/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Unpacked layers: layers/<hex>/root, named by diff id, or by chain id where the content depends on the layers below
 * (image-spec config.md, "Layer ChainID").
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"
#include "image/digest.h"

struct store;

/* The chain id of the layers 0 to count - 1; count at least 1. */
void chain_id(const struct digest *diff_ids, size_t count, struct digest *chain);

/*
 * Which name the layer `index` has in layers/: *name is its diff id or its chain id. -ENOENT when it is not unpacked.
 */
int unpacked_find(struct store *store, const struct digest *diff_ids, size_t index, struct digest *name);

/* The absolute path of its root/; the caller frees it. NULL without memory. */
char *unpacked_path(struct store *store, const struct digest *name);

/* Bytes in it; 0 where that is not known. */
uint64_t unpacked_size(struct store *store, const struct digest *name);

/* Whether the layer's topmost folder, at `path`, is opaque. Overlayfs does not look at that mark: layers below are left out. */
bool unpacked_hides_lower(const char *path);
