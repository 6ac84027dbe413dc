/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The root file system of a container: mounts, devices, default links, masked and read-only paths, and the pivot.
 *
 * OCI runtime-spec config.md "Root" and "Mounts", config-linux.md "Devices", "Rootfs Mount Propagation", "Masked
 * Paths", "Readonly Paths". Parsed by the parent, done by the container's first process inside its new namespaces.
 * Paths of the image are resolved by descriptor beneath the root only (openat2 RESOLVE_IN_ROOT), without exception.
 * Mounts are made detached (fsopen, open_tree), given their attributes, and only then attached: there is no moment
 * with wider rights.
 */
#pragma once

#include <stdbool.h>
#include <sys/types.h>

#include "base/error.h"
#include "base/json.h"

struct rootfs;

/* Which namespaces the container has of its own; what can be mounted depends on it. */
struct rootfs_namespaces {
        bool user, network, cgroup, pid, ipc;
        const char *groups; /* for cgroup_mount(), NULL if not known */
};

/*
 * Reads root, mounts, linux.devices, linux.maskedPaths, linux.readonlyPaths, linux.rootfsPropagation,
 * linux.mountLabel and checks them. `config` is the whole document. `bundle` (absolute) is where relative paths
 * start.
 */
int rootfs_parse(const struct json_at *config, const char *bundle, struct rootfs **result, struct error *err);
void rootfs_free(struct rootfs *rootfs);

/*
 * In the parent, with the runtime's own rights, before the child is started: opens what only the host can see
 * (sources of binds; id-mapped clones need `userns`, the descriptor of a user namespace with the container's
 * mappings, -1 if none).
 */
int rootfs_open_sources(struct rootfs *rootfs, int userns, struct error *err);

/*
 * In the child's new mount namespace: propagation, root mount, all mounts in order, devices, links. The old root is
 * still there (createContainer hooks run after this).
 */
int rootfs_mount(struct rootfs *rootfs, const struct rootfs_namespaces *own, struct error *err);

/*
 * The mounted root: a descriptor (O_PATH) to open things beneath, between rootfs_mount() and rootfs_enter().
 * Borrowed.
 */
int rootfs_directory(const struct rootfs *rootfs);

/*
 * Pivots (or chroots with MS_MOVE where `no_pivot`), then read-only and masked paths and the root's own read-only
 * flag.
 */
int rootfs_enter(struct rootfs *rootfs, bool no_pivot, struct error *err);

/*
 * Binds the terminal (descriptor of the pty's slave, opened in the container's devpts) on /dev/console; between the
 * two above.
 */
int rootfs_bind_console(struct rootfs *rootfs, int slave, struct error *err);

/* Whether /sys/fs/cgroup is mounted writable as cgroup2 (for cgroup_delegate()). */
bool rootfs_has_writable_cgroup(const struct rootfs *rootfs);

/* Every mount option the binary knows, sorted, for `features`; a NULL-terminated static list. */
const char *const *rootfs_mount_options(void);
