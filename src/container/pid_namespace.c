/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "container/pid_namespace.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/nsfs.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/text.h"

static int open_namespace(pid_t pid)
{
        char path[40];
        snprintf(path, sizeof(path), "/proc/%d/ns/pid", (int)pid);
        return open(path, O_RDONLY | O_CLOEXEC);
}

/* Whether the process is in the namespace or in one below: the kernel does not lead further up than to our own. */
static bool is_in(pid_t pid, const struct stat *namespace)
{
        _cleanup_close_ int fd = open_namespace(pid);
        while (fd >= 0) {
                struct stat st;
                if (fstat(fd, &st) < 0)
                        return false;
                if (st.st_ino == namespace->st_ino && st.st_dev == namespace->st_dev)
                        return true;
                int parent = ioctl(fd, NS_GET_PARENT);
                close(fd);
                fd = parent;
        }
        return false;
}

static int append(pid_t **pids, size_t *count, pid_t pid)
{
        /* Doubles at each power of two. */
        if (!(*count & (*count - 1))) {
                pid_t *grown = reallocarray(*pids, *count ? 2 * *count : 1, sizeof(*grown));
                if (!grown)
                        return -ENOMEM;
                *pids = grown;
        }
        (*pids)[(*count)++] = pid;
        return 0;
}

int pid_namespace_processes(pid_t first, pid_t **pids, size_t *count, struct error *err)
{
        _cleanup_close_ int fd = open_namespace(first);
        struct stat namespace;
        if (fd < 0 || fstat(fd, &namespace) < 0)
                return error_errno(err, "cannot look at the pid namespace of process %d", (int)first);
        _cleanup_closedir_ DIR *processes = opendir("/proc");
        if (!processes)
                return error_errno(err, "cannot list the processes in /proc");
        _cleanup_free_ pid_t *found = NULL;
        size_t found_count = 0;
        struct dirent *entry;
        while ((entry = readdir(processes))) {
                int64_t pid;
                if (parse_i64(entry->d_name, &pid) || pid <= 0 || !is_in((pid_t)pid, &namespace))
                        continue;
                if (append(&found, &found_count, (pid_t)pid) < 0)
                        return error_memory(err);
        }
        *pids = TAKE_PTR(found);
        *count = found_count;
        return 0;
}
