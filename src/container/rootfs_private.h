/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What the files of the root file system share: rootfs_parse.c fills it, rootfs.c and rootfs_mount.c act on it.
 */
#pragma once

#include "container/device_node.h"
#include "container/id_map.h"
#include "container/mount_options.h"
#include "container/rootfs.h"

struct rootfs_mount {
        char *target; /* clean absolute path in the container */
        char *type;   /* "" for a bind mount */
        char *source; /* absolute where it is a bind mount */
        struct mount_options options;
        struct id_map uids, gids; /* of an id-mapped mount with maps of its own; else empty */
        int fd;                   /* the detached copy of a bind mount's source that the parent made; -1 */
};

struct rootfs {
        char *path; /* absolute, of the host */
        bool read_only;
        bool own_mounts, own_users; /* whether the container has mount and user namespaces that are not the caller's */
        unsigned long propagation;  /* of rootfsPropagation, MS_…; 0 if absent */
        struct rootfs_mount *mounts;
        size_t mount_count;
        struct device_node *devices;
        size_t device_count;
        char **masked, **readonly; /* paths */
        struct id_map uids, gids;  /* of the container's user namespace; else empty */
        int source;                /* the detached copy of the root that the parent made; -1 */
        int root;                  /* the root folder, once mounted; -1 */
};

/* Does one mount in the container's mount namespace. */
int rootfs_mount_one(struct rootfs *rootfs, struct rootfs_mount *mount, const struct rootfs_namespaces *own,
                     struct error *err);

/*
 * Gives a detached copy of a bind mount's source its attributes, propagation and map of owners. `userns` as in
 * rootfs.h.
 */
int rootfs_prepare_bind(const struct rootfs *rootfs, const struct rootfs_mount *mount, int fd, int userns,
                        struct error *err);
