/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "runtime_vm/machine_exec.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/file.h"
#include "base/process.h"
#include "base/text.h"
#include "container/channel.h"
#include "container/console.h"
#include "container/exec_program.h"
#include "container/log.h"
#include "guest/frame.h"
#include "runtime_vm/agent_link.h"
#include "runtime_vm/exec_streams.h"
#include "runtime_vm/machine_process.h"

/* ---- The process object, for the guest ---- */

static json_t *strings(char *const *list)
{
        json_t *array = json_array();
        for (; list && *list; list++)
                json_array_append_new(array, json_string(*list));
        return array;
}

/* The container's own, with the changes that the command line asked for; a file's is passed on as it was read. */
static json_t *describe(const struct config *config, const struct exec_options *options, const json_t *document)
{
        json_t *process =
                document ? json_deep_copy(document) : json_deep_copy(json_object_get(config->document, "process"));
        const struct program *program = &config->program;
        if (!process)
                return NULL;
        json_object_set_new(process, "terminal", json_boolean(program->terminal));
        if (document)
                return process;
        json_t *user = json_pack("{s:I, s:I, s:[]}", "uid", (json_int_t)program->uid, "gid", (json_int_t)program->gid,
                                 "additionalGids");
        for (size_t i = 0; i < program->group_count; i++)
                json_array_append_new(json_object_get(user, "additionalGids"), json_integer(program->groups[i]));
        if (program->has_umask)
                json_object_set_new(user, "umask", json_integer(program->umask));
        json_object_set_new(process, "user", user);
        json_object_set_new(process, "args", strings(program->args));
        json_object_set_new(process, "env", strings(program->env));
        json_object_set_new(process, "cwd", json_string(program->cwd));
        json_object_set_new(process, "noNewPrivileges", json_boolean(program->no_new_privileges));
        json_object_del(process, "consoleSize");
        json_t *capabilities = json_object_get(process, "capabilities");
        for (char *const *name = options->capabilities; name && *name; name++) {
                static const char *const sets[] = { "bounding", "effective", "permitted" };
                if (!capabilities) {
                        capabilities = json_object();
                        json_object_set_new(process, "capabilities", capabilities);
                }
                for (size_t i = 0; i < ARRAY_SIZE(sets); i++) {
                        if (!json_object_get(capabilities, sets[i]))
                                json_object_set_new(capabilities, sets[i], json_array());
                        json_array_append_new(json_object_get(capabilities, sets[i]), json_string(*name));
                }
        }
        return process;
}

/* ---- The start ---- */

struct joining {
        const struct exec_options *options;
        struct state *state;
        struct config *config;
        json_t *document, *process;
        int folder, console, channel[2];
};

static int await_start(int connection, uint32_t *process, struct error *err)
{
        _cleanup_free_ char *data = NULL;
        size_t length;
        struct agent_started started;
        int type = agent_receive(connection, &data, &length, err);
        if (type < 0)
                return type;
        if (type == AGENT_ERROR)
                return agent_failure(data, length, err);
        if (type != AGENT_STARTED || length != sizeof(started))
                return error_set(err, -EPROTO, "the guest's agent answers something else");
        memcpy(&started, data, sizeof(started));
        *process = started.process;
        return 0;
}

static int open_terminal(const struct joining *joining, int *slave, struct error *err)
{
        _cleanup_close_ int master = -1;
        if (!joining->config->program.terminal)
                return 0;
        int r = machine_terminal_open(&joining->config->program, &master, slave, err);
        if (r < 0)
                return r;
        if (ioctl(*slave, TIOCSCTTY, 0) < 0)
                return error_errno(err, "cannot make the terminal the controlling one");
        if (joining->console >= 0)
                return console_send(joining->console, master, err);
        r = channel_send(joining->channel[1], MESSAGE_TERMINAL, 0, NULL, master);
        return r < 0 ? error_code(err, r, "cannot hand over the terminal") : 0;
}

/* The stand-in: until the program has ended. */
static int stand_in(struct joining *joining, struct error *err)
{
        struct exec_streams streams = { .connection = -1, .control = -1, .terminal = -1 };
        _cleanup_free_ char *text = json_dumps(joining->process, JSON_COMPACT);
        if (!text)
                return error_memory(err);
        if (strlen(text) > AGENT_DOCUMENT_MAX)
                return error_set(err, -E2BIG, "the process to execute is described by more than %d bytes",
                                 AGENT_DOCUMENT_MAX);
        int r = open_terminal(joining, &streams.terminal, err);
        if (r < 0)
                return r;
        streams.connection = agent_connect(joining->folder, err);
        if (streams.connection < 0)
                return streams.connection;
        r = frame_send(streams.connection, AGENT_EXEC, text, strlen(text), NULL, 0);
        if (r < 0)
                return error_code(err, r, "cannot talk to the guest's agent");
        r = await_start(streams.connection, &streams.process, err);
        if (!r)
                streams.control = agent_control(joining->folder, err);
        if (r < 0 || streams.control < 0)
                return r < 0 ? r : streams.control;
        close(TAKE_FD(joining->channel[1])); /* it runs */
        return exec_streams_run(&streams, err);
}

static void __attribute__((noreturn)) run_stand_in(struct joining *joining)
{
        struct error err = { 0 };
        setsid();
        close(TAKE_FD(joining->channel[0]));
        exec_streams_prepare();
        int code = stand_in(joining, &err);
        if (code < 0 && joining->channel[1] >= 0)
                channel_report(joining->channel[1], &err);
        else if (code < 0)
                log_write(LOG_LEVEL_WARNING, "%s", err.text);
        _exit(code < 0 ? 255 : code);
}

/* Until the program runs: then the stand-in's end of the channel is closed. */
static int accompany(struct joining *joining, int *master, struct error *err)
{
        for (;;) {
                struct message message;
                _cleanup_close_ int fd = -1;
                int r = channel_receive(joining->channel[0], &message, &fd, err);
                if (r < 0 || message.type == MESSAGE_END)
                        return r;
                if (message.type == MESSAGE_TERMINAL)
                        *master = TAKE_FD(fd);
                else if (message.type == MESSAGE_ERROR)
                        return error_set(err, message.code < 0 ? message.code : -EIO, "%s", message.text);
        }
}

static int open_machine(const char *root, const char *id, struct state **state, int *folder, struct error *err)
{
        int r = state_open(root, id, false, state, err);
        if (r < 0)
                return r;
        enum container_status status = state_status(*state);
        if (status == CONTAINER_PAUSED)
                return error_set(err, -EBUSY,
                                 "cannot exec in a paused container: its virtual machine would not answer");
        if (status != CONTAINER_RUNNING)
                return error_set(err, -ESRCH, "cannot exec in a %s container", container_status_name(status));
        *folder = openat((*state)->folder, MACHINE_FOLDER, O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
        return *folder < 0 ? error_errno(err, "cannot open the virtual machine's folder") : 0;
}

static int prepare(struct joining *joining, const char *id, struct error *err)
{
        const struct exec_options *options = joining->options;
        int r = open_machine(options->root, id, &joining->state, &joining->folder, err);
        if (!r)
                r = config_read(joining->state->folder, joining->state->bundle, CONFIG_PROGRAM, &joining->config, err);
        if (!r)
                r = exec_program(joining->config, options, &joining->document, err);
        if (r < 0)
                return r;
        joining->process = describe(joining->config, options, joining->document);
        if (!joining->process)
                return error_memory(err);
        bool terminal = joining->config->program.terminal;
        if (options->console_socket && !terminal)
                return error_set(err, -EINVAL, "a console socket is of no use without a terminal (--tty)");
        if (options->detached && terminal && !options->console_socket)
                return error_set(err, -EINVAL, "a terminal of a program that nobody stays with needs --console-socket");
        if (options->console_socket) {
                joining->console = console_connect(options->console_socket, err);
                if (joining->console < 0)
                        return joining->console;
        }
        return channel_open(joining->channel, err);
}

static void joining_release(struct joining *joining)
{
        int *const descriptors[] = { &joining->channel[0], &joining->channel[1], &joining->console, &joining->folder };
        for (size_t i = 0; i < ARRAY_SIZE(descriptors); i++)
                if (*descriptors[i] >= 0)
                        close(TAKE_FD(*descriptors[i]));
        json_decref(joining->process);
        json_decref(joining->document);
        if (joining->config)
                config_free(joining->config);
        if (joining->state)
                state_close(joining->state);
}

static int write_pid(const char *file, pid_t pid, struct error *err)
{
        char text[16];
        snprintf(text, sizeof(text), "%d", (int)pid);
        return file ? file_replace_volatile(AT_FDCWD, file, text, strlen(text), 0644, err) : 0;
}

int machine_exec(const char *id, const struct exec_options *options, struct container_running *running,
                 struct error *err)
{
        struct joining joining = { .options = options, .folder = -1, .console = -1, .channel = { -1, -1 } };
        *running = (struct container_running){ .pidfd = -1, .master = -1 };
        int r = prepare(&joining, id, err);
        if (!r) {
                running->pid = fork();
                if (!running->pid)
                        run_stand_in(&joining);
                r = running->pid < 0 ? error_errno(err, "cannot start a process") : 0;
        }
        if (!r) {
                close(TAKE_FD(joining.channel[1]));
                running->pidfd = (int)syscall(SYS_pidfd_open, running->pid, 0);
                r = running->pidfd < 0 ? error_errno(err, "cannot watch the process")
                                       : accompany(&joining, &running->master, err);
        }
        if (!r)
                r = write_pid(options->pid_file, running->pid, err);
        if (r < 0 && running->pid > 0) {
                kill(running->pid, SIGKILL);
                while (waitpid(running->pid, NULL, 0) < 0 && errno == EINTR)
                        ;
        }
        if (r < 0)
                container_running_release(running);
        joining_release(&joining);
        return r;
}

int machine_exec_here(const struct state *state, char *const *args, struct error *err)
{
        const struct exec_options options = { .args = args, .root = "" };
        struct joining joining = { .options = &options, .folder = -1, .console = -1, .channel = { -1, -1 } };
        joining.folder = openat(state->folder, MACHINE_FOLDER, O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
        int r = joining.folder < 0 ? error_errno(err, "cannot open the virtual machine's folder") : 0;
        if (!r)
                r = config_read(state->folder, state->bundle, CONFIG_PROGRAM, &joining.config, err);
        if (!r)
                r = exec_program(joining.config, &options, &joining.document, err);
        if (!r) {
                joining.process = describe(joining.config, &options, NULL);
                r = joining.process ? channel_open(joining.channel, err) : error_memory(err);
        }
        if (!r) {
                exec_streams_prepare();
                r = stand_in(&joining, err);
        }
        joining_release(&joining);
        return r;
}
