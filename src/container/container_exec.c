/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "container/container_exec.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/sched.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/file.h"
#include "base/process.h"
#include "base/text.h"
#include "container/channel.h"
#include "container/clone.h"
#include "container/console.h"
#include "container/exec_program.h"
#include "container/execution.h"
#include "container/oom_score.h"

/* One exec in the making: filled by the runtime, copied with its memory into the new process. */
struct joining {
        const struct exec_options *options;
        struct state *state;
        struct config *config;
        json_t *document; /* of --process */
        struct seccomp *seccomp;
        struct cgroup *cgroup;
        int target; /* pidfd of the container's first process */
        bool may_set_groups;
        int channel[2], console;
        pid_t pid;
        int pidfd;
};

/* ---- inside ---- */

static int open_terminal(const struct joining *joining, int *slave, struct error *err)
{
        if (!joining->config->program.terminal)
                return 0;
        _cleanup_close_ int root = open("/", O_PATH | O_DIRECTORY | O_CLOEXEC);
        if (root < 0)
                return error_errno(err, "cannot open the container's root");
        _cleanup_close_ int master = -1;
        int r = console_open(root, &joining->config->program, &master, slave, err);
        if (r < 0)
                return r;
        if (joining->console >= 0)
                return console_send(joining->console, master, err);
        r = channel_send(joining->channel[1], MESSAGE_TERMINAL, 0, NULL, master);
        return r < 0 ? error_code(err, r, "cannot hand over the terminal") : 0;
}

static int join_cgroup(const struct joining *joining, struct error *err)
{
        const struct scheduling *scheduling = &joining->config->program.scheduling;
        int r = scheduling->has_initial_cpus ? scheduling_pin(&scheduling->initial_cpus, 0, err) : 0;
        if (!r)
                r = cgroup_join(joining->cgroup, 0, cgroup_directory(joining->cgroup) >= 0, err);
        if (!r && scheduling->has_final_cpus)
                r = scheduling_pin(&scheduling->final_cpus, 0, err);
        return r;
}

static void __attribute__((noreturn)) run(struct joining *joining, struct execution *execution)
{
        struct error err = { 0 };
        int r = open_terminal(joining, &execution->terminal, &err);
        if (!r)
                r = join_cgroup(joining, &err);
        if (!r)
                r = execution_prepare(execution, &err);
        if (!r)
                execution_finish(execution, &err);
        channel_report(joining->channel[1], &err);
        _exit(255);
}

/*
 * The process in between, as for the first process (first_process.c): all namespaces at once, then a child in the pid
 * namespace. So nothing is ever seen by the container's processes that is still among the host's files: one that holds
 * CAP_SYS_PTRACE could walk in by its /proc/PID/root.
 */
static void __attribute__((noreturn)) stage(struct joining *joining)
{
        struct error err = { 0 };
        struct execution execution = {
                .id = joining->state->id,
                .program = &joining->config->program,
                .seccomp = joining->seccomp,
                .set_groups = joining->may_set_groups,
                .keyring = true,
                .terminal = -1,
                .preserve = joining->options->preserve,
                .channel = joining->channel[1],
                .report = joining->channel[1],
                .gate = -1,
                .result = -1,
        };
        int namespaces = joining->state->namespaces;
        pid_t pid = -1;
        if (!execution_open_proc(&execution, &err)) {
                if (namespaces && setns(joining->target, namespaces) < 0)
                        error_errno(&err, "cannot join the namespaces of %s", joining->state->id);
                else if (prctl(PR_SET_DUMPABLE, 0) || (pid = clone_process(CLONE_PARENT, -1)) < 0)
                        error_errno(&err, "cannot start the process");
        }
        if (!pid) {
                if (channel_wait(joining->channel[1], &err) < 0)
                        _exit(255);
                run(joining, &execution);
        }
        if (pid < 0)
                channel_report(joining->channel[1], &err);
        else
                channel_send(joining->channel[1], MESSAGE_PROCESS, pid, NULL, -1);
        _exit(0);
}

/* ---- the runtime's side ---- */

static int start_by_stage(struct joining *joining, struct error *err)
{
        pid_t between = clone_process(0, cgroup_directory(joining->cgroup));
        if (between < 0)
                return error_errno(err, "cannot start a process");
        if (!between)
                stage(joining);
        struct message message;
        int r = channel_receive(joining->channel[0], &message, NULL, err);
        while (waitpid(between, NULL, 0) < 0 && errno == EINTR)
                ;
        if (!r && message.type == MESSAGE_ERROR)
                r = error_set(err, message.code, "%s", message.text);
        if (!r && message.type != MESSAGE_PROCESS)
                r = error_set(err, -ECHILD, "the process that joins the container ended without a word");
        if (r < 0)
                return r;
        joining->pid = message.code;
        if (channel_send(joining->channel[0], MESSAGE_CONTINUE, 0, NULL, -1) < 0)
                return error_set(err, -ECHILD, "the process ended at once");
        return 0;
}

static int start(struct joining *joining, struct error *err)
{
        struct oom_score before;
        int r = oom_score_lend(&joining->config->program, joining->options->rootless, &before, err);
        if (r < 0)
                return r;
        /* Before the process can be seen in the container, it is closed to all that live there. */
        prctl(PR_SET_DUMPABLE, 0);
        r = start_by_stage(joining, err);
        prctl(PR_SET_DUMPABLE, 1);
        oom_score_return(&before);
        close(TAKE_FD(joining->channel[1]));
        if (r < 0)
                return r;
        joining->pidfd = (int)syscall(SYS_pidfd_open, joining->pid, 0);
        if (joining->pidfd < 0)
                return error_errno(err, "cannot watch the process");
        r = scheduling_apply(&joining->config->program.scheduling, joining->pid, err);
        if (!r && joining->state->namespaces & CLONE_NEWUSER)
                r = program_raise_limits(&joining->config->program, joining->pid, err);
        return r;
}

static int send_notify(struct joining *joining, int listener, struct error *err)
{
        _cleanup_json_ json_t *document = state_document(joining->state, CONTAINER_RUNNING, joining->pid);
        if (!document)
                return error_memory(err);
        int r = listener < 0 ? error_set(err, -EPROTO, "seccomp's listener did not arrive")
                             : seccomp_send_notify(joining->seccomp, listener, document, err);
        if (!r && channel_send(joining->channel[0], MESSAGE_CONTINUE, 0, NULL, -1) < 0)
                r = error_set(err, -ECHILD, "the process ended before its program was started");
        return r;
}

/* Serves the process until it is its program: then its end of the channel is closed. */
static int accompany(struct joining *joining, int *master, struct error *err)
{
        for (;;) {
                struct message message;
                _cleanup_close_ int fd = -1;
                int r = channel_receive(joining->channel[0], &message, &fd, err);
                if (r < 0)
                        return r;
                if (message.type == MESSAGE_END)
                        return 0;
                if (message.type == MESSAGE_TERMINAL)
                        *master = TAKE_FD(fd);
                else if (message.type == MESSAGE_NOTIFY)
                        r = send_notify(joining, fd, err);
                else if (message.type == MESSAGE_ERROR)
                        r = error_set(err, message.code < 0 ? message.code : -EIO, "%s", message.text);
                else
                        r = error_set(err, -EPROTO, "the process sent an unknown message (%d)", message.type);
                if (r < 0)
                        return r;
        }
}

/* "path" or "controllers:path" below the container's groups. The process is in those already. */
static int join_below(const struct joining *joining, struct error *err)
{
        const char *wanted = joining->options->cgroup;
        if (!wanted)
                return 0;
        const char *colon = strchr(wanted, ':'), *below = colon ? colon + 1 : wanted;
        below += strspn(below, "/");
        _cleanup_free_ char *guarded = text_format("/%s/", below);
        if (!guarded)
                return error_memory(err);
        if (strstr(guarded, "/../"))
                return error_set(err, -EINVAL, "option --cgroup: \"%s\" leads out of the container's control group",
                                 wanted);
        _cleanup_json_ json_t *paths = cgroup_paths(joining->cgroup);
        char number[16];
        snprintf(number, sizeof(number), "%d", (int)joining->pid);
        const char *controller;
        json_t *path;
        json_object_foreach(paths, controller, path) {
                _cleanup_free_ char *list = colon ? text_format(",%.*s,", (int)(colon - wanted), wanted) : NULL;
                _cleanup_free_ char *item = text_format(",%s,", controller);
                _cleanup_free_ char *file = text_format("%s/%s/cgroup.procs", json_string_value(path), below);
                if (!item || !file || (colon && !list))
                        return error_memory(err);
                if (list && !strstr(list, item))
                        continue;
                int r = file_poke(AT_FDCWD, file, number, err);
                if (r < 0)
                        return error_prefix(err, "option --cgroup");
        }
        return 0;
}

static int check_running(struct joining *joining, struct error *err)
{
        joining->target = state_process(joining->state);
        if (joining->target < 0)
                return error_set(err, -ESRCH, "cannot exec in a stopped container");
        int r = container_cgroup(joining->state, &joining->cgroup, err);
        if (r < 0)
                return r;
        if (!joining->options->ignore_paused && cgroup_is_frozen(joining->cgroup))
                return error_set(err, -EBUSY, "cannot exec in a paused container (use --ignore-paused to override)");
        return cgroup_prepare_join(joining->cgroup, err);
}

static int prepare(struct joining *joining, const char *id, struct error *err)
{
        const struct exec_options *options = joining->options;
        int r = state_open(options->root, id, false, &joining->state, err);
        if (!r && !joining->state->complete)
                r = error_set(err, -ESRCH, "cannot exec in a stopped container");
        if (!r)
                r = check_running(joining, err);
        if (!r)
                r = config_read(joining->state->folder, joining->state->bundle, CONFIG_PROGRAM, &joining->config, err);
        if (!r)
                r = exec_program(joining->config, options, &joining->document, err);
        if (r < 0)
                return r;
        _cleanup_free_ char *cache = text_format("%s/.seccomp", options->root);
        if (!cache)
                return error_memory(err);
        r = config_seccomp(joining->config, cache, &joining->seccomp, err);
        if (r < 0)
                return r;
        if (options->console_socket && !joining->config->program.terminal)
                return error_set(err, -EINVAL, "a console socket is of no use without a terminal (--tty)");
        if (options->detached && joining->config->program.terminal && !options->console_socket)
                return error_set(err, -EINVAL, "a terminal of a program that nobody stays with needs --console-socket");
        if (options->console_socket) {
                joining->console = console_connect(options->console_socket, err);
                if (joining->console < 0)
                        return joining->console;
        }
        char first[16];
        snprintf(first, sizeof(first), "%d", (int)joining->state->pid);
        joining->may_set_groups = !(joining->state->namespaces & CLONE_NEWUSER) || execution_may_set_groups(first);
        return channel_open(joining->channel, err);
}

static void joining_release(struct joining *joining)
{
        int *const descriptors[] = { &joining->channel[0], &joining->channel[1], &joining->console, &joining->target,
                                     &joining->pidfd };
        for (size_t i = 0; i < ARRAY_SIZE(descriptors); i++)
                if (*descriptors[i] >= 0)
                        close(TAKE_FD(*descriptors[i]));
        if (joining->seccomp)
                seccomp_free(joining->seccomp);
        if (joining->cgroup)
                cgroup_free(joining->cgroup);
        if (joining->config)
                config_free(joining->config);
        json_decref(joining->document);
        if (joining->state)
                state_close(joining->state);
}

int container_exec(const char *id, const struct exec_options *options, struct container_running *running,
                   struct error *err)
{
        struct joining joining = {
                .options = options, .target = -1, .channel = { -1, -1 }, .console = -1, .pid = -1, .pidfd = -1
        };
        *running = (struct container_running){ .pidfd = -1, .master = -1 };
        int r = prepare(&joining, id, err);
        if (!r)
                r = start(&joining, err);
        if (!r)
                r = accompany(&joining, &running->master, err);
        if (!r)
                r = join_below(&joining, err);
        if (!r && options->pid_file) {
                char text[16];
                snprintf(text, sizeof(text), "%d", (int)joining.pid);
                r = file_replace_volatile(AT_FDCWD, options->pid_file, text, strlen(text), 0644, err);
        }
        if (r < 0 && joining.pid > 0) {
                kill(joining.pid, SIGKILL);
                while (waitpid(joining.pid, NULL, 0) < 0 && errno == EINTR)
                        ;
        }
        if (r < 0) {
                if (running->master >= 0)
                        close(TAKE_FD(running->master));
        } else {
                running->pid = joining.pid;
                running->pidfd = TAKE_FD(joining.pidfd);
        }
        joining_release(&joining);
        return r;
}
