/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The control groups as a container sees them: what a mount of type "cgroup" or "cgroup2" becomes.
 *
 * On a v2 host it is the one hierarchy. On v1 and hybrid hosts it is a tmpfs with a folder for each mounted
 * hierarchy, named as on the host, and a link for each controller of a shared one (cpu -> cpu,cpuacct). With a cgroup
 * namespace the hierarchies are mounted anew and so begin at the container's group; without, its groups are bound
 * from the host, so it sees only them.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/error.h"

/*
 * The caller is in its groups (and namespace) already, and the host's mounts are still in reach. `attributes`:
 * MOUNT_ATTR_….
 */
int cgroup_mount(int target, uint64_t attributes, bool own_namespace, struct error *err);
