/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * `import`: a root file system, as a tar archive or a folder, becomes an image of one layer.
 */
#pragma once

#include "base/error.h"
#include "image/store.h"
#include "image/stream.h"

struct import_options {
        char *const *changes; /* instructions, as change_apply() takes them */
        const char *message;  /* NULL: says where it came from */
        struct stream_limits limits;
};

/*
 * `path`: a tar archive (compressed or not), a folder, or "-" for standard input. `name` may be NULL. *id is the
 * caller's to free.
 */
int image_import(struct store *store, const char *path, const char *name, const struct import_options *options,
                 char **id, struct error *err);
