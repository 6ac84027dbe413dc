/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "runtime_vm/machine.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/file.h"
#include "base/process.h"
#include "base/text.h"
#include "guest/frame.h"
#include "runtime_vm/agent_link.h"
#include "runtime_vm/machine_exec.h"
#include "runtime_vm/machine_process.h"
#include "runtime_vm/machine_settings.h"
#include "runtime_vm/wire.h"

/* A stock kernel on an emulated processor takes some 10 seconds; one that takes so long does not come up at all. */
#define BOOT_MILLISECONDS 120000
/* For a killed program's machine to write its disks and end, before its process is killed. */
#define DEATH_MILLISECONDS 5000

#define REASON_BYTES_MAX 65536

static int open_folder(const struct state *state, struct error *err)
{
        int fd = openat(state->folder, MACHINE_FOLDER, O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
        return fd < 0 ? error_errno(err, "cannot open the virtual machine's folder") : fd;
}

/* ---- Limits ---- */

/* What the container may have, the guest has; its process on the host needs something for itself. */
static void grow(struct number *limit, uint64_t overhead)
{
        if (limit->present && limit->value > 0 && limit->value < INT64_MAX - (int64_t)overhead)
                limit->value += (int64_t)overhead;
}

static int check_memory(const struct state *state, const struct resources *resources, struct error *err)
{
        _cleanup_(config) struct config *config = NULL;
        struct machine_settings settings;
        int r = config_read(state->folder, state->bundle, CONFIG_ALL, &config, err);
        if (!r)
                r = machine_settings_read(config, false, &settings, err);
        if (r < 0)
                return r;
        const struct number *limit = &resources->memory.limit;
        if (limit->present && limit->value > 0 && (uint64_t)limit->value < settings.memory)
                return error_set(err, -EBUSY,
                                 "the virtual machine of %s was started with %llu MiB and cannot do with less",
                                 state->id, (unsigned long long)(settings.memory >> 20));
        return 0;
}

int machine_fit(const struct state *state, struct resources *resources, struct error *err)
{
        static const struct device_rule all = { true, 'a', DEVICE_ANY, DEVICE_ANY, DEVICE_ALL };
        int r = state->complete ? check_memory(state, resources, err) : 0;
        if (r < 0)
                return r;
        struct number *limit = &resources->memory.limit;
        uint64_t overhead = machine_overhead(limit->present && limit->value > 0 ? (uint64_t)limit->value : 0);
        grow(limit, overhead);
        grow(&resources->memory.swap, overhead);
        /* Processes and devices are the guest's, which keeps these limits itself; onggi-vmm has a list in its jail. */
        resources->pids_limit.present = false;
        free(resources->devices);
        resources->device_count = 0;
        resources->devices = calloc(1, sizeof(all));
        if (!resources->devices)
                return error_memory(err);
        resources->devices[0] = all;
        resources->device_count = 1;
        return 0;
}

/* ---- The start ---- */

/* Listens where the guest's first connection comes to. */
int machine_expect(const struct state *state, struct error *err)
{
        struct sockaddr_un address = { .sun_family = AF_UNIX };
        _cleanup_close_ int folder = open_folder(state, err);
        if (folder < 0)
                return folder;
        char name[32];
        snprintf(name, sizeof(name), AGENT_LINK_SOCKET "_%u", AGENT_HOST_CONTROL);
        unlinkat(folder, name, 0); /* of a `start` that was killed */
        snprintf(address.sun_path, sizeof(address.sun_path), "/proc/self/fd/%d/%s", folder, name);
        _cleanup_close_ int listener = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
        if (listener < 0 || bind(listener, (struct sockaddr *)&address, sizeof(address)) < 0 || listen(listener, 1) < 0)
                return error_errno(err, "cannot wait for the guest");
        return TAKE_FD(listener);
}

/* The last line of a text, without its end. */
static char *last_line(char *text)
{
        size_t length = strlen(text);
        while (length && text[length - 1] == '\n')
                text[--length] = 0;
        char *line = strrchr(text, '\n');
        return line ? line + 1 : text;
}

/* Why the machine ended, or NULL; the caller's. */
static char *read_reason(const struct state *state)
{
        const char *path = machine_file_annotation(state->annotations, MACHINE_ANNOTATION_REASON);
        const struct {
                int folder;
                const char *name, *prefix;
        } places[] = {
                { state->folder, path ? path : MACHINE_REASON, "" },
                { state->folder, MACHINE_LOG, "onggi-vmm: " },
        };
        for (size_t i = 0; i < ARRAY_SIZE(places); i++) {
                _cleanup_free_ char *text = NULL;
                if (file_read(places[i].folder, places[i].name, REASON_BYTES_MAX, &text, NULL, NULL) < 0)
                        continue;
                const char *line = last_line(text);
                if (text_starts(line, places[i].prefix))
                        line += strlen(places[i].prefix);
                if (*line)
                        return strdup(line);
        }
        return NULL;
}

static int ended_early(const struct state *state, struct error *err)
{
        _cleanup_free_ char *reason = read_reason(state);
        return error_set(err, -ECHILD, "the virtual machine ended before its program was started%s%s",
                         reason ? ": " : "", reason ? reason : "");
}

/* One state of the guest's: 1 when the program runs, or ran; 0 when it is under way. */
static int take_state(const char *data, size_t length, struct error *err)
{
        struct agent_state state;
        char text[AGENT_TEXT_MAX + 1] = "";
        if (length < sizeof(state))
                return error_set(err, -EPROTO, "the guest's agent breaks the rules of its protocol");
        memcpy(&state, data, sizeof(state));
        if (state.state == AGENT_BOOTED || state.state == AGENT_CREATED)
                return 0;
        if (state.state == AGENT_RUNNING || state.state == AGENT_ENDED)
                return 1;
        if (state.state != AGENT_FAILED)
                return error_set(err, -EPROTO, "the guest's agent is in a state that there is not");
        size_t used = 0;
        for (size_t i = sizeof(state); i < length && used + 1 < sizeof(text); i++)
                text[used++] = data[i] >= ' ' && data[i] <= '~' ? data[i] : '?';
        text[used] = 0;
        return error_set(err,
                         state.exit_code == 127   ? -ENOENT
                         : state.exit_code == 126 ? -EACCES
                                                  : -EIO,
                         "%s", *text ? text : "the guest could not start the program");
}

/* Waits for one of the two: 1 for the first. */
static int wait_for(int fd, int pidfd, struct error *err)
{
        struct pollfd waits[] = { { .fd = fd, .events = POLLIN }, { .fd = pidfd, .events = POLLIN } };
        int n;
        do
                n = poll(waits, ARRAY_SIZE(waits), BOOT_MILLISECONDS);
        while (n < 0 && errno == EINTR);
        if (n < 0)
                return error_errno(err, "cannot wait for the guest");
        if (!n)
                return error_set(err, -ETIMEDOUT, "the guest does not come up within %d seconds",
                                 BOOT_MILLISECONDS / 1000);
        return waits[0].revents ? 1 : 0;
}

static int await(const struct state *state, int expected, int pidfd, struct error *err)
{
        int r = wait_for(expected, pidfd, err);
        if (r <= 0)
                return r < 0 ? r : ended_early(state, err);
        _cleanup_close_ int control = accept4(expected, NULL, NULL, SOCK_CLOEXEC);
        if (control < 0)
                return error_errno(err, "cannot take the guest's connection");
        const struct timeval limit = { .tv_sec = AGENT_SECONDS };
        setsockopt(control, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit));
        r = 0;
        for (unsigned states = 0; !r; states++) {
                _cleanup_free_ char *data = NULL;
                size_t length;
                r = wait_for(control, pidfd, err);
                if (r <= 0)
                        return r < 0 ? r : ended_early(state, err);
                int type = agent_receive(control, &data, &length, err);
                if (type == -ECONNRESET)
                        return ended_early(state, err);
                if (type < 0)
                        return type;
                if (type != AGENT_STATE || states == AGENT_STATES_MAX)
                        return error_set(err, -EPROTO, "the guest's agent breaks the rules of its protocol");
                r = take_state(data, length, err);
        }
        return r < 0 ? r : 0;
}

int machine_await(const struct state *state, int expected, int pidfd, struct error *err)
{
        int r = await(state, expected, pidfd, err);
        _cleanup_close_ int folder = open_folder(state, NULL);
        char name[32];
        snprintf(name, sizeof(name), AGENT_LINK_SOCKET "_%u", AGENT_HOST_CONTROL);
        if (folder >= 0)
                unlinkat(folder, name, 0);
        /* onggi-vmm tells the agent, which is there now, the size of the terminal: hosted/window.h. */
        process_signal(pidfd, r < 0 ? SIGKILL : SIGWINCH);
        return r;
}

/* ---- Signals ---- */

static bool await_death(int pidfd, int milliseconds)
{
        struct pollfd wait = { .fd = pidfd, .events = POLLIN };
        int n;
        do
                n = poll(&wait, 1, milliseconds);
        while (n < 0 && errno == EINTR);
        return n > 0;
}

static int tell_signal(const struct state *state, int signal, bool all, struct error *err)
{
        _cleanup_close_ int folder = open_folder(state, err);
        if (folder < 0)
                return folder;
        _cleanup_close_ int control = agent_control(folder, err);
        if (control < 0)
                return control;
        const struct agent_signal message = { .signal = (uint32_t)signal };
        return agent_command(control, all ? AGENT_KILL_ALL : AGENT_SIGNAL, &message, sizeof(message), err);
}

/* Who is to be killed may answer as it likes, and nobody listens: only its death counts, and that has a limit. */
static bool kill_inside(const struct state *state, int pidfd, bool all)
{
        _cleanup_close_ int folder = open_folder(state, NULL);
        _cleanup_close_ int control = folder < 0 ? -1 : agent_control(folder, NULL);
        const struct agent_signal message = { .signal = SIGKILL };
        if (control < 0 ||
            frame_send(control, all ? AGENT_KILL_ALL : AGENT_SIGNAL, &message, sizeof(message), NULL, 0) < 0)
                return false;
        shutdown(control, SHUT_WR); /* a guest that ends waits for connections of ours */
        return await_death(pidfd, DEATH_MILLISECONDS);
}

/*
 * SIGKILL goes to the guest's program first: so its machine writes what the program wrote, and ends with its exit code. A
 * guest that does not do so in time is killed as it is.
 */
int machine_signal(const struct state *state, int pidfd, int signal, bool all, struct error *err)
{
        enum container_status status = state_status(state);
        if (status == CONTAINER_CREATED) {
                int r = process_signal(pidfd, signal);
                return r < 0 ? error_code(err, r, "cannot send %s to the container %s", signal_name(signal), state->id)
                             : 0;
        }
        if (status == CONTAINER_PAUSED && signal != SIGKILL)
                return error_set(err, -EBUSY, "cannot send %s to the container %s: it is paused, and would not answer",
                                 signal_name(signal), state->id);
        if (signal != SIGKILL) {
                struct error own = { 0 };
                int r = tell_signal(state, signal, all, &own);
                return r < 0 ? error_set(err, own.code, "cannot send %s to the container %s: %s", signal_name(signal),
                                         state->id, own.text)
                             : 0;
        }
        if (status != CONTAINER_PAUSED && kill_inside(state, pidfd, all))
                return 0;
        int r = process_signal(pidfd, SIGKILL);
        return r < 0 && r != -ESRCH ? error_code(err, r, "cannot kill the virtual machine of %s", state->id) : 0;
}

/* ---- What it tells ---- */

int machine_list_processes(const struct state *state, char *const *arguments, struct error *err)
{
        _cleanup_list_ char **args = NULL;
        if (list_append(&args, "ps") < 0 || (!*arguments && list_append(&args, "-ef") < 0))
                return error_memory(err);
        for (; *arguments; arguments++)
                if (list_append(&args, *arguments) < 0)
                        return error_memory(err);
        int code = machine_exec_here(state, args, err);
        if (code > 0)
                return error_set(err, -EIO, "ps in the virtual machine ended with status %d", code);
        return code;
}

static int ask_statistics(const struct state *state, json_t **document, struct error *err)
{
        _cleanup_close_ int folder = open_folder(state, err);
        if (folder < 0)
                return folder;
        _cleanup_close_ int connection = agent_connect(folder, err);
        if (connection < 0)
                return connection;
        _cleanup_free_ char *data = NULL;
        size_t length;
        int r = frame_send(connection, AGENT_STATISTICS, NULL, 0, NULL, 0);
        if (r < 0)
                return error_code(err, r, "cannot talk to the guest's agent");
        int type = agent_receive(connection, &data, &length, err);
        if (type < 0)
                return type;
        if (type == AGENT_ERROR)
                return agent_failure(data, length, err);
        if (type != AGENT_DOCUMENT)
                return error_set(err, -EPROTO, "the guest's agent answers something else");
        return json_parse(data, length, "the guest's statistics", document, err);
}

/* The numbers of onggi-vmm's control groups are what the machine costs; "guest" is what its inside says of itself. */
int machine_measure(const struct state *state, json_t *statistics, struct error *err)
{
        json_t *guest = NULL;
        struct error own = { 0 };
        enum container_status status = state_status(state);
        if (status == CONTAINER_RUNNING && ask_statistics(state, &guest, &own) < 0)
                guest = json_pack("{s:s}", "error", own.text);
        if (!guest)
                return 0;
        return json_object_set_new(statistics, "guest", guest) < 0 ? error_memory(err) : 0;
}

void machine_report(const struct state *state, json_t *report)
{
        const char *status = json_string_value(json_object_get(report, "status"));
        if (!status || strcmp(status, container_status_name(CONTAINER_STOPPED)))
                return;
        _cleanup_free_ char *reason = read_reason(state);
        if (!reason)
                return;
        json_t *annotations = json_object_get(report, "annotations");
        json_t *more = annotations ? json_deep_copy(annotations) : json_object();
        json_object_set_new(more, "org.onggi.vm.ended", json_string(reason));
        json_object_set_new(report, "annotations", more);
}

/* ---- The end ---- */

/* A short visit of a process of its own, which may fail: a network namespace that is gone took its wires with it. */
void machine_clean(const struct state *state)
{
        _cleanup_(config) struct config *config = NULL;
        if (config_read(state->folder, "", CONFIG_ALL, &config, NULL) < 0 || !(config->namespaces.join & CLONE_NEWNET))
                return;
        config->namespaces.create = 0;
        config->namespaces.join = CLONE_NEWNET;
        pid_t child = namespaces_open(&config->namespaces, NULL) < 0 ? -1 : fork();
        if (!child) {
                if (!namespaces_enter(&config->namespaces, CLONE_NEWNET, NULL))
                        wires_cut(NULL);
                _exit(0);
        }
        while (child > 0 && waitpid(child, NULL, 0) < 0 && errno == EINTR)
                ;
}
