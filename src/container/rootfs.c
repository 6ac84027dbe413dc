/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "container/rootfs.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/file.h"
#include "base/text.h"
#include "container/host_mounts.h"
#include "container/masked_path.h"
#include "container/mount.h"
#include "container/rootfs_private.h"

static int check_root_folder(const struct rootfs *rootfs, struct error *err)
{
        struct stat st;
        if (stat(rootfs->path, &st) < 0)
                return error_errno(err, "cannot use %s as root file system (root.path)", rootfs->path);
        if (!S_ISDIR(st.st_mode))
                return error_set(err, -ENOTDIR, "cannot use %s as root file system (root.path): it is not a folder",
                                 rootfs->path);
        return 0;
}

int rootfs_open_sources(struct rootfs *rootfs, int userns, struct error *err)
{
        int r = check_root_folder(rootfs, err);
        if (r < 0 || !rootfs->own_mounts)
                return r;
        rootfs->source = mount_clone(AT_FDCWD, rootfs->path, true, err);
        /* An ordinary user may not; the child, being root in its user namespace, does it all then. */
        if (rootfs->source == -EPERM)
                return 0;
        if (rootfs->source < 0)
                return rootfs->source;

        for (size_t i = 0; i < rootfs->mount_count; i++) {
                struct rootfs_mount *mount = &rootfs->mounts[i];
                if (!mount->options.bind || mount->options.remount)
                        continue;
                _cleanup_close_ int fd = mount_clone(AT_FDCWD, mount->source, mount->options.bind_tree, err);
                r = fd < 0 ? fd : rootfs_prepare_bind(rootfs, mount, fd, userns, err);
                if (r < 0)
                        return err ? error_prefix(err, "mount on %s", mount->target) : r;
                mount->fd = TAKE_FD(fd);
        }
        return 0;
}

/*
 * The root goes where it is on the host, so that hooks find it by its path. A user namespace may be unable to get
 * there; then it goes on "/", where no path leads, which the pivot does not mind.
 */
static int attach_root(struct rootfs *rootfs, struct error *err)
{
        if (rootfs->source < 0) {
                rootfs->source = mount_clone(AT_FDCWD, rootfs->path, true, err);
                if (rootfs->source < 0)
                        return rootfs->source;
        }
        int r = mount_change(rootfs->source, NULL, MS_PRIVATE, true, err);
        if (r < 0)
                return r;
        _cleanup_close_ int target = open(rootfs->path, O_PATH | O_DIRECTORY | O_CLOEXEC);
        if (target < 0 && errno == EACCES)
                target = open("/", O_PATH | O_DIRECTORY | O_CLOEXEC);
        if (target < 0)
                return error_errno(err, "cannot open %s", rootfs->path);
        r = mount_attach(rootfs->source, target, err);
        if (r < 0)
                return r;
        rootfs->root = TAKE_FD(rootfs->source);
        return 0;
}

static int open_root(struct rootfs *rootfs, struct error *err)
{
        if (!rootfs->own_mounts) {
                rootfs->root = open(rootfs->path, O_PATH | O_DIRECTORY | O_CLOEXEC);
                return rootfs->root < 0 ? error_errno(err, "cannot open %s", rootfs->path) : 0;
        }
        /*
         * Nothing that is mounted from here on may show on the host, and pivot_root(2) refuses shared parents.
         * Sources that the parent opened have their propagation already; those that are still to be opened may have
         * to stay slaves.
         */
        unsigned long flags = rootfs->source >= 0 ? MS_PRIVATE : MS_SLAVE;
        if (mount(NULL, "/", NULL, MS_REC | flags, NULL) < 0)
                return error_errno(err, "cannot separate the container's mounts from the host's");
        return attach_root(rootfs, err);
}

/* Where the host's /dev is the container's, nothing is made in it. */
static bool has_host_dev(const struct rootfs *rootfs)
{
        for (size_t i = 0; i < rootfs->mount_count; i++) {
                if (rootfs->mounts[i].options.bind && !strcmp(rootfs->mounts[i].target, "/dev"))
                        return true;
        }
        return false;
}

static int mount_all(struct rootfs *rootfs, const struct rootfs_namespaces *own, struct error *err)
{
        int r = open_root(rootfs, err);
        for (size_t i = 0; i < rootfs->mount_count && !r; i++)
                r = rootfs_mount_one(rootfs, &rootfs->mounts[i], own, err);
        if (r < 0 || !rootfs->own_mounts || has_host_dev(rootfs))
                return r;
        r = device_nodes_make(rootfs->root, rootfs->devices, rootfs->device_count, own->user, err);
        return r < 0 ? r : device_links_make(rootfs->root, err);
}

int rootfs_mount(struct rootfs *rootfs, const struct rootfs_namespaces *own, struct error *err)
{
        /* What is made has the permissions that are written here; the caller's umask is kept for the program. */
        mode_t saved = umask(0);
        int r = mount_all(rootfs, own, err);
        umask(saved);
        return r;
}

int rootfs_directory(const struct rootfs *rootfs)
{
        return rootfs->root;
}

int rootfs_bind_console(struct rootfs *rootfs, int slave, struct error *err)
{
        return device_console_bind(rootfs->root, slave, err);
}

/* The old root ends up on top of the new one, and is taken off by its place: no folder is needed to keep it in. */
static int pivot(const struct rootfs *rootfs, struct error *err)
{
        if (fchdir(rootfs->root) < 0)
                return error_errno(err, "cannot enter the container's root");
        if (syscall(SYS_pivot_root, ".", ".") < 0)
                return error_errno(
                        err, "cannot make the container's root the root; on an initial ramdisk, which pivot_root(2) "
                             "refuses, use --no-pivot");
        if (umount2(".", MNT_DETACH) < 0)
                return error_errno(err, "cannot take the host's root away");
        return 0;
}

/* Moves the root over "/"; the host's proc and sysfs, which would show beneath, are taken away first. */
static int move_root(const struct rootfs *rootfs, struct error *err)
{
        int r = host_mounts_hide(rootfs->path, err);
        if (r < 0)
                return r;
        if (fchdir(rootfs->root) < 0)
                return error_errno(err, "cannot enter the container's root");
        if (mount(".", "/", NULL, MS_MOVE, NULL) < 0)
                return error_errno(err, "cannot move the container's root to /");
        return chroot(".") < 0 ? error_errno(err, "cannot change to the container's root") : 0;
}

static int change_root(const struct rootfs *rootfs, bool no_pivot, struct error *err)
{
        if (!rootfs->own_mounts) {
                if (fchdir(rootfs->root) < 0 || chroot(".") < 0)
                        return error_errno(err, "cannot change to the container's root");
                return 0;
        }
        return no_pivot ? move_root(rootfs, err) : pivot(rootfs, err);
}

int rootfs_enter(struct rootfs *rootfs, bool no_pivot, struct error *err)
{
        int r = masked_paths_apply(rootfs->root, rootfs->masked, err);
        if (!r)
                r = readonly_paths_apply(rootfs->root, rootfs->readonly, err);
        if (!r && rootfs->read_only) {
                struct mount_change change = { .set = MOUNT_ATTR_RDONLY };
                r = mount_change(rootfs->root, &change, 0, false, err);
        }
        if (!r)
                r = change_root(rootfs, no_pivot, err);
        if (r < 0)
                return r;
        if (chdir("/") < 0)
                return error_errno(err, "cannot enter the container's root");
        close(rootfs->root);
        rootfs->root = -1;
        /* Only now: on a shared root the pivot itself would have failed. */
        if (rootfs->own_mounts && rootfs->propagation & ~(unsigned long)(MS_PRIVATE | MS_REC) &&
            mount(NULL, "/", NULL, rootfs->propagation, NULL) < 0)
                return error_errno(err, "cannot set rootfsPropagation");
        return 0;
}

bool rootfs_has_writable_cgroup(const struct rootfs *rootfs)
{
        for (size_t i = 0; i < rootfs->mount_count; i++) {
                const struct rootfs_mount *mount = &rootfs->mounts[i];
                if (text_starts(mount->type, "cgroup") && !strcmp(mount->target, "/sys/fs/cgroup"))
                        return !((mount->options.top.set | mount->options.tree.set) & MOUNT_ATTR_RDONLY);
        }
        return false;
}

const char *const *rootfs_mount_options(void)
{
        return mount_options_known();
}
