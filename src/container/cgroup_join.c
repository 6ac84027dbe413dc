/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/file.h"
#include "container/cgroup_tree.h"

/*
 * A process that moves itself by v1's "tasks" is moved without the lock on all forks and exits of the host (the
 * kernel's cgroup_threadgroup_rwsem), whose first writer waits for an RCU grace period: some 10 ms.
 */
static const char *join_file(const struct cgroup_directory *directory, bool itself)
{
        return directory->version == 1 && itself ? "tasks" : "cgroup.procs";
}

int cgroup_prepare_join(struct cgroup *cgroup, struct error *err)
{
        for (size_t i = 0; i < cgroup->count; i++) {
                struct cgroup_directory *directory = &cgroup->directories[i];
                /* v2 is entered by CLONE_INTO_CGROUP. */
                if (directory->fd < 0 || directory->join >= 0 || directory->version == 2)
                        continue;
                directory->join = openat(directory->fd, "tasks", O_WRONLY | O_CLOEXEC);
                if (directory->join < 0 && !cgroup->rootless)
                        return error_errno(err, "cannot open %s/tasks", directory->path);
        }
        return 0;
}

static int join(const struct cgroup_directory *directory, const char *number, bool itself)
{
        if (!itself || directory->join < 0)
                return control_write(directory->fd, join_file(directory, itself), number);
        ssize_t n;
        do
                n = write(directory->join, number, strlen(number));
        while (n < 0 && errno == EINTR);
        return n < 0 ? -errno : 0;
}

static int explain(const struct cgroup_directory *directory, int code, struct error *err)
{
        if (code == -ENOENT || code == -ENODEV)
                return error_set(err, code, "cannot enter the control group %s: it is gone; something else removed it",
                                 directory->path);
        if (code == -EBUSY && directory->version == 2)
                return error_set(err, code,
                                 "cannot enter the control group %s: it has controllers enabled for its children, and "
                                 "cgroup v2 wants processes in leaves",
                                 directory->path);
        if (code == -ENOSPC)
                return error_set(err, code,
                                 "cannot enter the control group %s: its cpuset has no processors or memory nodes",
                                 directory->path);
        return error_code(err, code, "cannot enter the control group %s", directory->path);
}

int cgroup_join(const struct cgroup *cgroup, pid_t pid, bool only_v1, struct error *err)
{
        char number[16];
        snprintf(number, sizeof(number), "%d", (int)pid);
        for (size_t i = 0; i < cgroup->count; i++) {
                const struct cgroup_directory *directory = &cgroup->directories[i];
                if (directory->fd < 0 || (only_v1 && directory->version == 2))
                        continue;
                int r = join(directory, number, !pid);
                if (r < 0 && !(cgroup->rootless && (r == -EACCES || r == -EPERM)))
                        return explain(directory, r, err);
        }
        return 0;
}

static int hand_over(const struct cgroup_directory *directory, const char *file, uid_t uid, gid_t gid,
                     struct error *err)
{
        if (!fchownat(directory->fd, file, uid, gid, AT_SYMLINK_NOFOLLOW | (*file ? 0 : AT_EMPTY_PATH)) ||
            errno == ENOENT)
                return 0;
        return error_errno(err, "cannot give %s/%s to the container's root", directory->path, file);
}

int cgroup_delegate(const struct cgroup *cgroup, uid_t uid, gid_t gid, struct error *err)
{
        const struct cgroup_directory *unified = cgroup_unified(cgroup);
        if (!unified)
                return 0;
        int r = hand_over(unified, "", uid, gid, err);

        _cleanup_free_ char *list = NULL;
        if (file_read(AT_FDCWD, "/sys/kernel/cgroup/delegate", CONTROL_FILE_MAX, &list, NULL, NULL) < 0)
                list = strdup("cgroup.procs\ncgroup.subtree_control\ncgroup.threads\n");
        if (!list)
                return error_memory(err);
        char *rest = NULL;
        for (char *file = strtok_r(list, "\n", &rest); !r && file; file = strtok_r(NULL, "\n", &rest))
                if (!strchr(file, '/'))
                        r = hand_over(unified, file, uid, gid, err);
        return r;
}
