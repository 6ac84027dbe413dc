/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "image/unpack.h"

#include <errno.h>
#include <stdio.h>

#include "image/blob.h"
#include "image/layer_store.h"
#include "image/unpacked.h"

static int check_diff_id(struct stream *stream, const struct digest *expected, struct error *err)
{
        struct digest found;
        int r = stream_finish(stream, NULL, &found, err);
        if (!r && !digest_equal(&found, expected))
                return error_set(err, -EBADMSG, "the layer's content has the digest %s, but the image says %s",
                                 found.text, expected->text);
        return r;
}

static int unpack_layer(struct adding *adding, struct stream *stream, const struct descriptor *layer,
                        const struct layer_stack *stack, struct error *err)
{
        struct digest diff_id, input;
        struct layer_report report;
        int r = layer_store(adding, stream, stack, true, &diff_id, &input, &report, err);
        if (r < 0)
                return r;
        if (!digest_equal(&input, &layer->digest))
                return error_set(err, -EBADMSG, "the content of blob %s is damaged; load its image again",
                                 layer->digest.text);
        if (report.refused)
                fprintf(stderr, "%s: layer %.19s: %u things could not be kept, first: %s\n",
                        program_invocation_short_name, layer->digest.text, report.refused, report.first_refused);
        return 0;
}

int unpack_layers(struct adding *adding, const struct manifest *manifest, const struct digest *diff_ids, bool verify,
                  const struct stream_limits *limits, struct error *err)
{
        for (size_t i = 0; i < manifest->layer_count; i++) {
                const struct descriptor *layer = &manifest->layers[i];
                struct layer_stack stack = { .diff_ids = diff_ids, .index = i };
                struct digest name;
                bool there = !unpacked_find(adding->store, diff_ids, i, &name);
                if (there && (!verify || digest_equal(&layer->digest, &diff_ids[i])))
                        continue;
                _cleanup_close_ int fd = blob_open(adding->store, &layer->digest, layer->size, err);
                if (fd < 0)
                        return fd;
                _cleanup_stream_ struct stream *stream = NULL;
                int r = stream_open(fd, layer->digest.text, limits, NULL, &stream, err);
                if (!r)
                        r = there ? check_diff_id(stream, &diff_ids[i], err)
                                  : unpack_layer(adding, stream, layer, &stack, err);
                if (r < 0)
                        return err ? error_prefix(err, "layer %zu", i + 1) : r;
        }
        return 0;
}
