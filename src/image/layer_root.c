/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "image/layer_root.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/sysmacros.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/file.h"
#include "base/text.h"

/* Removing a tree costs two descriptors a level; 1024 is what a process usually may have. */
#define LAYER_DEPTH_MAX 256

/* How deep a descriptor's real path is: through symbolic links a short name can lead deep. */
static int real_depth(int fd, unsigned *depth, struct error *err)
{
        char link[32], path[PATH_MAX];
        snprintf(link, sizeof(link), "/proc/self/fd/%d", fd);
        ssize_t length = readlink(link, path, sizeof(path));
        if (length < 0)
                return error_errno(err, "cannot tell where a folder is");
        *depth = 0;
        for (ssize_t i = 0; i < length; i++)
                *depth += path[i] == '/';
        return length == sizeof(path) ? -ENAMETOOLONG : 0;
}

static bool in_user_namespace(void)
{
        _cleanup_free_ char *map = NULL;
        unsigned inside, outside, count;
        return file_read(AT_FDCWD, "/proc/self/uid_map", 4096, &map, NULL, NULL) < 0 ||
               sscanf(map, "%u %u %u", &inside, &outside, &count) != 3 || inside || outside || count != UINT32_MAX;
}

int layer_root_open(struct layer_root *root, int fd, struct error *err)
{
        *root = (struct layer_root){ .fd = fd, .parent = -1, .user_namespace = in_user_namespace() };
        return real_depth(fd, &root->depth, err);
}

void layer_root_close(struct layer_root *root)
{
        cleanup_close(&root->parent);
}

static void forget_parent(struct layer_root *root)
{
        if (root->parent >= 0)
                close(TAKE_FD(root->parent));
}

int layer_name(const char *entry, bool absolute, char name[PATH_MAX], struct error *err)
{
        if (entry[0] == '/' && !absolute)
                return error_set(err, -EINVAL, "its name is absolute; names must be relative to the root file system");
        size_t used = 0;
        for (const char *at = entry; *at;) {
                size_t length = strcspn(at, "/");
                if (length == 2 && at[0] == '.' && at[1] == '.')
                        return error_set(err, -EINVAL, "its name has \"..\", which leads out of the root file system");
                if (length && !(length == 1 && at[0] == '.')) {
                        if (length > NAME_MAX || used + length + 2 > PATH_MAX)
                                return error_set(err, -ENAMETOOLONG, "its name is too long");
                        if (used)
                                name[used++] = '/';
                        memcpy(name + used, at, length);
                        used += length;
                }
                at += length + (at[length] == '/');
        }
        name[used] = 0;
        return 0;
}

bool is_whiteout(const struct stat *st)
{
        return S_ISCHR(st->st_mode) && st->st_rdev == makedev(0, 0);
}

int layer_opaque(struct layer_root *root, int folder, const char *base, struct error *err)
{
        const char *attribute = root->user_namespace ? "user.overlay.opaque" : "trusted.overlay.opaque";
        _cleanup_free_ char *path = text_format("/proc/self/fd/%d/%s", folder, base);
        if (!path)
                return error_memory(err);
        if (lsetxattr(path, attribute, "y", 1, 0) < 0)
                return error_errno(err, "cannot mark a folder as opaque (%s)", attribute);
        return 0;
}

/* A folder where a whiteout was: the lower one is gone, and this one is new. */
static int replace_whiteouts(struct layer_root *root, char *path, struct error *err)
{
        for (char *slash = path;; slash++) {
                slash += strcspn(slash, "/");
                char saved = *slash;
                *slash = 0;
                _cleanup_close_ int fd = open_in_root(root->fd, path, O_PATH | O_NOFOLLOW, 0, NULL);
                struct stat st;
                if (fd >= 0 && !fstat(fd, &st) && is_whiteout(&st)) {
                        char *name = strrchr(path, '/');
                        if (name)
                                *name = 0;
                        _cleanup_close_ int parent =
                                open_in_root(root->fd, name ? path : ".", O_PATH | O_DIRECTORY, 0, err);
                        if (name)
                                *name = '/';
                        name = name ? name + 1 : path;
                        if (parent < 0)
                                return parent;
                        if (unlinkat(parent, name, 0) < 0 || mkdirat(parent, name, 0755) < 0)
                                return error_errno(err, "cannot create the folder %s", path);
                        int r = layer_opaque(root, parent, name, err);
                        if (r < 0)
                                return r;
                }
                *slash = saved;
                if (!saved)
                        return 0;
        }
}

static int open_parent(struct layer_root *root, const char *path, struct error *err)
{
        struct error first = { 0 };
        int fd = make_in_root(root->fd, path[0] ? path : ".", 0755, &first);
        if (fd >= 0)
                return fd;
        if (fd != -ENOTDIR)
                return error_set(err, fd, "%s", first.text);
        char copy[PATH_MAX];
        TEXT_COPY(copy, path);
        int r = replace_whiteouts(root, copy, err);
        return r < 0 ? r : make_in_root(root->fd, path, 0755, err);
}

int layer_parent(struct layer_root *root, const char *name, const char **base, struct error *err)
{
        const char *slash = strrchr(name, '/');
        size_t length = slash ? (size_t)(slash - name) : 0;
        *base = slash ? slash + 1 : name;
        if (root->parent >= 0 && strlen(root->parent_name) == length && !memcmp(root->parent_name, name, length))
                return root->parent;

        forget_parent(root);
        memcpy(root->parent_name, name, length);
        root->parent_name[length] = 0;
        _cleanup_close_ int fd = open_parent(root, root->parent_name, err);
        if (fd < 0)
                return fd;
        unsigned depth;
        int r = real_depth(fd, &depth, err);
        if (!r && depth > root->depth + LAYER_DEPTH_MAX)
                r = error_set(err, -ELOOP, "it is nested more than %d folders deep", LAYER_DEPTH_MAX);
        if (r < 0)
                return r;
        return root->parent = TAKE_FD(fd);
}

int layer_clear(struct layer_root *root, int parent, const char *base, bool *was_whiteout, struct error *err)
{
        struct stat st;
        *was_whiteout = false;
        if (fstatat(parent, base, &st, AT_SYMLINK_NOFOLLOW) < 0)
                return errno == ENOENT ? 0 : error_errno(err, "cannot look at what is in its place");
        *was_whiteout = is_whiteout(&st);
        /* tree_remove() keeps to the file system that it is in, and reading a folder needs more than O_PATH. */
        _cleanup_close_ int folder = openat(parent, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        if (folder < 0)
                return error_errno(err, "cannot open the folder that it is in");
        int r = tree_remove(folder, base, err);
        if (S_ISLNK(st.st_mode) || S_ISDIR(st.st_mode))
                forget_parent(root);
        return r;
}

int layer_whiteout(struct layer_root *root, int parent, const char *base, struct error *err)
{
        if (!base[0] || !strcmp(base, ".") || !strcmp(base, ".."))
                return error_set(err, -EINVAL, "it is a whiteout of \"%s\"", base);
        if (!mknodat(parent, base, S_IFCHR, makedev(0, 0)))
                return 0;
        if (errno != EEXIST)
                return error_errno(err, "cannot create the whiteout");
        struct stat st;
        if (fstatat(parent, base, &st, AT_SYMLINK_NOFOLLOW) < 0)
                return error_errno(err, "cannot look at what it hides");
        /* What this layer brought itself stays: a whiteout speaks of the layers below. */
        return S_ISDIR(st.st_mode) ? layer_opaque(root, parent, base, err) : 0;
}
