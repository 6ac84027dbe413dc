/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "runtime_vm/machine_process.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <termios.h>
#include <unistd.h>

#include "base/file.h"
#include "base/text.h"
#include "container/channel.h"
#include "container/clone.h"
#include "container/console.h"
#include "container/log.h"
#include "guest/agent.h"
#include "runtime_vm/agent_link.h"
#include "runtime_vm/command_line.h"
#include "runtime_vm/machine_document.h"
#include "runtime_vm/machine_settings.h"
#include "runtime_vm/wire.h"

/* ---- Before: the runtime's side ---- */

static int check(const struct creation *creation, struct error *err)
{
        const struct config *config = creation->config;
        struct machine_settings settings;
        struct machine_document document;
        if (!config->has_program)
                return error_set(err, -EINVAL, "config.json: process is required: a virtual machine runs one");
        if (config->devices.count)
                return error_set(err, -EOPNOTSUPP,
                                 "config.json: linux.netDevices cannot be moved into a virtual machine");
        if (access("/dev/kvm", R_OK | W_OK) < 0)
                return error_errno(err, "cannot use /dev/kvm, which virtual machines need");
        int r = machine_settings_read(config, true, &settings, err);
        if (r < 0)
                return r;
        r = machine_document_make(creation->state, config, &settings, &document, err);
        machine_settings_release(&settings);
        if (!r)
                machine_document_release(&document);
        return r;
}

int machine_process_prepare(struct creation *creation, struct error *err)
{
        struct config *config = creation->config;
        int r = check(creation, err);
        if (!r && mkdirat(creation->state->folder, MACHINE_FOLDER, 0700) < 0)
                r = error_errno(err, "cannot make a folder for the virtual machine");
        if (!r && config->hooks.counts[HOOK_START_CONTAINER])
                log_write(LOG_LEVEL_WARNING, "hooks of startContainer do not run in a virtual machine");
        if (!r && creation->options->preserve)
                log_write(LOG_LEVEL_WARNING, "descriptors cannot be passed on into a virtual machine");
        /* The guest has all the others of its own. */
        config->namespaces.create &= CLONE_NEWNET;
        config->namespaces.join &= CLONE_NEWNET;
        return r < 0 ? r : namespaces_open(&config->namespaces, err);
}

/* ---- The process ---- */

struct machine {
        struct creation *creation;
        int report;   /* who is told what goes wrong: the runtime, or later `start` */
        int terminal; /* -1: none */
        int folder;   /* MACHINE_FOLDER */
};

int machine_terminal_open(const struct program *program, int *master, int *slave, struct error *err)
{
        const struct program sized = { .rows = program->rows, .columns = program->columns, .uid = geteuid() };
        struct termios raw;
        _cleanup_close_ int root = open("/", O_PATH | O_DIRECTORY | O_CLOEXEC);
        if (root < 0)
                return error_errno(err, "cannot open the root folder");
        int r = console_open(root, &sized, master, slave, err);
        if (r < 0)
                return r;
        if (tcgetattr(*slave, &raw) < 0)
                return error_errno(err, "cannot set up the terminal");
        cfmakeraw(&raw);
        return tcsetattr(*slave, TCSANOW, &raw) < 0 ? error_errno(err, "cannot set up the terminal") : 0;
}

static int open_terminal(struct machine *machine, struct error *err)
{
        const struct creation *creation = machine->creation;
        _cleanup_close_ int master = -1;
        if (!creation->config->program.terminal)
                return 0;
        int r = machine_terminal_open(&creation->config->program, &master, &machine->terminal, err);
        if (r < 0)
                return r;
        /* The controlling one, so that changes of its size are told. */
        if (ioctl(machine->terminal, TIOCSCTTY, 0) < 0)
                return error_errno(err, "cannot make the terminal the controlling one");
        if (creation->console >= 0)
                return console_send(creation->console, master, err);
        r = channel_send(creation->channel[1], MESSAGE_TERMINAL, 0, NULL, master);
        return r < 0 ? error_code(err, r, "cannot hand over the terminal") : 0;
}

static int meet(const struct creation *creation, enum message_type point, struct error *err)
{
        int r = channel_send(creation->channel[1], point, 0, NULL, -1);
        return r < 0 ? error_code(err, r, "cannot reach the runtime") : channel_wait(creation->channel[1], err);
}

static int run_create_hooks(const struct creation *creation, struct error *err)
{
        const struct hooks *hooks = &creation->config->hooks;
        int r = hooks->counts[HOOK_PRESTART] || hooks->counts[HOOK_CREATE_RUNTIME] ? meet(creation, MESSAGE_HOOKS, err)
                                                                                   : 0;
        if (r < 0 || !hooks->counts[HOOK_CREATE_CONTAINER])
                return r;
        _cleanup_json_ json_t *document = state_document(creation->state, CONTAINER_CREATING, getpid());
        return document ? hooks_run(hooks, HOOK_CREATE_CONTAINER, document, err) : error_memory(err);
}

static int wait_for_start(const struct creation *creation, struct error *err)
{
        char byte;
        ssize_t n;
        if (creation->gate < 0)
                return 0;
        do
                n = read(creation->gate, &byte, 1);
        while (n < 0 && errno == EINTR);
        return n == 1 ? 0 : error_errno(err, "cannot wait for the start");
}

/* The size that the terminal has by now is what the program is to find. */
static void note_terminal_size(const struct machine *machine, struct machine_document *document)
{
        struct winsize size;
        json_t *process = json_object_get(document->config, "process");
        if (machine->terminal >= 0 && !ioctl(machine->terminal, TIOCGWINSZ, &size) && size.ws_row && size.ws_col)
                json_object_set_new(process, "consoleSize",
                                    json_pack("{s:i, s:i}", "height", (int)size.ws_row, "width", (int)size.ws_col));
}

static int open_in_state(const struct machine *machine, const char *name, const char *path, struct error *err)
{
        int fd = openat(path ? AT_FDCWD : machine->creation->state->folder, path ? path : name,
                        O_WRONLY | O_CREAT | O_TRUNC | O_APPEND | O_NOFOLLOW | O_CLOEXEC, 0600);
        return fd < 0 ? error_errno(err, "cannot make %s", path ? path : name) : fd;
}

static int execute(struct machine *machine, const struct machine_settings *settings,
                   const struct machine_document *document, const struct wires *wires, int archive, struct error *err)
{
        struct command_line line = { .program = &machine->creation->config->program,
                                     .settings = settings,
                                     .shares = document->shares,
                                     .wires = wires,
                                     .archive = archive,
                                     .terminal = machine->terminal };
        line.log = open_in_state(machine, MACHINE_LOG, NULL, err);
        if (line.log < 0)
                return line.log;
        line.reason = open_in_state(machine, MACHINE_REASON, settings->reason, err);
        if (line.reason < 0)
                return line.reason;
        if (fchdir(machine->folder) < 0)
                return error_errno(err, "cannot enter the virtual machine's folder");
        return command_line_execute(&line, err);
}

static int become_machine(struct machine *machine, struct error *err)
{
        const struct creation *creation = machine->creation;
        struct machine_settings settings;
        struct machine_document document;
        struct wires wires = { 0 };
        int r = machine_settings_read(creation->config, true, &settings, err);
        if (!r)
                r = machine_document_make(creation->state, creation->config, &settings, &document, err);
        if (!r && (creation->config->namespaces.create | creation->config->namespaces.join) & CLONE_NEWNET)
                r = wires_lay(&wires, err);
        else if (!r)
                wires = (struct wires){ .interfaces = json_array(), .routes = json_array() };
        if (r < 0)
                return r;
        note_terminal_size(machine, &document);
        int archive = machine_document_pack(&document, &wires, err);
        return archive < 0 ? archive : execute(machine, &settings, &document, &wires, archive, err);
}

static int live(struct machine *machine, struct error *err)
{
        struct creation *creation = machine->creation;
        sigset_t none;
        sigemptyset(&none);
        sigprocmask(SIG_SETMASK, &none, NULL);
        setsid();
        machine->folder =
                openat(creation->state->folder, MACHINE_FOLDER, O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
        int r = machine->folder < 0 ? error_errno(err, "cannot open the virtual machine's folder") : 0;
        if (!r)
                r = cgroup_join(creation->cgroup, 0, cgroup_directory(creation->cgroup) >= 0, err);
        if (!r)
                r = namespaces_enter(&creation->config->namespaces, CLONE_NEWNET, err);
        if (!r)
                r = run_create_hooks(creation, err);
        if (!r)
                r = open_terminal(machine, err);
        if (!r)
                r = meet(creation, MESSAGE_READY, err);
        if (r < 0)
                return r;
        if (creation->result >= 0) {
                /* The runtime that made us ends now; from here on `start` is told what goes wrong. */
                machine->report = creation->result;
                close(TAKE_FD(creation->channel[1]));
        }
        r = wait_for_start(creation, err);
        return r < 0 ? r : become_machine(machine, err);
}

/* The lock belongs to whoever shares the descriptor's description; the folder is needed all the same. */
static int leave_lock(struct state *state, struct error *err)
{
        int folder = openat(state->folder, ".", O_PATH | O_DIRECTORY | O_CLOEXEC);
        if (folder < 0)
                return error_errno(err, "cannot open the container's folder");
        close(state->folder);
        close(TAKE_FD(state->root));
        state->folder = folder;
        return 0;
}

static void __attribute__((noreturn)) machine_process_run(struct creation *creation)
{
        struct error err = { 0 };
        struct machine machine = { .creation = creation, .report = creation->channel[1], .terminal = -1, .folder = -1 };
        close(TAKE_FD(creation->channel[0]));
        if (!leave_lock(creation->state, &err))
                live(&machine, &err);
        channel_report(machine.report, &err);
        _exit(125);
}

int machine_process_start(struct creation *creation, struct error *err)
{
        pid_t pid = clone_process(creation->config->namespaces.create, cgroup_directory(creation->cgroup));
        if (!pid)
                machine_process_run(creation);
        int r = pid < 0 ? error_errno(err, "cannot start the virtual machine's process") : 0;
        close(TAKE_FD(creation->channel[1]));
        if (r < 0)
                return r;
        creation->state->pid = pid;
        creation->began = true;
        creation->pidfd = (int)syscall(SYS_pidfd_open, pid, 0);
        return creation->pidfd < 0 ? error_errno(err, "cannot watch the virtual machine's process") : 0;
}
