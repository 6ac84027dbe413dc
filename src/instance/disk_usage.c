/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "instance/disk_usage.h"

#include <dirent.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/text.h"

#define DEPTH_MAX 256

static uint64_t usage(int dir, const char *name, unsigned depth)
{
        _cleanup_close_ int fd = openat(dir, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
        int own = fd < 0 ? -1 : dup(fd);
        _cleanup_closedir_ DIR *folder = own < 0 ? NULL : fdopendir(own);
        struct dirent *entry;
        struct stat st;
        uint64_t sum = 0;
        while (folder && depth < DEPTH_MAX && (entry = readdir(folder))) {
                if (text_equal(entry->d_name, ".") || text_equal(entry->d_name, "..") ||
                    fstatat(fd, entry->d_name, &st, AT_SYMLINK_NOFOLLOW) < 0)
                        continue;
                sum += (uint64_t)st.st_blocks * 512;
                if (S_ISDIR(st.st_mode))
                        sum += usage(fd, entry->d_name, depth + 1);
        }
        return sum;
}

uint64_t disk_usage(int dir, const char *name)
{
        struct stat st;
        if (!fstatat(dir, name, &st, AT_SYMLINK_NOFOLLOW) && S_ISREG(st.st_mode))
                return (uint64_t)st.st_blocks * 512;
        return usage(dir, name, 0);
}
