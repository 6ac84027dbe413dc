/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Places in a container's root file system that must not be reached through symbolic links, and the making of mount
 * points.
 */
#pragma once

#include <stdbool.h>

#include "base/error.h"

/*
 * `path` made absolute, without double slashes, "." and ".." (which stop at "/"); the caller's to free, NULL without
 * memory.
 */
char *root_path_clean(const char *path);

/* Opens the folder `name` (O_PATH) beneath `root`, making what is missing; -ELOOP where any part of it is a link. */
int root_path_make_folder(int root, const char *name, struct error *err);

/*
 * Opens (O_PATH) the file `name` (no slash in it) of `folder` to mount on, makes it where missing; -ELOOP if it is a
 * link.
 */
int root_path_make_file(int folder, const char *name, struct error *err);

/*
 * A mount point anywhere: links are followed, as if root were "/"; a folder or (not `is_folder`) a file is made where
 * missing.
 */
int root_path_make_target(int root, const char *name, bool is_folder, struct error *err);
