/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Paths that a container must not read, or not write: OCI runtime-spec config-linux.md "Masked Paths", "Readonly
 * Paths".
 *
 * Called before the pivot, while the host's /dev/null can still be reached: the image's own could be anything. A path
 * that does not exist is skipped. Paths are resolved beneath `root`.
 */
#pragma once

#include "base/error.h"

/*
 * Files get the host's /dev/null mounted on them (checked to be that device), folders one shared empty read-only
 * tmpfs.
 */
int masked_paths_apply(int root, char *const *paths, struct error *err);

int readonly_paths_apply(int root, char *const *paths, struct error *err);
