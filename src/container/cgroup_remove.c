/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "container/cgroup_tree.h"

/*
 * A killed process leaves its control group when the kernel has taken it apart: soon, unless it waits for a dead
 * device.
 */
#define REMOVE_TIMEOUT_MS 5000

static bool gone(int code)
{
        return code == -ENOENT || code == -ENODEV;
}

static int remove_one(int parent, const char *name)
{
        int r = unlinkat(parent, name, AT_REMOVEDIR) < 0 ? -errno : 0;
        return gone(r) ? 0 : r;
}

static int visit_to_remove(void *context, int parent, const char *name, int own)
{
        (void)context;
        (void)own;
        return remove_one(parent, name);
}

/* Children first. EBUSY where one of them holds processes. */
static int remove_tree(const char *path)
{
        int r = remove_one(AT_FDCWD, path);
        if (r != -EBUSY && r != -ENOTEMPTY)
                return r;
        _cleanup_close_ int own = open(path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
        if (own < 0)
                return errno == ENOENT ? 0 : -errno;
        r = cgroup_walk(own, visit_to_remove, NULL);
        return r < 0 ? r : remove_one(AT_FDCWD, path);
}

static int remove_all(const struct cgroup *cgroup, const struct cgroup_directory **busy)
{
        int result = 0;
        for (size_t i = 0; i < cgroup->count; i++) {
                const struct cgroup_directory *directory = &cgroup->directories[i];
                int r = directory->fd < 0 ? 0 : remove_tree(directory->path);
                if (r < 0) {
                        result = r;
                        *busy = directory;
                }
        }
        return result;
}

static int report(const struct cgroup *cgroup, const struct cgroup_directory *busy, int code, struct error *err)
{
        _cleanup_free_ pid_t *pids = NULL;
        size_t count = 0;
        cgroup_processes(cgroup, &pids, &count, NULL);
        if (code == -EBUSY && count && cgroup->adopted)
                return error_set(
                        err, code,
                        "cannot remove the control group %s: it holds process %d, which may not be the container's",
                        busy->path, (int)pids[0]);
        if (code == -EBUSY && count)
                return error_set(err, code,
                                 "cannot remove the control group %s: process %d and %zu more did not end in %d s "
                                 "after SIGKILL; `cat /proc/%d/stack` tells what it waits for",
                                 busy->path, (int)pids[0], count - 1, REMOVE_TIMEOUT_MS / 1000, (int)pids[0]);
        return error_code(err, code, "cannot remove the control group %s", busy->path);
}

int cgroup_remove(const struct cgroup *cgroup, struct error *err)
{
        const struct cgroup_directory *busy = NULL;
        cgroup_placeholder_end(cgroup->placeholder);
        int r = remove_all(cgroup, &busy);
        unsigned waited = 0;
        for (unsigned wait = 1; r == -EBUSY && waited < REMOVE_TIMEOUT_MS; wait = wait < 64 ? wait * 2 : wait) {
                /* Again each time: what was forking may have escaped the first. */
                if (!cgroup->adopted)
                        cgroup_kill(cgroup, SIGKILL, NULL);
                r = remove_all(cgroup, &busy);
                if (r != -EBUSY)
                        break;
                struct timespec time = { .tv_nsec = (long)wait * 1000000 };
                nanosleep(&time, NULL);
                waited += wait;
                r = remove_all(cgroup, &busy);
        }
        if (!r && cgroup->unit)
                cgroup_scope_stop(cgroup);
        return r < 0 ? report(cgroup, busy, r, err) : 0;
}
