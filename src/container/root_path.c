/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "container/root_path.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/file.h"

char *root_path_clean(const char *path)
{
        char *clean = malloc(strlen(path) + 2);
        if (!clean)
                return NULL;
        char *end = clean;
        while (*path) {
                path += strspn(path, "/");
                size_t length = strcspn(path, "/");
                if (length == 2 && !strncmp(path, "..", 2)) {
                        while (end > clean && *--end != '/')
                                ;
                } else if (length && !(length == 1 && *path == '.')) {
                        *end++ = '/';
                        memcpy(end, path, length);
                        end += length;
                }
                path += length;
        }
        if (end == clean)
                *end++ = '/';
        *end = 0;
        return clean;
}

static int open_without_links(int root, const char *name)
{
        struct open_how how = {
                .flags = O_PATH | O_DIRECTORY | O_CLOEXEC,
                .resolve = RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS,
        };
        long fd = syscall(SYS_openat2, root, name, &how, sizeof(how));
        return fd < 0 ? -errno : (int)fd;
}

int root_path_make_folder(int root, const char *name, struct error *err)
{
        int fd = open_without_links(root, name);
        if (fd == -ENOENT) {
                _cleanup_close_ int made = make_in_root(root, name, 0755, err);
                if (made < 0)
                        return made;
                fd = open_without_links(root, name);
        }
        if (fd == -ELOOP || fd == -ENOTDIR)
                return error_set(err, fd, "/%s of the image must be an ordinary folder; it is, or leads through, %s",
                                 name, fd == -ELOOP ? "a symbolic link" : "a file");
        return fd < 0 ? error_code(err, fd, "cannot open /%s of the image", name) : fd;
}

int root_path_make_file(int folder, const char *name, struct error *err)
{
        _cleanup_close_ int made = openat(folder, name, O_RDONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0644);
        if (made >= 0)
                return TAKE_FD(made);
        if (errno != EEXIST)
                return error_errno(err, "cannot make the file %s to mount on", name);
        _cleanup_close_ int fd = openat(folder, name, O_PATH | O_NOFOLLOW | O_CLOEXEC);
        struct stat st;
        if (fd < 0 || fstat(fd, &st) < 0)
                return error_errno(err, "cannot open %s to mount on it", name);
        if (S_ISLNK(st.st_mode))
                return error_set(err, -ELOOP, "the image has a symbolic link where %s should be", name);
        return TAKE_FD(fd);
}

int root_path_make_target(int root, const char *name, bool is_folder, struct error *err)
{
        int fd = open_in_root(root, name, O_PATH, 0, err);
        if (fd != -ENOENT)
                return fd;
        if (is_folder)
                return make_in_root(root, name, 0755, err);

        const char *slash = strrchr(name, '/');
        if (slash && slash != name) {
                _cleanup_free_ char *parent = strndup(name, (size_t)(slash - name));
                if (!parent)
                        return error_memory(err);
                _cleanup_close_ int folder = make_in_root(root, parent, 0755, err);
                if (folder < 0)
                        return folder;
        }
        return open_in_root(root, name, O_RDONLY | O_CREAT | O_NONBLOCK, 0644, err);
}
