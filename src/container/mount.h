/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A mount as a descriptor: made detached, changed, and only then attached (open_tree(2), fsopen(2), mount_setattr(2),
 * move_mount(2); Linux 5.12).
 *
 * Functions return a descriptor or 0, or a negative errno. A mount that was never attached goes with its descriptor; an
 * attached one stays, and its descriptor still names it.
 */
#pragma once

#include <stdbool.h>

#include "base/error.h"
#include "container/mount_options.h"

/* A copy of the mount at `path` (with all below it if `tree`), as a bind mount of it. `path` "" is `dir` itself. */
int mount_clone(int dir, const char *path, bool tree, struct error *err);

/*
 * A new file system. `words` are its options, `attributes` the mount's. What the file system says of a bad option is
 * in the error. -E2BIG if a word is longer than fsconfig(2) takes: then only mount_classic() can make it.
 */
int mount_create(const char *type, const char *source, char *const *words, uint64_t attributes, struct error *err);

/* mount_create() and mount_attach() in one step by mount(2), for long options. Changes the working directory to "/". */
int mount_classic(const char *type, const char *source, char *const *words, uint64_t attributes, int target,
                  struct error *err);

/* Gives the words to the file system that is mounted at `mount` already, as `mount -o remount` does. */
int mount_reconfigure(int mount, char *const *words, struct error *err);

/*
 * Attributes and propagation (MS_…, 0: as it is) of a mount, and of all below it if `tree`. A change of nothing is no
 * call.
 */
int mount_change(int mount, const struct mount_change *change, unsigned long propagation, bool tree, struct error *err);

/* Maps the mount's owners through a user namespace. */
int mount_map_ids(int mount, int userns, bool tree, struct error *err);

/* Puts it on the folder or file that `target` is open on. */
int mount_attach(int mount, int target, struct error *err);
