/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Layers on their way into the store: unpacked beside it, checked, and given their name in one step.
 */
#pragma once

#include <stddef.h>

#include "image/adding.h"
#include "image/digest.h"
#include "image/layer.h"

/* The layers of one image, bottom first, that lie below the one at hand. */
struct layer_stack {
        const struct digest *diff_ids; /* of all layers */
        size_t index;                  /* of the layer at hand; those before it are unpacked */
};

/*
 * Unpacks the stream's tar archive into layers/<name>, unless it is there. With `stack` its diff id must be as the
 * image says (-EBADMSG); without, the layer is the only one of a new image. *diff_id is what it has; the stream is read
 * to its end. `input` (may be NULL) becomes the digest of the file that the stream reads.
 */
int layer_store(struct adding *adding, struct stream *stream, const struct layer_stack *stack, bool absolute_names,
                struct digest *diff_id, struct digest *input, struct layer_report *report, struct error *err);
