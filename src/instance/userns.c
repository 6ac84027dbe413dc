/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "instance/userns.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <poll.h>
#include <pwd.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/file.h"
#include "base/json.h"
#include "base/process.h"
#include "base/test_point.h"
#include "base/text.h"

#define SUB_ID_FILE_MAX (1024 * 1024)

/* To enter: each time a process that is just ending is waited for. */
#define ENTER_TRIES      5
#define END_MILLISECONDS 1000

/* ---- Subordinate ids ---- */

struct id_range {
        uint64_t first, count;
};

/* One line of subuid(5): "<name or uid>:<first>:<count>". Returns whether it is ours and well-formed. */
static bool parse_grant(char *line, const char *name, const char *number, struct id_range *range)
{
        char *first = strchr(line, ':');
        char *count = first ? strchr(first + 1, ':') : NULL;
        if (!count)
                return false;
        *first++ = 0;
        *count++ = 0;
        if (strcmp(line, number) && (!name || strcmp(line, name)))
                return false;
        return !parse_u64(first, &range->first) && !parse_u64(count, &range->count) && range->count &&
               range->first <= UINT32_MAX && range->count <= UINT32_MAX - range->first;
}

/* Appends "<inside> <first> <count>" for each range that `file` grants, inside ids counting on from 1. */
static int append_grants(const char *file, char ***arguments, struct error *err)
{
        const struct passwd *user = getpwuid(getuid());
        char number[16];
        snprintf(number, sizeof(number), "%u", (unsigned)getuid());

        _cleanup_free_ char *text = NULL;
        int r = file_read(AT_FDCWD, file, SUB_ID_FILE_MAX, &text, NULL, err);
        if (r < 0 && r != -ENOENT)
                return r;

        uint64_t inside = 1;
        char *rest = text, *line;
        while (rest && (line = strsep(&rest, "\n"))) {
                struct id_range range;
                if (!parse_grant(line, user ? user->pw_name : NULL, number, &range))
                        continue;
                if (list_printf(arguments, "%llu", (unsigned long long)inside) < 0 ||
                    list_printf(arguments, "%llu", (unsigned long long)range.first) < 0 ||
                    list_printf(arguments, "%llu", (unsigned long long)range.count) < 0)
                        return error_memory(err);
                inside += range.count;
        }
        if (inside > 1)
                return 0;
        const char *who = user ? user->pw_name : number;
        return error_set(err, -EPERM,
                         "%s grants no ids to %s, and containers need some of their own; as root run: usermod "
                         "--add-subuids 100000-165535 --add-subgids 100000-165535 %s",
                         file, who, who);
}

/* Runs newuidmap or newgidmap, the set-user-ID helpers of the package uidmap, on `pid`. */
static int map_ids(const char *helper, const char *file, pid_t pid, unsigned self, struct error *err)
{
        _cleanup_list_ char **arguments = NULL;
        if (list_append(&arguments, helper) < 0 || list_printf(&arguments, "%d", (int)pid) < 0 ||
            list_append(&arguments, "0") < 0 || list_printf(&arguments, "%u", self) < 0 ||
            list_append(&arguments, "1") < 0)
                return error_memory(err);
        int r = append_grants(file, &arguments, err);
        if (r < 0)
                return r;

        pid_t child;
        r = process_spawn(arguments, (int[]){ -1, -1, -1 }, &child, err);
        if (r == -ENOENT)
                return error_set(err, r,
                                 "%s is not installed; it gives a user ids of their own (Debian: apt install uidmap)",
                                 helper);
        if (r < 0)
                return r;
        int code;
        r = process_wait(child, &code);
        if (r < 0 || code)
                return error_set(err, -EPERM, "%s refused to map ids of %s (its message stands above)", helper, file);
        return 0;
}

/* ---- The holder ---- */

/*
 * It stays for days, and everybody may read a command line: what the first command was told is overwritten, its
 * environment too. proc(5), /proc/PID/stat: fields 48 to 51.
 */
static void forget_arguments(void)
{
        _cleanup_free_ char *stat = NULL;
        uint64_t bounds[4] = { 0 };
        if (file_read(AT_FDCWD, "/proc/self/stat", 4096, &stat, NULL, NULL) < 0)
                return;
        char *rest = strrchr(stat, ')'), *word;
        for (unsigned field = 2; rest && field <= 51 && (word = strsep(&rest, " \n")); field++)
                if (field >= 48 && parse_u64(word, &bounds[field - 48]) < 0)
                        return;
        static const char title[] = "onggi-userns";
        for (size_t i = 0; i < 4; i += 2)
                if (bounds[i] && bounds[i] < bounds[i + 1])
                        memset((void *)(uintptr_t)bounds[i], 0, bounds[i + 1] - bounds[i]);
        /* A command line whose last byte is not zero goes on in the environment: fs/proc/base.c. */
        uint64_t end = bounds[2] == bounds[1] ? bounds[3] : bounds[1];
        if (bounds[0] && end >= bounds[0] + sizeof(title))
                memcpy((void *)(uintptr_t)bounds[0], title, sizeof(title));
}

/*
 * Never returns: waits in the new namespaces, with nothing of the caller's open, until somebody ends it. But a holder
 * that its maker died too early to remember would be found by nobody: it ends with the maker.
 */
static void hold(int remembered)
{
        char byte;
        forget_arguments();
        int null = open("/dev/null", O_RDWR);
        for (int fd = 0; fd < 3 && null >= 0; fd++)
                dup2(null, fd);
        if (read(remembered, &byte, 1) != 1)
                _exit(1);
        descriptors_close_from(3);
        prctl(PR_SET_NAME, "onggi-userns");
        setsid();
        if (chdir("/") < 0)
                _exit(1);
        for (;;)
                pause();
}

/*
 * The holder was killed while instances run: their monitors are in its user namespace, and the youngest one's mounts
 * have all that was pinned before. Only its instance's root must not be kept by the copy.
 */
static int rejoin(int monitor, const char *root)
{
        if (setns(monitor, CLONE_NEWUSER | CLONE_NEWNS) < 0 || unshare(CLONE_NEWNS) < 0)
                return -errno;
        return umount2(root, MNT_DETACH | UMOUNT_NOFOLLOW) < 0 && errno != EINVAL && errno != ENOENT ? -errno : 0;
}

static void run_later_holder(int ready, int go, int monitor, const char *root)
{
        int r = rejoin(monitor, root);
        if (!r && (setresgid(0, 0, 0) < 0 || setresuid(0, 0, 0) < 0))
                r = -errno;
        char byte = (char)-r;
        if (write(ready, &byte, 1) != 1 || byte)
                _exit(1);
        hold(go);
}

static void run_holder(int ready, int go)
{
        char byte = 0;
        /* The caller dies before it has mapped ids: a namespace without ids is of no use to anybody. */
        if (unshare(CLONE_NEWUSER | CLONE_NEWNS) < 0)
                byte = (char)errno;
        if (write(ready, &byte, 1) != 1 || byte || read(go, &byte, 1) != 1)
                _exit(1);
        if (setresgid(0, 0, 0) < 0 || setresuid(0, 0, 0) < 0 || setgroups(0, NULL) < 0 ||
            mount(NULL, "/", NULL, MS_REC | MS_SLAVE, NULL) < 0)
                byte = (char)errno;
        else
                byte = 0;
        if (write(ready, &byte, 1) != 1 || byte)
                _exit(1);
        hold(go);
}

/* One byte from the holder: the errno of its step. */
static int await_step(int ready, const char *what, struct error *err)
{
        char byte;
        ssize_t n;
        do
                n = read(ready, &byte, 1);
        while (n < 0 && errno == EINTR);
        if (n != 1)
                return error_set(err, -EPIPE, "%s: the process that was to hold it ended", what);
        if (!byte)
                return 0;
        return error_code(err, -byte, "%s (does the host allow user namespaces? `onggi doctor` tells)", what);
}

/* Both give the holder's number and a pipe: it stays once a byte was written there. */
static int start_holder(pid_t *pid, int *remembered, struct error *err)
{
        int ready[2], go[2];
        if (pipe2(ready, O_CLOEXEC) < 0)
                return error_errno(err, "cannot make a pipe");
        _cleanup_close_ int ready_in = ready[0], ready_out = ready[1];
        if (pipe2(go, O_CLOEXEC) < 0)
                return error_errno(err, "cannot make a pipe");
        _cleanup_close_ int go_in = go[0], go_out = go[1];

        pid_t child = fork();
        if (child < 0)
                return error_errno(err, "cannot start a process");
        if (!child) {
                close(ready_in);
                close(go_out);
                run_holder(ready_out, go_in);
        }
        close(TAKE_FD(ready_out));
        close(TAKE_FD(go_in));

        int r = await_step(ready_in, "cannot make a user namespace", err);
        if (!r)
                r = map_ids("newuidmap", "/etc/subuid", child, getuid(), err);
        if (!r)
                r = map_ids("newgidmap", "/etc/subgid", child, getgid(), err);
        if (!r && write(go_out, "", 1) != 1)
                r = error_errno(err, "cannot make a user namespace");
        if (!r)
                r = await_step(ready_in, "cannot become root in the user namespace", err);
        if (r < 0) {
                kill(child, SIGKILL);
                waitpid(child, NULL, 0);
                return r;
        }
        *pid = child;
        *remembered = TAKE_FD(go_out);
        return 0;
}

/* A process that ends has no namespaces already before it counts as gone. */
static void await_end(int process)
{
        struct pollfd end = { .fd = process, .events = POLLIN };
        poll(&end, 1, END_MILLISECONDS);
}

static int start_later_holder(int monitor, const char *root, pid_t *pid, int *remembered, struct error *err)
{
        int ready[2], go[2];
        if (pipe2(ready, O_CLOEXEC) < 0)
                return error_errno(err, "cannot make a pipe");
        _cleanup_close_ int ready_in = ready[0], ready_out = ready[1];
        if (pipe2(go, O_CLOEXEC) < 0)
                return error_errno(err, "cannot make a pipe");
        _cleanup_close_ int go_in = go[0], go_out = go[1];
        pid_t child = fork();
        if (child < 0)
                return error_errno(err, "cannot start a process");
        if (!child) {
                close(go_out);
                run_later_holder(ready_out, go_in, monitor, root);
        }
        close(TAKE_FD(ready_out));
        int r = await_step(ready_in, "cannot enter the user namespace of the running instances", err);
        if (r < 0) {
                kill(child, SIGKILL);
                waitpid(child, NULL, 0);
                if (r == -ESRCH)
                        await_end(monitor);
                return r;
        }
        *pid = child;
        *remembered = TAKE_FD(go_out);
        return 0;
}

/* A pidfd of the youngest monitor that lives, with its instance's root folder; -ESRCH. */
static int find_monitor(const char *state, char **root)
{
        _cleanup_free_ char *path = text_format("%s/instances", state);
        _cleanup_closedir_ DIR *instances = path ? opendir(path) : NULL;
        _cleanup_close_ int youngest = -1;
        uint64_t its_start = 0;
        struct dirent *entry;
        while (instances && (entry = readdir(instances))) {
                _cleanup_close_ int folder =
                        openat(dirfd(instances), entry->d_name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
                _cleanup_json_ json_t *run = NULL;
                if (entry->d_name[0] == '.' || folder < 0 || json_read(folder, "run.json", &run, NULL) < 0)
                        continue;
                uint64_t start = (uint64_t)json_integer_value(json_object_get(run, "monitor_start"));
                pid_t pid = (pid_t)json_integer_value(json_object_get(run, "monitor"));
                int monitor = pid > 1 && start > its_start ? process_open(pid, start) : -ESRCH;
                if (monitor < 0)
                        continue;
                cleanup_close(&youngest);
                youngest = monitor;
                its_start = start;
                free(*root);
                *root = text_format("%s/%s/rootfs", path, entry->d_name);
        }
        return youngest < 0 || !*root ? -ESRCH : TAKE_FD(youngest);
}

/* ---- Joining ---- */

/* A pidfd of the holder that <state>/userns.json names, or -ESRCH. */
static int find_holder(int state, pid_t *pid)
{
        _cleanup_json_ json_t *saved = NULL;
        if (json_read(state, "userns.json", &saved, NULL) < 0)
                return -ESRCH;
        struct json_reader reader = { .document = "userns.json" };
        struct json_at root = json_root(&reader, saved);
        int64_t number = 0;
        uint64_t start = 0;
        if (!json_get_i64(&root, "pid", 1, INT32_MAX, &number) || !json_get_u64(&root, "start", &start) || !start)
                return -ESRCH;
        *pid = (pid_t)number;
        return process_open(*pid, start);
}

static int remember_holder(int state, pid_t pid, struct error *err)
{
        uint64_t start;
        int r = process_start_time(pid, &start);
        if (r < 0)
                return error_code(err, r, "the process that holds the user namespace");
        _cleanup_json_ json_t *saved = json_pack("{s:i, s:I}", "pid", (int)pid, "start", (json_int_t)start);
        if (!saved)
                return error_memory(err);
        return json_replace(state, "userns.json", saved, false, err);
}

static int join(int holder, struct error *err)
{
        /* setns(2) with a pidfd: both at once, of exactly that process. */
        if (setns(holder, CLONE_NEWUSER | CLONE_NEWNS) < 0)
                return error_errno(err, "cannot enter the user namespace that your containers share");
        if (setresgid(0, 0, 0) < 0 || setresuid(0, 0, 0) < 0)
                return error_errno(err, "cannot become root in the user namespace");
        return 0;
}

static int find_or_start_holder(const char *path, int state, struct error *err)
{
        pid_t pid;
        int holder = find_holder(state, &pid);
        if (holder >= 0)
                return holder;

        _cleanup_close_ int lock = lock_take(state, "userns.lock", true, err);
        if (lock < 0)
                return lock;
        /* Another command may have made it meanwhile. */
        holder = find_holder(state, &pid);
        if (holder >= 0)
                return holder;

        _cleanup_free_ char *root = NULL;
        _cleanup_close_ int monitor = find_monitor(path, &root);
        _cleanup_close_ int remembered = -1;
        int r = monitor < 0 ? start_holder(&pid, &remembered, err)
                            : start_later_holder(monitor, root, &pid, &remembered, err);
        if (r < 0)
                return r;
        test_point("userns.holder.started");
        r = remember_holder(state, pid, err);
        if (!r && write(remembered, "", 1) != 1)
                r = error_errno(err, "cannot tell the process that holds the user namespace to stay");
        if (r < 0) {
                kill(pid, SIGKILL);
                waitpid(pid, NULL, 0);
                return r;
        }
        holder = process_open(pid, 0);
        return holder < 0 ? error_code(err, holder, "the process that holds the user namespace") : holder;
}

/* -ESRCH: the holder, or the monitor that was to lead to its successor, was at its very end. */
static int enter_once(const char *state, int state_fd, struct error *err)
{
        _cleanup_close_ int holder = find_or_start_holder(state, state_fd, err);
        if (holder < 0)
                return holder;
        int r = join(holder, err);
        if (r == -ESRCH)
                await_end(holder);
        return r;
}

int userns_enter(const char *state, struct error *err)
{
        _cleanup_free_ char *folder = getcwd(NULL, 0);
        _cleanup_close_ int state_fd = open(state, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        if (state_fd < 0)
                return error_errno(err, "cannot open the folder %s", state);
        int r = -ESRCH;
        for (unsigned tries = 0; r == -ESRCH && tries < ENTER_TRIES; tries++)
                r = enter_once(state, state_fd, err);
        if (r < 0)
                return r;
        /* setns(2) into a mount namespace moves to its root. */
        if (folder && chdir(folder) < 0)
                return error_errno(err, "cannot go back to the folder %s inside the user namespace", folder);
        return 0;
}

int userns_end(const char *state, struct error *err)
{
        _cleanup_close_ int state_fd = open(state, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        if (state_fd < 0)
                return errno == ENOENT ? 0 : error_errno(err, "cannot open the folder %s", state);
        pid_t pid;
        _cleanup_close_ int holder = find_holder(state_fd, &pid);
        if (holder < 0)
                return 0;
        int r = process_signal(holder, SIGKILL);
        if (r < 0 && r != -ESRCH)
                return error_code(err, r, "cannot end the process that holds the user namespace");
        unlinkat(state_fd, "userns.json", 0);
        return 0;
}
