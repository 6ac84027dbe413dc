/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "image/writable_disk.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/file.h"
#include "base/process.h"
#include "base/text.h"

#define MAKER "mkfs.ext4"
#define MIB   ((uint64_t)1 << 20)

/* A journal is needed, for a machine that is killed; how much it holds, not. */
#define SMALL_JOURNAL      "size=4"
#define JOURNAL            "size=16"
#define SMALL_JOURNAL_DISK (256 * MIB)

/* mke2fs(8): the file is a hole all over, so nothing is to be zeroed, neither now nor by the guest. */
#define EXTENDED "assume_storage_prezeroed=1,lazy_itable_init=0,lazy_journal_init=1,nodiscard"

static int format(int file, uint64_t size, struct error *err)
{
        char path[32];
        char *const argv[] = { MAKER,
                               "-q",
                               "-F",
                               "-m",
                               "0",
                               "-L",
                               "onggi",
                               "-E",
                               EXTENDED,
                               "-J",
                               size < SMALL_JOURNAL_DISK ? SMALL_JOURNAL : JOURNAL,
                               path,
                               NULL };
        _cleanup_close_ int passed = fcntl(file, F_DUPFD, 3); /* without close-on-exec */
        pid_t pid;
        int code;
        snprintf(path, sizeof(path), "/proc/self/fd/%d", passed);
        int r = process_spawn(argv, (const int[]){ -1, -1, -1 }, &pid, err);
        if (r == -ENOENT)
                return error_set(err, r, MAKER " is not installed (Debian: apt install e2fsprogs)");
        if (!r)
                r = process_wait(pid, &code);
        return r < 0 ? r : code ? error_set(err, -EIO, MAKER " failed with status %d", code) : 0;
}

/* The template, made where missing: a file gets its name when it is whole. */
static int open_template(const char *root, uint64_t size, struct error *err)
{
        char name[32], link[32];
        _cleanup_free_ char *path = text_format("%s/disks", root);
        _cleanup_close_ int folder = path ? directory_make(path, 0755, err) : error_memory(err);
        if (folder < 0)
                return folder;
        snprintf(name, sizeof(name), "%" PRIu64 ".ext4", size);
        int found = openat(folder, name, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
        if (found >= 0 || errno != ENOENT)
                return found < 0 ? error_errno(err, "cannot open %s/%s", path, name) : found;
        _cleanup_close_ int file = openat(folder, ".", O_TMPFILE | O_RDWR | O_CLOEXEC, 0644);
        if (file < 0 || ftruncate(file, (off_t)size) < 0)
                return error_errno(err, "cannot make a file of %" PRIu64 " bytes in %s", size, path);
        int r = format(file, size, err);
        if (r < 0)
                return r;
        snprintf(link, sizeof(link), "/proc/self/fd/%d", file);
        if (fsync(file) < 0 || (linkat(AT_FDCWD, link, folder, name, AT_SYMLINK_FOLLOW) < 0 && errno != EEXIST))
                return error_errno(err, "cannot write %s/%s", path, name);
        return TAKE_FD(file);
}

/* What is not a hole. Returns 0 or a negative errno. */
static int copy_data(int from, int to, uint64_t size)
{
        off_t start = 0, end;
        while ((start = lseek(from, start, SEEK_DATA)) >= 0) {
                end = lseek(from, start, SEEK_HOLE);
                if (end < 0)
                        return -errno;
                off_t at = start, target = start;
                while (at < end) {
                        ssize_t n = copy_file_range(from, &at, to, &target, (size_t)(end - at), 0);
                        if (n <= 0)
                                return n < 0 ? -errno : -EIO;
                }
                start = end;
        }
        return errno != ENXIO ? -errno : ftruncate(to, (off_t)size) < 0 ? -errno : 0;
}

int writable_disk_make(const char *root, uint64_t size, int dir, const char *name, struct error *err)
{
        if (size < WRITABLE_DISK_LEAST || size > WRITABLE_DISK_MOST || size % MIB)
                return error_set(err, -EINVAL, "a disk has %llu MiB to %llu MiB, and whole ones, not %" PRIu64 " bytes",
                                 WRITABLE_DISK_LEAST / MIB, WRITABLE_DISK_MOST / MIB, size);
        _cleanup_close_ int template = open_template(root, size, err);
        if (template <0)
                return template;
        int fd = openat(dir, name, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
        int r = fd < 0 ? -errno : copy_data(template, fd, size);
        if (r < 0 && fd >= 0)
                unlinkat(dir, name, 0);
        if (fd >= 0)
                close(fd);
        return r < 0 ? error_code(err, r, "cannot make the disk %s", name) : 0;
}
