/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "image/layer_lower.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/sendfile.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/file.h"
#include "base/text.h"
#include "image/layer_root.h"
#include "image/unpacked.h"

static bool is_opaque(int fd)
{
        char path[32];
        snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
        return unpacked_hides_lower(path);
}

enum sight {
        SEEN,    /* this layer has it */
        HIDDEN,  /* this layer says that it is not there */
        UNKNOWN, /* the next layer below decides */
};

/* Looks at each part of the name: a whiteout, or a file in a folder's place, hides what is below. */
static enum sight look(int root, const char *name, struct stat *st)
{
        char path[PATH_MAX];
        snprintf(path, sizeof(path), "%s", name);
        bool opaque = false;
        for (char *slash = path;; slash++) {
                slash += strcspn(slash, "/");
                char saved = *slash;
                *slash = 0;
                _cleanup_close_ int fd = open_in_root(root, path, O_PATH | O_NOFOLLOW, 0, NULL);
                if (fd < 0 || fstat(fd, st) < 0)
                        return opaque ? HIDDEN : UNKNOWN;
                if (is_whiteout(st) || (saved && !S_ISDIR(st->st_mode) && !S_ISLNK(st->st_mode)))
                        return HIDDEN;
                if (!saved)
                        return SEEN;
                opaque |= S_ISDIR(st->st_mode) && is_opaque(fd);
                *slash = saved;
        }
}

int lower_open(char *const *roots, const char *name, struct error *err)
{
        for (size_t i = list_length(roots); i-- > 0;) {
                _cleanup_close_ int root = open(roots[i], O_PATH | O_DIRECTORY | O_CLOEXEC);
                if (root < 0)
                        return error_errno(err, "cannot open the layer %s", roots[i]);
                struct stat st;
                enum sight sight = look(root, name, &st);
                if (sight == UNKNOWN)
                        continue;
                if (sight == HIDDEN)
                        break;
                if (!S_ISREG(st.st_mode))
                        return error_set(err, -EINVAL,
                                         "it is a hard link to %s, which is not a regular file of a layer below", name);
                return open_in_root(root, name, O_RDONLY | O_NOFOLLOW, 0, err);
        }
        return error_set(err, -ENOENT, "it is a hard link to %s, which does not exist", name);
}

static int copy_attributes(int from, const char *target, struct error *err)
{
        char source[32], names[16384];
        snprintf(source, sizeof(source), "/proc/self/fd/%d", from);
        ssize_t length = listxattr(source, names, sizeof(names));
        for (const char *name = names; name < names + length; name += strlen(name) + 1) {
                char value[65536];
                ssize_t size = getxattr(source, name, value, sizeof(value));
                if (size < 0 || text_starts(name, "trusted.overlay.") || text_starts(name, "user.overlay."))
                        continue;
                if (lsetxattr(target, name, value, (size_t)size, 0) < 0 && errno != EPERM && errno != ENOTSUP)
                        return error_errno(err, "cannot copy the extended attribute %s", name);
        }
        return 0;
}

int lower_copy(int from, int parent, const char *base, struct error *err)
{
        struct stat st;
        if (fstat(from, &st) < 0)
                return error_errno(err, "cannot look at a file of a layer below");
        _cleanup_close_ int to = openat(parent, base, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
        if (to < 0)
                return error_errno(err, "cannot create the copy of a file of a layer below");
        for (off_t left = st.st_size; left > 0;) {
                ssize_t n = sendfile(to, from, NULL, (size_t)left);
                if (n <= 0)
                        return error_errno(err, "cannot copy a file of a layer below");
                left -= n;
        }
        _cleanup_free_ char *target = text_format("/proc/self/fd/%d/%s", parent, base);
        if (!target)
                return error_memory(err);
        if (fchown(to, st.st_uid, st.st_gid) < 0 || fchmod(to, st.st_mode & 07777) < 0)
                return error_errno(err, "cannot copy owner and mode of a file of a layer below");
        int r = copy_attributes(from, target, err);
        struct timespec times[2] = { st.st_mtim, st.st_mtim };
        if (!r && futimens(to, times) < 0)
                return error_errno(err, "cannot copy the times of a file of a layer below");
        return r;
}
