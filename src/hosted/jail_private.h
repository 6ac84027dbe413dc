/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The steps that a virtual machine's processes are jailed by: jail.c and jail_folder.c put them together. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/error.h"

/*
 * A folder as a mount of its own, in no mount table, from whose top no way leads up: without devices and programs,
 * and with the attributes (MOUNT_ATTR_…) besides; with what is mounted below it where `recursive`. A descriptor.
 */
int jail_open_mount(const char *path, uint64_t attributes, bool recursive, struct error *err);
/* That mount (-1: an empty file system) becomes the root, in a mount namespace of this process's own. */
int jail_change_root(int mounted, struct error *err);

/*
 * Namespaces of its own: `flags` (CLONE_NEW…), in a user namespace where that takes one. Returns 1, or 0 where this
 * process may have none.
 */
int jail_leave_namespaces(int flags, struct error *err);

/* Of its capabilities those in the set `kept` stay. */
int jail_keep_capabilities(uint64_t kept, struct error *err);

/*
 * From here on files are opened, made, moved and removed only beneath `folder` (-1: nowhere), and there as far as
 * `allowed` (LANDLOCK_ACCESS_FS_…) goes: landlock(7), where there is any.
 */
int jail_lock_files(int folder, uint64_t allowed, struct error *err);

/* No new privileges, no core dumps, no tracing by others of the same user. */
int jail_close_ways(struct error *err);
