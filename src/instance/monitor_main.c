/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <errno.h>
#include <fcntl.h>
#include <malloc.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/timerfd.h>
#include <unistd.h>

#include "base/file.h"
#include "base/json.h"
#include "base/test_point.h"
#include "base/text.h"
#include "instance/monitor.h"
#include "runtime_vm/machine_annotations.h"

uint64_t monitor_clock(void)
{
        struct timespec now;
        clock_gettime(CLOCK_MONOTONIC, &now);
        return (uint64_t)now.tv_sec * 1000000000 + (uint64_t)now.tv_nsec;
}

int monitor_watch(struct monitor *monitor, struct source *source, uint32_t events)
{
        struct epoll_event event = { .events = events, .data.ptr = source };
        if (!epoll_ctl(monitor->epoll, EPOLL_CTL_MOD, source->fd, &event))
                return 0;
        return epoll_ctl(monitor->epoll, EPOLL_CTL_ADD, source->fd, &event) < 0 ? -errno : 0;
}

void monitor_forget(struct monitor *monitor, struct source *source)
{
        if (source->fd < 0)
                return;
        epoll_ctl(monitor->epoll, EPOLL_CTL_DEL, source->fd, NULL);
        close(source->fd);
        source->fd = -1;
}

int monitor_timer(struct monitor *monitor, struct source *source, uint64_t nanoseconds)
{
        if (source->fd < 0) {
                if (!nanoseconds)
                        return 0;
                source->fd = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK);
                if (source->fd < 0 || monitor_watch(monitor, source, EPOLLIN) < 0)
                        return -errno;
        }
        struct itimerspec when = { .it_value = { .tv_sec = (time_t)(nanoseconds / 1000000000),
                                                 .tv_nsec = (long)(nanoseconds % 1000000000) } };
        return timerfd_settime(source->fd, 0, &when, NULL) < 0 ? -errno : 0;
}

static int read_settings(struct monitor *monitor, struct error *err)
{
        int r = json_read(monitor->run_folder, "monitor.json", &monitor->settings, err);
        if (r < 0)
                return r;
        struct json_reader reader = { .document = "monitor.json", .err = err };
        struct json_at root = json_root(&reader, monitor->settings);
        const char *policy = NULL;
        int64_t signal = SIGTERM, files = 1;
        uint64_t size = 0;
        json_need_string(&root, "id", &monitor->id);
        json_need_string(&root, "name", &monitor->name);
        json_need_string(&root, "image", &monitor->image);
        json_need_string(&root, "runtime", &monitor->runtime);
        json_need_string(&root, "containers", &monitor->containers);
        json_get_string(&root, "guardian", &monitor->guardian);
        json_get_string(&root, "engine", &monitor->engine);
        json_need_string(&root, "root", &monitor->root);
        json_need_string(&root, "state", &monitor->state);
        json_need_string(&root, "finish", &monitor->finish);
        json_need_string(&root, "cgroup", &monitor->cgroup);
        json_get_bool(&root, "tty", &monitor->tty);
        json_get_bool(&root, "interactive", &monitor->interactive);
        json_get_bool(&root, "rootless", &monitor->rootless);
        json_get_bool(&root, "keeps_log", &monitor->keeps_log);
        json_get_bool(&root, "removes", &monitor->removes);
        json_get_i64(&root, "stop_signal", 1, 64, &signal);
        json_get_i64(&root, "stop_timeout", 0, INT64_MAX / 1000000, &monitor->stop_timeout);
        json_get_i64(&root, "log_files", 1, 1000, &files);
        json_get_u64(&root, "log_size", &size);
        json_get_string(&root, "restart", &policy);
        int64_t flags = 0;
        json_get_i64(&root, "starter", 0, INT32_MAX, &flags);
        if (json_failed(&root))
                return json_failed(&root);
        monitor->stop_signal = (int)signal;
        r = restart_policy_parse(policy, &monitor->policy, err);
        if (!r && monitor->keeps_log)
                r = log_open(&monitor->log, monitor->folder, size, (unsigned)files, err);
        health_read(monitor, json_object_get(monitor->settings, "health"));
        if (!r && !clients_add(monitor, MONITOR_FD_STARTER, (uint32_t)flags))
                r = error_memory(err);
        return r;
}

/*
 * The mount that the state folder lies on becomes private: other instances' network namespaces are pinned there, and
 * copies of their pins would come to every monitor. (Those there already go when their files are unlinked.)
 */
static int isolate_state(const struct monitor *monitor)
{
        char *path = strdupa(monitor->run_path);
        struct statx here, above;
        if (statx(AT_FDCWD, path, 0, STATX_MNT_ID, &here) < 0)
                return -errno;
        for (char *slash; path[1] && (slash = strrchr(path, '/'));) {
                _cleanup_free_ char *parent = slash == path ? strdup("/") : strndup(path, (size_t)(slash - path));
                if (!parent || statx(AT_FDCWD, parent, 0, STATX_MNT_ID, &above) < 0)
                        return -errno;
                if (above.stx_mnt_id != here.stx_mnt_id)
                        break;
                memcpy(path, parent, strlen(parent) + 1);
        }
        return syscall(SYS_mount, NULL, path, NULL, MS_PRIVATE, NULL) < 0 ? -errno : 0;
}

/* No mount of the instance is ever in the host's table; the host's unmounts still reach us (slave), so we hold
 * nothing up. */
static int enter_mounts(struct monitor *monitor, struct error *err)
{
        if (unshare(CLONE_NEWNS) < 0)
                return error_errno(err, "cannot make a mount namespace");
        if (syscall(SYS_mount, NULL, "/", NULL, MS_REC | MS_SLAVE, NULL) < 0)
                return error_errno(err, "cannot make the mounts slaves of the host's");
        int r = isolate_state(monitor);
        if (r < 0)
                return error_code(err, r, "cannot make the mount of %s private", monitor->state);
        /* By its path: the descriptor of the run folder leads to the host's namespace. */
        _cleanup_free_ char *target = text_format("%s/rootfs", monitor->run_path);
        if (!target)
                return error_memory(err);
        if (syscall(SYS_move_mount, MONITOR_FD_ROOT, "", AT_FDCWD, target, MOVE_MOUNT_F_EMPTY_PATH) < 0)
                return error_errno(err, "cannot attach the instance's root file system");
        close(MONITOR_FD_ROOT);
        return 0;
}

/* With the starter's connection in epoll's hands already, a failure is told by it. */
static int prepare(struct monitor *monitor, struct error *err)
{
        sigset_t mask;
        sigfillset(&mask);
        for (const int *signal = (const int[]){ SIGSEGV, SIGBUS, SIGILL, SIGFPE, SIGABRT, SIGSYS, 0 }; *signal;
             signal++)
                sigdelset(&mask, *signal);
        sigprocmask(SIG_SETMASK, &mask, NULL);
        sigset_t wanted;
        sigemptyset(&wanted);
        sigaddset(&wanted, SIGCHLD);
        sigaddset(&wanted, SIGTERM);
        monitor->epoll = epoll_create1(EPOLL_CLOEXEC);
        monitor->signals.fd = signalfd(-1, &wanted, SFD_CLOEXEC | SFD_NONBLOCK);
        if (monitor->epoll < 0 || monitor->signals.fd < 0 || monitor_watch(monitor, &monitor->signals, EPOLLIN) < 0)
                return error_errno(err, "cannot watch for signals");
        /* The container's first process is a child of the runtime; when that ends it becomes ours to wait for. */
        if (prctl(PR_SET_CHILD_SUBREAPER, 1) < 0)
                return error_errno(err, "cannot become a subreaper");
        int r = read_settings(monitor, err);
        if (!r)
                r = enter_mounts(monitor, err);
        test_point("monitor.mounted");
        if (!r)
                r = clients_open(monitor, err);
        return r;
}

static void loop(struct monitor *monitor)
{
        while (!monitor->over) {
                /*
                 * One at a time: a source may be forgotten by what another's event led to. Asked for one, the kernel
                 * gives each source its turn, so output without end does not hide that the program ended.
                 */
                struct epoll_event event;
                if (epoll_wait(monitor->epoll, &event, 1, -1) > 0) {
                        struct source *source = event.data.ptr;
                        source->ready(monitor, source, event.events);
                }
        }
}

/* The rest needs the network library, which is not in this small program: another takes our place (and keeps our
 * number). */
static void hand_over(struct monitor *monitor)
{
        clients_flush(monitor);
        if (clients_will_finish(monitor)) {
                clients_send(monitor, HELLO_EXIT, MESSAGE_ENDED, NULL, 0);
                return;
        }
        sigset_t none;
        sigemptyset(&none);
        sigprocmask(SIG_SETMASK, &none, NULL);
        execl(monitor->finish, "onggi-finish", monitor->root, monitor->state, monitor->id, NULL);
}

static void refuse(int code, const char *text)
{
        message_send(MONITOR_FD_STARTER, MESSAGE_FAILED, &(int32_t){ code }, 1, text, strlen(text));
}

int main(int argc, char **argv)
{
        if (argc != 2 || argv[1][0] != '/') {
                dprintf(STDERR_FILENO, "onggi-monitor is started by onggi; it is of no use on its own\n");
                return 125;
        }
        setenv(MACHINE_FILES_VARIABLE, "1", 1); /* the annotations of our bundles are ours */
        struct monitor monitor = {
                .run_path = argv[1],
                .folder = MONITOR_FD_FOLDER,
                .pidfd = -1,
                .container = { -1, -1, -1 },
                .log.fd = -1,
                .signals = { -1, life_signals },
                .listener.fd = -1,
                .output.fd = -1,
                .error.fd = -1,
                .terminal.fd = -1,
                .input.fd = -1,
                .restart_timer.fd = -1,
                .stop_timer.fd = -1,
                .health = { .timer.fd = -1, .output.fd = -1 },
                .status = "created",
                .stop_timeout = 10000,
        };
        descriptors_close_from(MONITOR_FD_COUNT);
        for (int fd = MONITOR_FD_STARTER; fd < MONITOR_FD_COUNT; fd++)
                fcntl(fd, F_SETFD, FD_CLOEXEC);
        struct error err = { 0 };
        monitor.run_folder = open(argv[1], O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        monitor.scratch = malloc(sizeof(*monitor.scratch));
        int r = monitor.run_folder < 0 || !monitor.scratch ? error_errno(&err, "cannot open %s", argv[1]) : 0;
        if (!r)
                r = prepare(&monitor, &err);
        if (r < 0) {
                refuse(125, err.text);
                return 125;
        }
        if (life_start(&monitor, &err) < 0)
                return 125; /* the starter was told and undoes what it did */
        malloc_trim(0);
        loop(&monitor);
        hand_over(&monitor);
        return 0;
}
