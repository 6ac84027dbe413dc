/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/file.h"
#include "base/process.h"
#include "base/test_point.h"
#include "base/text.h"
#include "container/channel.h"
#include "container/console.h"
#include "container/creation.h"
#include "container/log.h"
#include "container/oom_score.h"
#include "container/runtime.h"

/* ---- before the first process ---- */

/* The program is number 1 where it reads this: sd_listen_fds(3). */
static int pass_listeners(const struct creation *creation)
{
        char count[16];
        snprintf(count, sizeof(count), "%d", creation->options->listen);
        int r = environment_set(&creation->config->program.env, "LISTEN_FDS", count);
        return r < 0 ? r : environment_set(&creation->config->program.env, "LISTEN_PID", "1");
}

static int read_bundle(struct creation *creation, bool waits, struct error *err)
{
        const char *bundle = creation->options->bundle ? creation->options->bundle : ".";
        char path[PATH_MAX];
        if (!realpath(bundle, path))
                return error_errno(err, "cannot open the bundle %s", bundle);
        _cleanup_close_ int folder = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        if (folder < 0)
                return error_errno(err, "cannot open the bundle %s", path);
        int r = config_read(folder, path, CONFIG_ALL, &creation->config, err);
        if (r < 0)
                return r;
        const struct config *config = creation->config;
        if (!waits && !config->has_program)
                return error_set(err, -EINVAL, "config.json: process is required to run a container");
        bool terminal = config->has_program && config->program.terminal;
        if (creation->options->console_socket && !terminal)
                return error_set(err, -EINVAL, "a console socket is of no use: config.json has process.terminal false");
        if ((waits || creation->options->detached) && terminal && !creation->options->console_socket)
                return error_set(err, -EINVAL,
                                 "config.json has process.terminal true: a container that nobody stays with "
                                 "needs --console-socket");
        if (creation->options->listen && config->has_program && pass_listeners(creation) < 0)
                return error_memory(err);
        return state_describe(creation->state, config, path, err);
}

static int keep_config(const struct creation *creation, struct error *err)
{
        _cleanup_close_ int fd =
                openat(creation->state->folder, "config.json", O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
        int r = fd < 0 ? -errno : write_all(fd, creation->config->text, creation->config->length);
        return r < 0 ? error_code(err, r, "cannot keep config.json in %s", creation->options->root) : 0;
}

/*
 * Opened for reading and writing: the first process is never without the other end, and a reader shows that it waits.
 */
static int open_fifo(const struct creation *creation, const char *name, int *fd, struct error *err)
{
        if (mkfifoat(creation->state->folder, name, 0600) < 0 ||
            (*fd = openat(creation->state->folder, name, O_RDWR | O_CLOEXEC | O_NOFOLLOW)) < 0)
                return error_errno(err, "cannot make the FIFO %s of the container", name);
        return 0;
}

static int make_cgroup(struct creation *creation, struct error *err)
{
        struct config *config = creation->config;
        const struct container_options *options = creation->options;
        int r = runtime.fit ? runtime.fit(creation->state, config->resources, err) : 0;
        if (!r)
                r = cgroup_create(creation->state->id, config->cgroups_path, options->systemd_cgroup, options->rootless,
                                  config->resources, &creation->cgroup, err);
        if (!r)
                r = cgroup_apply(creation->cgroup, config->resources, err);
        if (!r)
                r = cgroup_prepare_join(creation->cgroup, err);
        if (r < 0)
                return r;
        creation->state->cgroup = cgroup_save(creation->cgroup);
        if (!creation->state->cgroup)
                return error_memory(err);
        creation->joins_early = config->mounts_cgroup || config->hooks.counts[HOOK_PRESTART] ||
                                config->hooks.counts[HOOK_CREATE_RUNTIME] ||
                                config->hooks.counts[HOOK_CREATE_CONTAINER];
        return 0;
}

static int prepare(struct creation *creation, bool waits, struct error *err)
{
        test_point("container.folder.made");
        int r = read_bundle(creation, waits, err);
        if (!r)
                r = keep_config(creation, err);
        test_point("container.config.kept");
        if (!r)
                r = runtime.prepare(creation, err);
        if (!r && waits)
                r = open_fifo(creation, "start", &creation->gate, err);
        if (!r && waits)
                r = open_fifo(creation, "result", &creation->result, err);
        if (!r && creation->options->console_socket) {
                creation->console = console_connect(creation->options->console_socket, err);
                r = creation->console < 0 ? creation->console : 0;
        }
        return r < 0 ? r : make_cgroup(creation, err);
}

/* ---- while the first process builds ---- */

/* What needs the runtime's own rights over the new process. */
static int tend(struct creation *creation, struct error *err)
{
        struct state *state = creation->state;
        const struct config *config = creation->config;
        int r = process_start_time(state->pid, &state->start_time);
        if (r < 0)
                return error_set(err, r, "the first process ended at once");
        if (config->has_program) {
                r = scheduling_apply(&config->program.scheduling, state->pid, err);
                if (!r && namespaces_have(&config->namespaces, CLONE_NEWUSER))
                        r = program_raise_limits(&config->program, state->pid, err);
        }
        if (!r)
                r = intel_rdt_apply(&config->rdt, state->id, state->pid, err);
        return r < 0 ? r : state_prepare(state, err);
}

static int run_hooks(const struct creation *creation, enum hook_point point, enum container_status status,
                     struct error *err)
{
        if (!creation->config->hooks.counts[point])
                return 0;
        _cleanup_json_ json_t *document = state_document(creation->state, status, creation->state->pid);
        return document ? hooks_run(&creation->config->hooks, point, document, err) : error_memory(err);
}

static int move_devices(struct creation *creation, struct error *err)
{
        char path[64];
        snprintf(path, sizeof(path), "/proc/%d/ns/net", (int)creation->state->pid);
        _cleanup_close_ int netns = open(path, O_RDONLY | O_CLOEXEC);
        if (netns < 0)
                return error_errno(err, "cannot open the container's network namespace");
        return network_devices_move(&creation->config->devices, netns, err);
}

static int send_notify(struct creation *creation, int listener, struct error *err)
{
        _cleanup_json_ json_t *document = state_document(creation->state, CONTAINER_CREATING, creation->state->pid);
        if (!document)
                return error_memory(err);
        return listener < 0 ? error_set(err, -EPROTO, "seccomp's listener did not arrive")
                            : seccomp_send_notify(creation->seccomp, listener, document, err);
}

static int serve(struct creation *creation, const struct message *message, int *fd, int *master, struct error *err)
{
        switch (message->type) {
        case MESSAGE_NAMESPACES: return move_devices(creation, err);
        case MESSAGE_HOOKS: {
                int r = run_hooks(creation, HOOK_PRESTART, CONTAINER_CREATING, err);
                return r < 0 ? r : run_hooks(creation, HOOK_CREATE_RUNTIME, CONTAINER_CREATING, err);
        }
        case MESSAGE_NOTIFY: return send_notify(creation, *fd, err);
        case MESSAGE_TERMINAL: *master = TAKE_FD(*fd); return 0;
        case MESSAGE_ERROR: return error_set(err, message->code < 0 ? message->code : -EIO, "%s", message->text);
        case MESSAGE_END:
                return error_set(err, -ECHILD, "the first process ended before its program was started%s",
                                 cgroup_oom_kills(creation->cgroup) ? ": the memory limit is too low (out of memory)"
                                                                    : "");
        default: return error_set(err, -EPROTO, "the first process sent an unknown message (%d)", message->type);
        }
}

/* Serves the first process until it is ready. */
static int accompany(struct creation *creation, int *master, struct error *err)
{
        for (;;) {
                struct message message;
                _cleanup_close_ int fd = -1;
                int r = channel_receive(creation->channel[0], &message, &fd, err);
                if (r < 0)
                        return r;
                if (message.type == MESSAGE_READY)
                        return 0;
                r = serve(creation, &message, &fd, master, err);
                if (r < 0)
                        return r;
                if (message.type != MESSAGE_TERMINAL &&
                    channel_send(creation->channel[0], MESSAGE_CONTINUE, 0, NULL, -1) < 0)
                        return error_set(err, -ECHILD, "the first process ended before its program was started");
        }
}

static int finish(struct creation *creation, struct error *err)
{
        const struct config *config = creation->config;
        if (config->rootfs && rootfs_has_writable_cgroup(config->rootfs) &&
            config->namespaces.create & CLONE_NEWCGROUP && config->uids.count) {
                int r = cgroup_delegate(creation->cgroup, config->uids.ranges[0].host, config->gids.ranges[0].host,
                                        err);
                if (r < 0)
                        return r;
        }
        int r = state_commit(creation->state, err);
        if (r < 0 || !creation->options->pid_file)
                return r;
        char text[16];
        snprintf(text, sizeof(text), "%d", (int)creation->state->pid);
        return file_replace_volatile(AT_FDCWD, creation->options->pid_file, text, strlen(text), 0644, err);
}

static int start_first_process(struct creation *creation, struct error *err)
{
        int r = channel_open(creation->channel, err);
        if (r < 0)
                return r;
        struct oom_score before;
        r = oom_score_lend(&creation->config->program, creation->options->rootless, &before, err);
        if (!r)
                r = runtime.start_process(creation, err);
        oom_score_return(&before);
        return r;
}

static int build(struct creation *creation, bool waits, int *master, struct error *err)
{
        int r = prepare(creation, waits, err);
        test_point("container.cgroup.made");
        if (!r)
                r = start_first_process(creation, err);
        test_point("container.process.started");
        if (!r)
                r = tend(creation, err);
        if (!r)
                r = accompany(creation, master, err);
        test_point("container.process.ready");
        if (!r)
                r = finish(creation, err);
        test_point("container.state.written");
        return r;
}

/* ---- all of it, or nothing ---- */

static void creation_release(struct creation *creation)
{
        int *const descriptors[] = { &creation->channel[0], &creation->channel[1], &creation->gate,
                                     &creation->result,     &creation->console,    &creation->pidfd };
        for (size_t i = 0; i < ARRAY_SIZE(descriptors); i++)
                if (*descriptors[i] >= 0)
                        close(TAKE_FD(*descriptors[i]));
        if (creation->seccomp)
                seccomp_free(creation->seccomp);
        if (creation->cgroup)
                cgroup_free(creation->cgroup);
        if (creation->config)
                config_free(creation->config);
        if (creation->state)
                state_close(creation->state);
}

static void creation_undo(struct creation *creation)
{
        struct error ignored = { 0 };
        struct state *state = creation->state;
        if (state->pid > 0) {
                kill(state->pid, SIGKILL);
                while (waitpid(state->pid, NULL, 0) < 0 && errno == EINTR)
                        ;
        }
        if (creation->cgroup && cgroup_remove(creation->cgroup, &ignored) < 0)
                log_write(LOG_LEVEL_WARNING, "%s", ignored.text);
        if (state->rdt && intel_rdt_remove(state->id, &ignored) < 0)
                log_write(LOG_LEVEL_WARNING, "%s", ignored.text);
        if (creation->began && runtime.clean)
                runtime.clean(state);
        if (creation->began)
                run_hooks(creation, HOOK_POSTSTOP, CONTAINER_STOPPED, &ignored);
        if (state_remove(state, &ignored) < 0)
                log_write(LOG_LEVEL_WARNING, "%s", ignored.text);
        if (creation->options->pid_file && creation->began)
                unlink(creation->options->pid_file);
}

static int creation_open(struct creation *creation, const char *id, const struct container_options *options,
                         struct error *err)
{
        *creation = (struct creation){
                .options = options, .channel = { -1, -1 }, .gate = -1, .result = -1, .console = -1, .pidfd = -1
        };
        return state_create(options->root, id, &creation->state, err);
}

int container_create(const char *id, const struct container_options *options, struct error *err)
{
        struct creation creation;
        int r = creation_open(&creation, id, options, err), master = -1;
        if (r < 0)
                return r;
        r = build(&creation, true, &master, err);
        if (!r && channel_send(creation.channel[0], MESSAGE_CONTINUE, 0, NULL, -1) < 0)
                r = error_set(err, -ECHILD, "the first process ended before its program was started");
        if (master >= 0)
                close(master);
        if (r < 0)
                creation_undo(&creation);
        creation_release(&creation);
        return r;
}

int container_run(const char *id, const struct container_options *options, struct container_running *running,
                  struct error *err)
{
        struct creation creation;
        *running = (struct container_running){ .pidfd = -1, .master = -1 };
        int r = creation_open(&creation, id, options, err);
        if (r < 0)
                return r;
        r = build(&creation, false, &running->master, err);
        _cleanup_close_ int expected = -1;
        if (!r && runtime.expect) {
                expected = runtime.expect(creation.state, err);
                r = expected < 0 ? expected : 0;
        }
        if (!r && channel_send(creation.channel[0], MESSAGE_CONTINUE, 0, NULL, -1) < 0)
                r = error_set(err, -ECHILD, "the first process ended before its program was started");
        if (!r)
                r = channel_result(creation.channel[0], err);
        if (!r)
                r = container_await(creation.state, expected, creation.pidfd, err);
        if (!r)
                r = run_hooks(&creation, HOOK_POSTSTART, CONTAINER_RUNNING, err);
        if (r < 0) {
                creation_undo(&creation);
                if (running->master >= 0)
                        close(TAKE_FD(running->master));
        } else {
                running->pid = creation.state->pid;
                running->pidfd = TAKE_FD(creation.pidfd);
                running->cgroup = TAKE_PTR(creation.cgroup);
                running->state = TAKE_PTR(creation.state);
                state_unlock(running->state);
        }
        creation_release(&creation);
        return r;
}
