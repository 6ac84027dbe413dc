/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "container/copy_up.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/sendfile.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cleanup.h"

/* Deeper trees are not what a container's folder holds, and each level keeps three descriptors. */
#define DEPTH_MAX 128

static int copy_folder(int from, int to, dev_t device, unsigned depth, struct error *err);

static int copy_contents(int from, int to, const char *name, struct error *err)
{
        _cleanup_close_ int source = openat(from, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
        _cleanup_close_ int copy = openat(to, name, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
        if (source < 0 || copy < 0)
                return error_errno(err, "cannot copy %s", name);
        for (;;) {
                ssize_t n = sendfile(copy, source, NULL, 1 << 30);
                if (n < 0 && errno != EINTR)
                        return error_errno(err, "cannot copy %s", name);
                if (!n)
                        return 0;
        }
}

static int copy_link(int from, int to, const char *name, struct error *err)
{
        char target[PATH_MAX];
        ssize_t length = readlinkat(from, name, target, sizeof(target) - 1);
        if (length < 0)
                return error_errno(err, "cannot copy the link %s", name);
        target[length] = 0;
        return symlinkat(target, to, name) < 0 ? error_errno(err, "cannot copy the link %s", name) : 0;
}

static int copy_subfolder(int from, int to, const char *name, dev_t device, unsigned depth, struct error *err)
{
        _cleanup_close_ int source = openat(from, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
        if (source < 0 || mkdirat(to, name, 0700) < 0)
                return error_errno(err, "cannot copy the folder %s", name);
        _cleanup_close_ int copy = openat(to, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
        if (copy < 0)
                return error_errno(err, "cannot copy the folder %s", name);
        return copy_folder(source, copy, device, depth + 1, err);
}

/* Owner before permissions: a change of owner takes the set-user-ID bit away. */
static int copy_attributes(int to, const char *name, const struct stat *st, struct error *err)
{
        struct timespec times[] = { st->st_atim, st->st_mtim };
        if (fchownat(to, name, st->st_uid, st->st_gid, AT_SYMLINK_NOFOLLOW) < 0 ||
            (!S_ISLNK(st->st_mode) && fchmodat(to, name, st->st_mode & 07777, 0) < 0) ||
            utimensat(to, name, times, AT_SYMLINK_NOFOLLOW) < 0)
                return error_errno(err, "cannot copy the attributes of %s", name);
        return 0;
}

static int copy_entry(int from, int to, const char *name, dev_t device, unsigned depth, struct error *err)
{
        struct stat st;
        if (fstatat(from, name, &st, AT_SYMLINK_NOFOLLOW) < 0)
                return error_errno(err, "cannot read %s", name);
        if (st.st_dev != device)
                return 0;
        int r;
        if (S_ISDIR(st.st_mode))
                r = copy_subfolder(from, to, name, device, depth, err);
        else if (S_ISREG(st.st_mode))
                r = copy_contents(from, to, name, err);
        else if (S_ISLNK(st.st_mode))
                r = copy_link(from, to, name, err);
        else
                r = mknodat(to, name, st.st_mode & S_IFMT, st.st_rdev) < 0 ? error_errno(err, "cannot copy %s", name)
                                                                           : 0;
        return r < 0 ? r : copy_attributes(to, name, &st, err);
}

static int copy_folder(int from, int to, dev_t device, unsigned depth, struct error *err)
{
        if (depth > DEPTH_MAX)
                return error_set(err, -ELOOP, "folders are nested more than %d deep", DEPTH_MAX);
        _cleanup_close_ int own = openat(from, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        _cleanup_closedir_ DIR *folder = own < 0 ? NULL : fdopendir(own);
        if (!folder)
                return error_errno(err, "cannot read a folder that is to be copied");
        TAKE_FD(own);
        struct dirent *entry;
        while ((entry = readdir(folder))) {
                if (!strcmp(entry->d_name, ".") || !strcmp(entry->d_name, ".."))
                        continue;
                int r = copy_entry(from, to, entry->d_name, device, depth, err);
                if (r < 0)
                        return r;
        }
        return 0;
}

int copy_up(int from, int to, struct error *err)
{
        struct stat st;
        if (fstat(from, &st) < 0)
                return error_errno(err, "cannot read a folder that is to be copied");
        int r = copy_folder(from, to, st.st_dev, 0, err);
        return r < 0 && err ? error_prefix(err, "tmpcopyup") : r;
}
