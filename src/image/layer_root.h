/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The folder that a layer is unpacked into: where an entry's name leads in it, what stands in its way, and whiteouts.
 */
#pragma once

#include <limits.h>
#include <stdbool.h>
#include <sys/stat.h>

#include "base/error.h"

struct layer_root {
        int fd;
        unsigned depth;      /* of fd's own path */
        bool user_namespace; /* not in the first one: overlayfs then reads user.overlay.*, not trusted.overlay.* */
        char parent_name[PATH_MAX]; /* whose descriptor is kept, for entries of one folder come together */
        int parent;
};

int layer_root_open(struct layer_root *root, int fd, struct error *err);
void layer_root_close(struct layer_root *root);

/*
 * An entry's name in plain form: no "./", no double or trailing slashes; "" is the root itself. -EINVAL for "..", for
 * names too long, and for a leading "/" unless `absolute` allows it.
 */
int layer_name(const char *entry, bool absolute, char name[PATH_MAX], struct error *err);

/*
 * The folder that holds `name`, made with its own parents (0755) where missing; *base is the rest of the name.
 * Borrowed.
 */
int layer_parent(struct layer_root *root, const char *name, const char **base, struct error *err);

/*
 * Removes what is at `base` so that an entry can take its place; *was_whiteout tells whether that was one. Missing is
 * success.
 */
int layer_clear(struct layer_root *root, int parent, const char *base, bool *was_whiteout, struct error *err);

bool is_whiteout(const struct stat *st);
/* The lower layers' file of that name is gone; where this layer has a folder of that name, its lower content. */
int layer_whiteout(struct layer_root *root, int parent, const char *base, struct error *err);
/* Nothing of the lower layers' content of this folder is seen. */
int layer_opaque(struct layer_root *root, int folder, const char *base, struct error *err);
