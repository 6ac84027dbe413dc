/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * From an image's layer blobs to its unpacked layers.
 */
#pragma once

#include "image/adding.h"
#include "image/digest.h"
#include "image/manifest.h"
#include "image/stream.h"

/*
 * Unpacks those of the image's layers that are not there. With `verify` the diff ids of the others are checked too. The
 * blobs are in the store. -EBADMSG for a layer whose content is not what the configuration says.
 */
int unpack_layers(struct adding *adding, const struct manifest *manifest, const struct digest *diff_ids, bool verify,
                  const struct stream_limits *limits, struct error *err);
