/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A layer being unpacked: the changeset in a tar archive (image-spec layer.md) becomes a folder that overlayfs can
 * stack.
 *
 * Whiteouts become what overlayfs knows (a 0:0 character device; the extended attribute overlay.opaque). The archive is
 * a stranger's: every name is resolved beneath the layer's root by descriptors, links are data and lead nowhere else,
 * and entries, names and depth are bounded. Owners are numbers; capabilities and times are set when nothing can clear
 * them again.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"
#include "image/stream.h"

struct layer_options {
        /*
         * Names that begin with "/": builders of images write them and mean the layer's root, as docker takes it; in a
         * root file system that a user packed they are a mistake, and refused.
         */
        bool absolute_names;
        /* Roots of the layers below, bottom first: where hard links may lead. */
        char *const *lower;
};

struct layer_report {
        uint64_t entries;
        uint64_t bytes;          /* of file data */
        bool depends_on_lower;   /* a hard link was resolved in a layer below */
        unsigned refused;        /* attributes and devices that this host or user must not make */
        char first_refused[256]; /* the first of them: what, of which entry, why */
};

#define LAYER_ENTRIES_MAX 4000000

/*
 * Unpacks the stream's tar archive into the empty folder `root`, reading the stream to the end of the archive. On
 * failure what is in the folder is the caller's to remove.
 */
int layer_unpack(struct stream *stream, int root, const struct layer_options *options, struct layer_report *report,
                 struct error *err);
