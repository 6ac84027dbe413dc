/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The control groups as a container sees them: what a mount of type "cgroup" or "cgroup2" becomes.
 *
 * On a v2 host it is the one hierarchy. On v1 and hybrid hosts it is a tmpfs with a folder for each mounted
 * hierarchy, named as on the host, and a link for each controller of a shared one (cpu -> cpu,cpuacct): the container's
 * groups, bound from the host's mounts, so it sees only them. Mounting the hierarchies anew would look the same in a
 * cgroup namespace, but the kernel then walks all groups of the host, twelve times. It is done only in a namespace
 * that was made by others, where the groups' paths on the host are not known.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/error.h"

/* What cgroup_mount() wants to know of a caller that is about to make a cgroup namespace. *groups: the caller's to free. */
int cgroup_mount_groups(char **groups, struct error *err);

/*
 * The caller is in its groups (and namespace) already, and the host's mounts are still in reach. `attributes`:
 * MOUNT_ATTR_…. `own_namespace`: the caller's cgroup namespace is not the host's. `groups`: /proc/self/cgroup as it was
 * before the caller left the host's namespace, NULL if that is not known.
 */
int cgroup_mount(int target, uint64_t attributes, bool own_namespace, const char *groups, struct error *err);
