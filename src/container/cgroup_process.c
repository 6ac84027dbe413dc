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
#include "base/file.h"
#include "base/process.h"
#include "container/cgroup_tree.h"

/* A task in an uninterruptible sleep (a dead disk) freezes when it wakes, which may be never. */
#define FREEZE_TIMEOUT_MS 10000

/* How often threads are looked at where no event tells that they stand. */
#define FREEZE_LOOK_MS 50

#define PF_KTHREAD 0x00200000 /* linux/sched.h; proc_pid_stat(5) field 9 */

struct pid_list {
        pid_t *pids;
        size_t count, room;
};

static int append_pid(struct pid_list *list, pid_t pid)
{
        if (list->count == list->room) {
                size_t room = list->room ? list->room * 2 : 64;
                pid_t *grown = reallocarray(list->pids, room, sizeof(*grown));
                if (!grown)
                        return -ENOMEM;
                list->pids = grown;
                list->room = room;
        }
        list->pids[list->count++] = pid;
        return 0;
}

static int read_processes(int directory, struct pid_list *list)
{
        _cleanup_free_ char *text = NULL;
        int r = file_read(directory, "cgroup.procs", CONTROL_FILE_MAX, &text, NULL, NULL);
        /* EOPNOTSUPP: a threaded child, whose processes its domain lists */
        if (r < 0)
                return r == -ENODEV || r == -ENOENT || r == -EOPNOTSUPP ? 0 : r;
        for (char *line = text; !r && *line;) {
                char *end = line;
                long pid = strtol(line, &end, 10);
                if (end == line)
                        break;
                if (pid > 0) /* 0: a process of a pid namespace that we cannot see */
                        r = append_pid(list, (pid_t)pid);
                line = end + strspn(end, "\n");
        }
        return r;
}

static int visit_processes(void *list, int parent, const char *name, int own)
{
        (void)parent;
        (void)name;
        return read_processes(own, list);
}

int cgroup_processes(const struct cgroup *cgroup, pid_t **pids, size_t *count, struct error *err)
{
        struct pid_list list = { 0 };
        const struct cgroup_directory *directory = cgroup_main(cgroup);
        int r = directory ? read_processes(directory->fd, &list) : 0;
        if (directory && !r)
                r = cgroup_walk(directory->fd, visit_processes, &list);
        if (r < 0) {
                free(list.pids);
                return error_code(err, r, "cannot list the processes of the control group %s", directory->path);
        }
        *pids = list.pids;
        *count = list.count;
        return 0;
}

/* ---- freezing ---- */

static int64_t now_ms(void)
{
        struct timespec time;
        clock_gettime(CLOCK_MONOTONIC, &time);
        return (int64_t)time.tv_sec * 1000 + time.tv_nsec / 1000000;
}

static void pause_ms(unsigned ms)
{
        struct timespec time = { .tv_nsec = (long)ms * 1000000 };
        nanosleep(&time, NULL);
}

/* v1 has no event for it: look again, ever more slowly. A task that was born meanwhile is caught by writing again. */
static int set_freezer(const struct cgroup_directory *directory, bool frozen)
{
        const char *target = frozen ? "FROZEN" : "THAWED";
        int64_t deadline = now_ms() + FREEZE_TIMEOUT_MS;
        for (unsigned wait = 0;; wait = wait < 32 ? wait * 2 + !wait : wait) {
                char state[16];
                int r = control_write(directory->fd, "freezer.state", target);
                ssize_t n = r < 0 ? r : control_read(directory->fd, "freezer.state", state, sizeof(state));
                if (n < 0)
                        return (int)n;
                if (!strcmp(state, target))
                        return 0;
                if (now_ms() > deadline)
                        return -ETIMEDOUT;
                pause_ms(wait);
        }
}

static int events_frozen(int fd)
{
        char text[256];
        ssize_t n = pread(fd, text, sizeof(text) - 1, 0);
        if (n < 0)
                return -errno;
        text[n] = 0;
        const char *frozen = strstr(text, "frozen ");
        return frozen ? frozen[strlen("frozen ")] == '1' : -EOPNOTSUPP;
}

/* Of a thread: 1 one of the kernel's, 0 one that stands, -1 one that runs or cannot be interrupted. */
static int look_at_thread(long thread)
{
        char path[32], state = 'X';
        unsigned flags = 0;
        _cleanup_free_ char *text = NULL;
        snprintf(path, sizeof(path), "/proc/%ld/stat", thread);
        if (file_read(AT_FDCWD, path, 4096, &text, NULL, NULL) < 0)
                return 0; /* it ended */
        const char *name_end = strrchr(text, ')');
        if (!name_end || sscanf(name_end + 1, " %c %*d %*d %*d %*d %*d %u", &state, &flags) != 2)
                return -1;
        if (flags & PF_KTHREAD)
                return 1;
        return state == 'R' || state == 'D' ? -1 : 0;
}

/*
 * A kernel thread in the group never freezes, and the group counts as not frozen for ever: before Linux 6.13 KVM puts one
 * into that of each virtual machine (kvm-nx-lpage-recovery). What matters is that all others stand.
 */
static bool all_but_kernel_threads_stand(const struct cgroup_directory *directory)
{
        _cleanup_free_ char *text = NULL;
        bool of_kernel = false;
        if (file_read(directory->fd, "cgroup.threads", CONTROL_FILE_MAX, &text, NULL, NULL) < 0)
                return false;
        for (char *line = text, *end; *line; line = end + strspn(end, "\n")) {
                long thread = strtol(line, &end, 10);
                int looked = end == line ? -1 : look_at_thread(thread);
                if (looked < 0)
                        return false;
                of_kernel |= looked > 0;
        }
        return of_kernel;
}

static int set_frozen(const struct cgroup_directory *directory, bool frozen)
{
        _cleanup_close_ int events = openat(directory->fd, "cgroup.events", O_RDONLY | O_CLOEXEC);
        if (events < 0)
                return -errno;
        int r = control_write(directory->fd, "cgroup.freeze", frozen ? "1" : "0");
        int64_t deadline = now_ms() + FREEZE_TIMEOUT_MS;
        while (r >= 0) {
                /* Reading arms the next event, so none between this look and the poll is lost. */
                int state = events_frozen(events);
                if (state < 0 || state == frozen)
                        return state < 0 ? state : 0;
                if (frozen && all_but_kernel_threads_stand(directory))
                        return 0;
                int64_t left = deadline - now_ms();
                struct pollfd event = { .fd = events, .events = POLLPRI };
                if (left <= 0)
                        return -ETIMEDOUT;
                if (poll(&event, 1, left < FREEZE_LOOK_MS ? (int)left : FREEZE_LOOK_MS) < 0 && errno != EINTR)
                        r = -errno;
        }
        return r;
}

static int freeze_directory(const struct cgroup_directory *directory, bool frozen)
{
        return directory->version == 2 ? set_frozen(directory, frozen) : set_freezer(directory, frozen);
}

/* The v1 freezer where the host has one, else v2's own; NULL where neither can freeze. */
static const struct cgroup_directory *freezing(const struct cgroup *cgroup)
{
        const struct cgroup_directory *freezer = cgroup_find(cgroup, CONTROLLER_FREEZER);
        return freezer ? freezer : cgroup_unified(cgroup);
}

int cgroup_freeze(const struct cgroup *cgroup, bool frozen, struct error *err)
{
        const struct cgroup_directory *directory = freezing(cgroup);
        if (!directory)
                return error_set(err, -EOPNOTSUPP,
                                 "this container cannot be paused: it has neither a freezer control group nor a "
                                 "cgroup v2 one");
        int r = freeze_directory(directory, frozen);
        if (r < 0 && frozen) {
                freeze_directory(directory, false);
                if (r == -ETIMEDOUT)
                        return error_set(err, r,
                                         "the control group %s did not freeze in %d s (a process sleeps "
                                         "uninterruptibly); it runs again",
                                         directory->path, FREEZE_TIMEOUT_MS / 1000);
        }
        return r < 0 ? error_code(err, r, "cannot %s the control group %s", frozen ? "freeze" : "thaw", directory->path)
                     : 0;
}

bool cgroup_is_frozen(const struct cgroup *cgroup)
{
        char text[256];
        const struct cgroup_directory *directory = freezing(cgroup);
        if (!directory)
                return false;
        if (directory->version == 1)
                return control_read(directory->fd, "freezer.state", text, sizeof(text)) > 0 && !strcmp(text, "FROZEN");
        if (control_read(directory->fd, "cgroup.events", text, sizeof(text)) <= 0)
                return false;
        return strstr(text, "frozen 1") || (control_read(directory->fd, "cgroup.freeze", text, sizeof(text)) > 0 &&
                                            !strcmp(text, "1") && all_but_kernel_threads_stand(directory));
}

/* ---- signals ---- */

static int signal_processes(const struct cgroup *cgroup, int signal, struct error *err)
{
        _cleanup_free_ pid_t *pids = NULL;
        size_t count = 0;
        int r = cgroup_processes(cgroup, &pids, &count, err);
        for (size_t i = 0; !r && i < count; i++)
                if (kill(pids[i], signal) < 0 && errno != ESRCH)
                        r = error_errno(err, "cannot send %s to process %d", signal_name(signal), (int)pids[i]);
        return r;
}

/* Frozen, no process ends or is born between the list and the signals, so a number cannot come to mean another one. */
static int signal_frozen(const struct cgroup *cgroup, int signal, struct error *err)
{
        const struct cgroup_directory *directory = freezing(cgroup);
        bool before = cgroup_is_frozen(cgroup);
        int r = directory && !before ? freeze_directory(directory, true) : 0;
        /* What cannot be frozen is signalled all the same. */
        r = signal_processes(cgroup, signal, err);
        if (directory && (!before || signal == SIGKILL)) {
                int thawed = freeze_directory(directory, false);
                if (thawed < 0 && thawed != -ENOENT && thawed != -ENODEV && !r)
                        r = error_code(err, thawed, "cannot thaw the control group %s", directory->path);
        }
        return r;
}

int cgroup_kill(const struct cgroup *cgroup, int signal, struct error *err)
{
        const struct cgroup_directory *unified = cgroup_unified(cgroup);
        bool only_v2 = unified && cgroup_main(cgroup) == unified;
        if (signal == SIGKILL && only_v2 && !control_write(unified->fd, "cgroup.kill", "1"))
                return 0;
        return signal_frozen(cgroup, signal, err);
}
