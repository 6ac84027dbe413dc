/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "container/masked_path.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>

#include "base/cleanup.h"
#include "base/file.h"
#include "container/mount.h"

/* A mount that covers many places: the first takes the mount itself, the others copies of it, attributes and all. */
struct cover {
        int mount; /* -1 until it is needed */
        bool attached;
};

static int open_null(struct error *err)
{
        _cleanup_close_ int mount = mount_clone(AT_FDCWD, "/dev/null", false, err);
        struct stat st;
        if (mount < 0)
                return mount;
        if (fstat(mount, &st) < 0)
                return error_errno(err, "cannot read the host's /dev/null");
        if (!S_ISCHR(st.st_mode) || st.st_rdev != makedev(1, 3))
                return error_set(err, -ENODEV, "the host's /dev/null is not the null device");
        /*
         * Read-only, the device still swallows what is written, but its owner and mode, which are the host's, cannot
         * change.
         */
        struct mount_change change = { .set = MOUNT_ATTR_RDONLY | MOUNT_ATTR_NOSUID | MOUNT_ATTR_NOEXEC };
        int r = mount_change(mount, &change, MS_PRIVATE, false, err);
        return r < 0 ? r : TAKE_FD(mount);
}

static int open_empty_folder(struct error *err)
{
        char inodes[] = "nr_inodes=1", mode[] = "mode=755";
        char *words[] = { inodes, mode, NULL };
        return mount_create("tmpfs", "tmpfs", words,
                            MOUNT_ATTR_RDONLY | MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV | MOUNT_ATTR_NOEXEC, err);
}

static int cover_place(struct cover *cover, int (*open_cover)(struct error *), int target, struct error *err)
{
        if (cover->mount < 0) {
                cover->mount = open_cover(err);
                if (cover->mount < 0)
                        return cover->mount;
        }
        if (!cover->attached) {
                cover->attached = true;
                return mount_attach(cover->mount, target, err);
        }
        _cleanup_close_ int copy = mount_clone(cover->mount, "", false, err);
        return copy < 0 ? copy : mount_attach(copy, target, err);
}

/* Opens a path that may be missing: then -ENOENT. */
static int open_place(int root, const char *path, struct stat *st, struct error *err)
{
        _cleanup_close_ int place = open_in_root(root, path, O_PATH, 0, err);
        if (place == -ENOTDIR)
                return -ENOENT;
        if (place < 0)
                return place;
        return fstat(place, st) < 0 ? error_errno(err, "cannot read %s", path) : TAKE_FD(place);
}

static int mask(int root, const char *path, struct cover *null, struct cover *folder, struct error *err)
{
        struct stat st;
        _cleanup_close_ int place = open_place(root, path, &st, err);
        if (place < 0)
                return place == -ENOENT ? 0 : place;
        return S_ISDIR(st.st_mode) ? cover_place(folder, open_empty_folder, place, err)
                                   : cover_place(null, open_null, place, err);
}

int masked_paths_apply(int root, char *const *paths, struct error *err)
{
        _cleanup_close_ int null_mount = -1, folder_mount = -1;
        struct cover null = { -1, false }, folder = { -1, false };
        int r = 0;
        for (; paths && *paths && r >= 0; paths++) {
                r = mask(root, *paths, &null, &folder, err);
                if (r < 0 && err)
                        error_prefix(err, "cannot mask %s", *paths);
        }
        null_mount = null.mount;
        folder_mount = folder.mount;
        return r;
}

static int make_read_only(int root, const char *path, struct error *err)
{
        struct stat st;
        _cleanup_close_ int place = open_place(root, path, &st, err);
        if (place < 0)
                return place == -ENOENT ? 0 : place;
        _cleanup_close_ int mount = mount_clone(place, "", true, err);
        if (mount < 0)
                return mount;
        struct mount_change change = { .set = MOUNT_ATTR_RDONLY };
        int r = mount_change(mount, &change, 0, false, err);
        return r < 0 ? r : mount_attach(mount, place, err);
}

int readonly_paths_apply(int root, char *const *paths, struct error *err)
{
        for (; paths && *paths; paths++) {
                int r = make_read_only(root, *paths, err);
                if (r < 0)
                        return err ? error_prefix(err, "cannot make %s read-only", *paths) : r;
        }
        return 0;
}
