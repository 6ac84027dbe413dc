/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "base/file.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/close_range.h>
#include <linux/openat2.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/text.h"

int file_read_fd(int fd, const char *what, size_t limit, char **data, size_t *length, struct error *err)
{
        size_t used = 0, room = 4096;
        struct stat st;
        if (!fstat(fd, &st) && S_ISREG(st.st_mode) && st.st_size > 0) {
                if ((uint64_t)st.st_size > limit)
                        return error_set(err, -EFBIG, "%s is %lld bytes; at most %zu are accepted", what,
                                         (long long)st.st_size, limit);
                room = (size_t)st.st_size + 2;
        }
        _cleanup_free_ char *buffer = malloc(room);
        if (!buffer)
                return error_memory(err);

        for (;;) {
                ssize_t n = read(fd, buffer + used, room - used - 1);
                if (n < 0) {
                        if (errno == EINTR)
                                continue;
                        return error_errno(err, "cannot read %s", what);
                }
                if (!n)
                        break;
                used += (size_t)n;
                if (used > limit)
                        return error_set(err, -EFBIG, "%s is larger than the %zu bytes that are accepted", what, limit);
                if (room - used > 1)
                        continue;
                char *grown = realloc(buffer, room * 2);
                if (!grown)
                        return error_memory(err);
                buffer = grown;
                room *= 2;
        }
        buffer[used] = 0;
        *data = TAKE_PTR(buffer);
        if (length)
                *length = used;
        return 0;
}

int file_read(int dir, const char *name, size_t limit, char **data, size_t *length, struct error *err)
{
        _cleanup_close_ int fd = openat(dir, name, O_RDONLY | O_CLOEXEC | O_NOCTTY);
        if (fd < 0)
                return error_errno(err, "cannot open %s", name);
        return file_read_fd(fd, name, limit, data, length, err);
}

int file_poke(int dir, const char *name, const char *text, struct error *err)
{
        _cleanup_close_ int fd = openat(dir, name, O_WRONLY | O_CLOEXEC | O_NOCTTY);
        if (fd < 0)
                return error_errno(err, "cannot open %s", name);
        ssize_t n;
        do
                n = write(fd, text, strlen(text));
        while (n < 0 && errno == EINTR);
        if (n < 0)
                return error_errno(err, "cannot write \"%s\" to %s", text, name);
        return 0;
}

int write_all(int fd, const void *data, size_t length)
{
        const char *at = data;
        while (length) {
                ssize_t n = write(fd, at, length);
                if (n < 0) {
                        if (errno == EINTR)
                                continue;
                        return -errno;
                }
                at += n;
                length -= (size_t)n;
        }
        return 0;
}

static int replace(int dir, const char *name, const void *data, size_t length, mode_t mode, bool durable,
                   struct error *err)
{
        const char *base = strrchr(name, '/');
        size_t prefix = base ? (size_t)(base - name) + 1 : 0;
        _cleanup_free_ char *temporary = text_format("%.*s.%s.%d.tmp", (int)prefix, name, name + prefix, (int)getpid());
        _cleanup_free_ char *folder = prefix ? strndup(name, prefix) : strdup(".");
        if (!temporary || !folder)
                return error_memory(err);

        /* What a killed process of the same number left is nobody's. */
        unlinkat(dir, temporary, 0);
        _cleanup_close_ int fd = openat(dir, temporary, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, mode);
        if (fd < 0)
                return error_errno(err, "cannot create %s", temporary);

        int r = write_all(fd, data, length);
        if (!r && durable && fsync(fd) < 0)
                r = -errno;
        if (!r && renameat(dir, temporary, dir, name) < 0)
                r = -errno;
        if (r < 0) {
                unlinkat(dir, temporary, 0);
                return error_code(err, r, "cannot write %s", name);
        }
        if (durable) {
                _cleanup_close_ int parent = openat(dir, folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
                if (parent < 0 || fsync(parent) < 0)
                        return error_errno(err, "cannot make %s durable", name);
        }
        return 0;
}

int file_replace(int dir, const char *name, const void *data, size_t length, mode_t mode, struct error *err)
{
        return replace(dir, name, data, length, mode, true, err);
}

int file_replace_volatile(int dir, const char *name, const void *data, size_t length, mode_t mode, struct error *err)
{
        return replace(dir, name, data, length, mode, false, err);
}

int directory_make(const char *path, mode_t mode, struct error *err)
{
        _cleanup_free_ char *copy = strdup(path);
        if (!copy)
                return error_memory(err);

        /* The usual case first: it is there. */
        int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        if (fd >= 0)
                return fd;
        if (errno != ENOENT)
                return error_errno(err, "cannot open the folder %s", path);

        for (char *slash = copy + 1; *slash; slash++) {
                if (*slash != '/')
                        continue;
                *slash = 0;
                if (mkdir(copy, mode) < 0 && errno != EEXIST)
                        return error_errno(err, "cannot create the folder %s", copy);
                *slash = '/';
        }
        if (mkdir(copy, mode) < 0 && errno != EEXIST)
                return error_errno(err, "cannot create the folder %s", copy);
        fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        if (fd < 0)
                return error_errno(err, "cannot open the folder %s", path);
        return fd;
}

static int wait_for_lock(int fd, int operation, const char *name, struct error *err)
{
        struct timespec pause = { .tv_nsec = 1000000 };
        for (unsigned tries = 0;; tries++) {
                /* Short sleeps first, so that the wait can be announced; then wait in the kernel. */
                int now = tries < 100 ? operation | LOCK_NB : operation;
                if (tries == 100)
                        fprintf(stderr, "onggi: waiting for another onggi command, which holds the lock %s\n", name);
                if (!flock(fd, now))
                        return 0;
                if (errno != EWOULDBLOCK && errno != EINTR)
                        return error_errno(err, "cannot lock %s", name);
                if (pause.tv_nsec < 10000000)
                        pause.tv_nsec += 500000;
                if (now != operation)
                        nanosleep(&pause, NULL);
        }
}

static int lock(int dir, const char *name, int operation, bool wait, struct error *err)
{
        for (;;) {
                _cleanup_close_ int fd = openat(dir, name, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
                if (fd < 0)
                        return error_errno(err, "cannot open the lock file %s", name);
                if (!wait) {
                        if (flock(fd, operation | LOCK_NB) < 0)
                                return error_errno(err, "cannot lock %s", name);
                } else {
                        int r = wait_for_lock(fd, operation, name, err);
                        if (r < 0)
                                return r;
                }
                struct stat held, named;
                if (!fstat(fd, &held) && !fstatat(dir, name, &named, AT_SYMLINK_NOFOLLOW) &&
                    held.st_ino == named.st_ino && held.st_dev == named.st_dev)
                        return TAKE_FD(fd);
        }
}

int lock_take(int dir, const char *name, bool exclusive, struct error *err)
{
        return lock(dir, name, exclusive ? LOCK_EX : LOCK_SH, true, err);
}

int lock_try(int dir, const char *name, bool exclusive, struct error *err)
{
        return lock(dir, name, exclusive ? LOCK_EX : LOCK_SH, false, err);
}

int open_in_root(int root, const char *name, int flags, mode_t mode, struct error *err)
{
        struct open_how how = {
                /* openat2(2) refuses O_NOCTTY with O_PATH */
                .flags = (uint64_t)(unsigned)(flags | O_CLOEXEC | (flags & O_PATH ? 0 : O_NOCTTY)),
                .mode = flags & (O_CREAT | O_TMPFILE) & ~O_DIRECTORY ? mode : 0,
                .resolve = RESOLVE_IN_ROOT | RESOLVE_NO_MAGICLINKS,
        };
        long fd;
        do /* EAGAIN: a rename raced with the walk */
                fd = syscall(SYS_openat2, root, name, &how, sizeof(how));
        while (fd < 0 && (errno == EAGAIN || errno == EINTR));
        if (fd < 0)
                return error_errno(err, "cannot open %s", name);
        return (int)fd;
}

/* Replaces the link that ends the prefix path[..part..end) by its target: what the walk goes on with is the caller's to free. */
static char *follow_link(int at, const char *path, const char *part, const char *rest)
{
        char target[PATH_MAX];
        ssize_t length = readlinkat(at, part, target, sizeof(target) - 1);
        if (length < 0)
                return NULL;
        target[length] = 0;
        if (target[0] == '/')
                return text_format("%s/%s", target, rest);
        return text_format("%.*s%s/%s", (int)(part - path), path, target, rest);
}

/*
 * Makes the first part of `path` that is missing. Each prefix is resolved anew from the root, because a link's "/" means
 * the root and not where the walk stands. Returns 1 when the path leads through a link that points to nothing yet: *onward
 * is then the path to make instead.
 */
static int make_parts(int root, char *path, mode_t mode, char **onward, struct error *err)
{
        _cleanup_close_ int at = open_in_root(root, ".", O_PATH | O_DIRECTORY, 0, err);
        for (char *end = path; at >= 0 && *end;) {
                char *part = end + strspn(end, "/");
                end = part + strcspn(part, "/");
                if (end == part)
                        break;
                char saved = *end;
                *end = 0;
                int next = open_in_root(root, path, O_PATH | O_DIRECTORY, 0, NULL);
                if (next == -ENOENT) {
                        if (mkdirat(at, part, mode) < 0 && errno != EEXIST)
                                return error_errno(err, "cannot create the folder %s", path);
                        next = open_in_root(root, path, O_PATH | O_DIRECTORY, 0, NULL);
                }
                if (next == -ENOENT && (*onward = follow_link(at, path, part, saved ? end + 1 : "")))
                        return 1;
                if (next < 0)
                        return error_code(err, next, "cannot create the folder %s", path);
                close(at);
                at = next;
                *end = saved;
        }
        return at < 0 ? at : 0;
}

int make_in_root(int root, const char *name, mode_t mode, struct error *err)
{
        int fd = open_in_root(root, name, O_PATH | O_DIRECTORY, 0, err);
        if (fd != -ENOENT)
                return fd;

        _cleanup_free_ char *path = strdup(name);
        if (!path)
                return error_memory(err);
        /* As many links as the kernel follows in one path: path_resolution(7). */
        for (int links = 0; links < 40; links++) {
                char *onward = NULL;
                int r = make_parts(root, path, mode, &onward, err);
                if (r < 0)
                        return r;
                if (!r)
                        return open_in_root(root, name, O_PATH | O_DIRECTORY, 0, err);
                free(path);
                path = onward;
        }
        return error_code(err, -ELOOP, "cannot create the folder %s", name);
}

/* One removal: a tree may be deeper than a process may have descriptors, or a path may have names. */
struct removal {
        int top; /* the folder that is removed */
        dev_t device;
        unsigned moved; /* folders that were moved up into `top` so far */
        bool again;     /* some were since `top` was last read */
};

#define REMOVAL_DEPTH_MAX 64

/* A folder at the greatest depth moves up into the topmost one, where the next reading finds it. */
static int move_up(struct removal *removal, int fd, const char *name, struct error *err)
{
        char moved[32];
        do
                snprintf(moved, sizeof(moved), ".onggi-removed-%u", removal->moved++);
        while (renameat2(fd, name, removal->top, moved, RENAME_NOREPLACE) < 0 && errno == EEXIST);
        if (faccessat(fd, name, F_OK, AT_SYMLINK_NOFOLLOW) == 0)
                return error_set(err, -EIO, "cannot move the folder %s, which lies too deep to be removed in place",
                                 name);
        removal->again = true;
        return 0;
}

static int remove_below(struct removal *removal, int fd, unsigned depth, struct error *err);

static int remove_entry(struct removal *removal, int fd, const struct dirent *entry, unsigned depth, struct error *err)
{
        const char *name = entry->d_name;
        if (entry->d_type != DT_DIR && entry->d_type != DT_UNKNOWN) {
                if (unlinkat(fd, name, 0) < 0 && errno != ENOENT)
                        return error_errno(err, "cannot remove %s", name);
                return 0;
        }
        if (!unlinkat(fd, name, AT_REMOVEDIR) || errno == ENOENT)
                return 0;
        if (errno == ENOTDIR && !unlinkat(fd, name, 0))
                return 0;
        if (depth == REMOVAL_DEPTH_MAX)
                return move_up(removal, fd, name, err);

        _cleanup_close_ int below = openat(fd, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
        struct stat st;
        if (below < 0 || fstat(below, &st) < 0)
                return error_errno(err, "cannot open %s to remove it", name);
        if (st.st_dev != removal->device)
                return error_set(err, -EXDEV, "%s is a mount point; unmount it first", name);
        int r = remove_below(removal, below, depth + 1, err);
        if (r < 0)
                return r;
        if (unlinkat(fd, name, AT_REMOVEDIR) < 0 && errno != ENOENT)
                return error_errno(err, "cannot remove the folder %s", name);
        return 0;
}

static int remove_below(struct removal *removal, int fd, unsigned depth, struct error *err)
{
        _cleanup_close_ int own = openat(fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        _cleanup_closedir_ DIR *folder = own < 0 ? NULL : fdopendir(own);
        if (!folder)
                return error_errno(err, "cannot read a folder that is to be removed");
        TAKE_FD(own);

        struct dirent *entry;
        while ((entry = readdir(folder))) {
                if (!strcmp(entry->d_name, ".") || !strcmp(entry->d_name, ".."))
                        continue;
                int r = remove_entry(removal, fd, entry, depth, err);
                if (r < 0)
                        return r;
        }
        return 0;
}

int tree_remove(int dir, const char *name, struct error *err)
{
        if (!unlinkat(dir, name, 0) || errno == ENOENT)
                return 0;
        if (errno != EISDIR && errno != EPERM)
                return error_errno(err, "cannot remove %s", name);
        _cleanup_close_ int fd = openat(dir, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
        struct stat st;
        if (fd < 0 || fstat(fd, &st) < 0)
                return errno == ENOENT ? 0 : error_errno(err, "cannot open %s to remove it", name);
        struct removal removal = { .top = fd, .device = st.st_dev };
        do {
                removal.again = false;
                int r = remove_below(&removal, fd, 1, err);
                if (r < 0)
                        return err ? error_prefix(err, "cannot remove %s", name) : r;
        } while (removal.again);
        if (unlinkat(dir, name, AT_REMOVEDIR) < 0 && errno != ENOENT)
                return error_errno(err, "cannot remove the folder %s", name);
        return 0;
}

int descriptors_close_from(int first)
{
        return syscall(SYS_close_range, first, ~0U, 0) < 0 ? -errno : 0;
}

int descriptors_seal_from(int first)
{
        return syscall(SYS_close_range, first, ~0U, CLOSE_RANGE_CLOEXEC) < 0 ? -errno : 0;
}

int descriptors_close_except(int first, const int *kept, size_t count)
{
        for (;;) {
                int next = -1;
                for (size_t i = 0; i < count; i++)
                        if (kept[i] >= first && (next < 0 || kept[i] < next))
                                next = kept[i];
                if (next < 0)
                        return descriptors_close_from(first);
                if (next > first && syscall(SYS_close_range, first, next - 1, 0) < 0)
                        return -errno;
                first = next + 1;
        }
}
