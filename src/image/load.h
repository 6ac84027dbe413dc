/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * `load`: the images of a docker archive, an OCI archive or an OCI layout folder come into the store, all of them or
 * none.
 */
#pragma once

#include "base/error.h"
#include "image/store.h"
#include "image/stream.h"

struct load_options {
        struct stream_limits limits;
};

/*
 * `path`: an archive (compressed or not), a folder, or "-" for standard input. *loaded lists names, or IDs of those
 * without.
 */
int image_load(struct store *store, const char *path, const struct load_options *options, char ***loaded,
               struct error *err);

/* Unpacks the layers of an image in the store where they are missing. */
int image_unpack(struct store *store, const char *reference, const struct stream_limits *limits, struct error *err);
