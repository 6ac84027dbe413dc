/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The steps that a virtual machine's processes are jailed by: jail.c and jail_folder.c put them together. */
#pragma once

#include <stdint.h>

#include "base/error.h"

/* An empty file system becomes the root of a mount namespace of this process's own. */
int jail_empty_root(struct error *err);

/*
 * Namespaces of its own: `flags` (CLONE_NEW…), in a user namespace where that takes one. Returns 1, or 0 where this process
 * may have none.
 */
int jail_leave_namespaces(int flags, struct error *err);

/* Of its capabilities those in the set `kept` stay. */
int jail_keep_capabilities(uint64_t kept, struct error *err);

/* From here on only files beneath `folder` (-1: none) can be opened, made or moved: landlock(7), where there is any. */
int jail_lock_files(int folder, struct error *err);

/* No new privileges, no core dumps, no tracing by others of the same user. */
int jail_close_ways(struct error *err);
