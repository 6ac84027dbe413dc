/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "hosted/initrd.h"

#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/text.h"

#define ARCHIVES_MAX 8
#define BYTES_MAX    (4ULL << 30) /* a 32-bit field says how many: Linux, Documentation/arch/x86/boot.rst, ramdisk_size */

struct archive {
        int fd;
        size_t length, at;
};

static void close_archives(struct archive (*archives)[ARCHIVES_MAX])
{
        for (size_t i = 0; i < ARCHIVES_MAX; i++)
                if ((*archives)[i].fd >= 0)
                        close((*archives)[i].fd);
}

static int open_archives(char *const *paths, struct archive *archives, size_t *total, struct error *err)
{
        *total = 0;
        for (size_t i = 0; paths[i]; i++) {
                struct stat st;
                archives[i].fd = open(paths[i], O_RDONLY | O_CLOEXEC);
                if (archives[i].fd < 0 || fstat(archives[i].fd, &st) < 0)
                        return error_errno(err, "cannot open %s", paths[i]);
                if (!S_ISREG(st.st_mode) || !st.st_size)
                        return error_set(err, -EINVAL, "%s is not a file with contents", paths[i]);
                archives[i].at = (*total + 3) & ~(size_t)3;
                archives[i].length = (size_t)st.st_size;
                if ((uint64_t)st.st_size >= BYTES_MAX || archives[i].at + archives[i].length >= BYTES_MAX)
                        return error_set(err, -EFBIG, "%s: an initial RAM disk has less than 4 GiB", paths[i]);
                *total = archives[i].at + archives[i].length;
        }
        return 0;
}

static int read_archive(const struct archive *archive, uint8_t *area, const char *path, struct error *err)
{
        for (size_t done = 0; done < archive->length;) {
                ssize_t n = pread(archive->fd, area + archive->at + done, archive->length - done, (off_t)done);
                if (n < 0 && errno == EINTR)
                        continue;
                if (n < 0)
                        return error_errno(err, "cannot read %s", path);
                if (!n)
                        return error_set(err, -EIO, "%s became shorter while it was read", path);
                done += (size_t)n;
        }
        return 0;
}

int initrd_open(char *const *paths, const void **bytes, size_t *length, struct error *err)
{
        struct archive archives[ARCHIVES_MAX] __attribute__((cleanup(close_archives)));
        size_t count = list_length(paths), total;
        for (size_t i = 0; i < ARCHIVES_MAX; i++)
                archives[i].fd = -1;
        *bytes = NULL;
        *length = 0;
        if (!count)
                return 0;
        if (count > ARCHIVES_MAX)
                return error_set(err, -EINVAL, "--initrd: at most %d archives", ARCHIVES_MAX);
        int r = open_archives(paths, archives, &total, err);
        if (r < 0)
                return r;
        uint8_t *area = mmap(NULL, total, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        if (area == MAP_FAILED)
                return error_errno(err, "cannot map %zu bytes of initial RAM disk", total);
        if (mmap(area, archives[0].length, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_FIXED, archives[0].fd, 0) ==
            MAP_FAILED)
                r = error_errno(err, "cannot map %s", paths[0]);
        for (size_t i = 1; i < count && !r; i++)
                r = read_archive(&archives[i], area, paths[i], err);
        if (r < 0) {
                munmap(area, total);
                return r;
        }
        *bytes = area;
        *length = total;
        return 0;
}

void initrd_close(const void *bytes, size_t length)
{
        if (bytes)
                munmap((void *)bytes, length);
}
