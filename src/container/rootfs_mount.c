/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <errno.h>
#include <fcntl.h>
#include <stddef.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/file.h"
#include "base/text.h"
#include "container/cgroup_mount.h"
#include "container/copy_up.h"
#include "container/id_map.h"
#include "container/mount.h"
#include "container/root_path.h"
#include "container/rootfs_private.h"

/* The attributes of a mount that has none below it yet. */
static struct mount_change merged(const struct mount_options *options)
{
        uint64_t top = options->top.set | options->top.clear;
        return (struct mount_change){
                .set = (options->tree.set & ~top) | options->top.set,
                .clear = options->tree.clear | options->top.clear,
        };
}

/* What a bind mount gets that does not say: private, unless the whole root is to be a slave or peer of the host. */
static unsigned long default_propagation(const struct rootfs *rootfs)
{
        switch (rootfs->propagation & ~(unsigned long)MS_REC) {
        case MS_SLAVE: return MS_SLAVE;
        case MS_SHARED: return 0;
        default: return MS_PRIVATE;
        }
}

static int map_ids(const struct rootfs *rootfs, const struct rootfs_mount *mount, int fd, int userns, struct error *err)
{
        bool own_maps = mount->uids.count;
        if (!mount->options.id_map && !own_maps)
                return 0;
        _cleanup_close_ int made = -1;
        if (own_maps)
                made = user_namespace_create(&mount->uids, &mount->gids, err);
        else if (userns < 0)
                made = user_namespace_create(&rootfs->uids, &rootfs->gids, err);
        else
                return mount_map_ids(fd, userns, mount->options.id_map_tree, err);
        return made < 0 ? made : mount_map_ids(fd, made, mount->options.id_map_tree, err);
}

int rootfs_prepare_bind(const struct rootfs *rootfs, const struct rootfs_mount *mount, int fd, int userns,
                        struct error *err)
{
        const struct mount_options *options = &mount->options;
        unsigned long tree =
                options->propagation && options->propagation_tree ? options->propagation : default_propagation(rootfs);
        unsigned long top = options->propagation_tree ? 0 : options->propagation;

        int r = map_ids(rootfs, mount, fd, userns, err);
        /* Peers of the host's mounts would let a container's root, who may mount, mount into the host. */
        if (!r && rootfs->own_users && (tree == MS_SHARED || !tree || top == MS_SHARED))
                r = mount_change(fd, NULL, MS_SLAVE, true, err);
        if (r < 0)
                return r;
        if (!options->bind_tree) {
                struct mount_change change = merged(options);
                return mount_change(fd, &change, options->propagation ? options->propagation : tree, false, err);
        }
        r = mount_change(fd, &options->tree, tree, true, err);
        return r < 0 ? r : mount_change(fd, &options->top, top, false, err);
}

/* Where links must not lead to: programs trust these places to be what their names say. */
static bool is_strict(const struct rootfs_mount *mount)
{
        static const char *const types[] = { "proc", "sysfs" };
        static const char *const targets[] = { "/proc", "/sys", "/dev" };
        for (size_t i = 0; i < ARRAY_SIZE(types); i++) {
                if (!strcmp(mount->type, types[i]))
                        return true;
        }
        for (size_t i = 0; i < ARRAY_SIZE(targets); i++) {
                if (!strcmp(mount->target, targets[i]))
                        return true;
        }
        return false;
}

static int open_target(const struct rootfs *rootfs, const struct rootfs_mount *mount, bool is_folder, struct error *err)
{
        if (!mount->target[1])
                return open_in_root(rootfs->root, ".", O_PATH | O_DIRECTORY, 0, err);
        if (is_strict(mount) && is_folder)
                return root_path_make_folder(rootfs->root, mount->target + 1, err);
        return root_path_make_target(rootfs->root, mount->target + 1, is_folder, err);
}

/* Attaches it; a mount on "/" becomes the root for all that follows. */
static int attach(struct rootfs *rootfs, const struct rootfs_mount *mount, int fd, int target, struct error *err)
{
        int r = mount_attach(fd, target, err);
        if (r < 0 || mount->target[1])
                return r;
        int root = fcntl(fd, F_DUPFD_CLOEXEC, 0);
        if (root < 0)
                return error_errno(err, "cannot keep the new root");
        close(rootfs->root);
        rootfs->root = root;
        return 0;
}

static int bind_mount(struct rootfs *rootfs, struct rootfs_mount *mount, struct error *err)
{
        _cleanup_close_ int fd = TAKE_FD(mount->fd);
        struct stat st;
        if (fd < 0) {
                fd = mount_clone(AT_FDCWD, mount->source, mount->options.bind_tree, err);
                if (fd < 0)
                        return fd;
                int r = rootfs_prepare_bind(rootfs, mount, fd, -1, err);
                if (r < 0)
                        return r;
        }
        if (fstat(fd, &st) < 0)
                return error_errno(err, "cannot read %s", mount->source);
        _cleanup_close_ int target = open_target(rootfs, mount, S_ISDIR(st.st_mode), err);
        return target < 0 ? target : attach(rootfs, mount, fd, target, err);
}

static int remount(struct rootfs *rootfs, const struct rootfs_mount *mount, struct error *err)
{
        const struct mount_options *options = &mount->options;
        _cleanup_close_ int fd = open_target(rootfs, mount, true, err);
        if (fd < 0)
                return fd;
        int r = options->bind ? 0 : mount_reconfigure(fd, options->words, err);
        if (!r)
                r = mount_change(fd, &options->tree, options->propagation_tree ? options->propagation : 0, true, err);
        if (!r)
                r = mount_change(fd, &options->top, options->propagation_tree ? 0 : options->propagation, false, err);
        return r;
}

/*
 * A user namespace may mount these only together with the namespace that they show; without it, it gets what the host
 * has mounted, which shows just the same.
 */
static const char *host_instead(const struct rootfs_mount *mount, const struct rootfs_namespaces *own)
{
        static const struct {
                const char *type, *path;
                size_t shown; /* offset of a bool in struct rootfs_namespaces */
        } fallbacks[] = {
                { "proc", "/proc", offsetof(struct rootfs_namespaces, pid) },
                { "sysfs", "/sys", offsetof(struct rootfs_namespaces, network) },
                { "mqueue", "/dev/mqueue", offsetof(struct rootfs_namespaces, ipc) },
        };
        for (size_t i = 0; i < ARRAY_SIZE(fallbacks); i++) {
                if (!strcmp(mount->type, fallbacks[i].type) && !*(const bool *)((const char *)own + fallbacks[i].shown))
                        return fallbacks[i].path;
        }
        return NULL;
}

static int bind_from_host(struct rootfs *rootfs, const struct rootfs_mount *mount, const char *source, int target,
                          struct error *err)
{
        _cleanup_close_ int fd = mount_clone(AT_FDCWD, source, true, err);
        if (fd < 0)
                return fd;
        /* What the host forbids stays forbidden; what the options forbid is added, below too. */
        struct mount_change change = { .set = merged(&mount->options).set & ~(uint64_t)MOUNT_ATTR__ATIME };
        int r = mount_change(fd, &change, MS_PRIVATE, true, err);
        return r < 0 ? r : attach(rootfs, mount, fd, target, err);
}

/*
 * A tmpfs takes the permissions of the folder that it covers, unless its options name some. Where the image has no such
 * folder the kernel's own, 1777, stay: so this comes before the mount point is made.
 */
static int add_tmpfs_mode(const struct rootfs *rootfs, struct rootfs_mount *mount, struct error *err)
{
        struct stat st;
        for (char **word = mount->options.words; word && *word; word++) {
                if (text_starts(*word, "mode="))
                        return 0;
        }
        const char *path = mount->target[1] ? mount->target + 1 : ".";
        _cleanup_close_ int covered = open_in_root(rootfs->root, path, O_PATH | O_DIRECTORY, 0, NULL);
        /* Whatever else is wrong with the path is told when the mount point is opened. */
        if (covered < 0 || fstat(covered, &st) < 0)
                return 0;
        return list_printf(&mount->options.words, "mode=%o", st.st_mode & 07777) < 0 ? error_memory(err) : 0;
}

static int long_options_mount(struct rootfs *rootfs, const struct rootfs_mount *mount, int target, struct error *err)
{
        const struct mount_options *options = &mount->options;
        int r = mount_classic(mount->type, mount->source, options->words, merged(options).set, target, err);
        if (r < 0 || !options->propagation)
                return r;
        _cleanup_close_ int fd = open_target(rootfs, mount, true, err);
        return fd < 0 ? fd : mount_change(fd, NULL, options->propagation, options->propagation_tree, err);
}

static int file_system_mount(struct rootfs *rootfs, struct rootfs_mount *mount, const struct rootfs_namespaces *own,
                             struct error *err)
{
        const struct mount_options *options = &mount->options;
        int r = strcmp(mount->type, "tmpfs") ? 0 : add_tmpfs_mode(rootfs, mount, err);
        if (r < 0)
                return r;
        _cleanup_close_ int target = open_target(rootfs, mount, true, err);
        if (target < 0)
                return target;

        struct mount_change change = merged(options);
        /* What is copied up must be written first. */
        uint64_t later = options->copy_up ? change.set & MOUNT_ATTR_RDONLY : 0;
        _cleanup_close_ int fd = mount_create(mount->type, mount->source, options->words, change.set & ~later, err);
        if (fd == -E2BIG)
                return long_options_mount(rootfs, mount, target, err);
        if (fd == -EPERM && own->user && host_instead(mount, own))
                return bind_from_host(rootfs, mount, host_instead(mount, own), target, err);
        if (fd < 0)
                return fd;
        if (options->copy_up)
                r = copy_up(target, fd, err);
        if (!r)
                r = mount_change(fd, &(struct mount_change){ .set = later }, options->propagation, false, err);
        return r < 0 ? r : attach(rootfs, mount, fd, target, err);
}

static int control_group_mount(struct rootfs *rootfs, const struct rootfs_mount *mount,
                               const struct rootfs_namespaces *own, struct error *err)
{
        _cleanup_close_ int target = open_target(rootfs, mount, true, err);
        if (target < 0)
                return target;
        return cgroup_mount(target, merged(&mount->options).set, own->cgroup, own->groups, err);
}

int rootfs_mount_one(struct rootfs *rootfs, struct rootfs_mount *mount, const struct rootfs_namespaces *own,
                     struct error *err)
{
        int r;
        if (mount->options.remount)
                r = remount(rootfs, mount, err);
        else if (mount->options.bind)
                r = bind_mount(rootfs, mount, err);
        else if (!strcmp(mount->type, "cgroup") || !strcmp(mount->type, "cgroup2"))
                r = control_group_mount(rootfs, mount, own, err);
        else
                r = file_system_mount(rootfs, mount, own, err);
        return r < 0 && err ? error_prefix(err, "mount of %s on %s", *mount->type ? mount->type : mount->source,
                                           mount->target)
                            : r;
}
