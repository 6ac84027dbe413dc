/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/file.h"
#include "base/json.h"
#include "base/process.h"
#include "base/text.h"
#include "instance/connection.h"
#include "instance/environment.h"
#include "instance/events.h"
#include "instance/exit_code.h"
#include "instance/folder.h"
#include "instance/spec.h"
#include "instance/start.h"
#include "instance/terminal.h"

#define INPUT_SIZE 4096

/* One program that is run inside a running instance. */
struct execution {
        struct instance *instance;
        const struct exec_settings *settings;
        int process, log;    /* memory files: what the runtime reads and writes */
        int console, master; /* socket on which the terminal comes, then the terminal */
        int error_pipe;      /* its standard error, where there is no terminal */
        int signals, child;  /* child: pidfd of the runtime, which waits for the program */
        pid_t pid;
        char console_name[32];
        int run_folder;
        struct text held; /* what may be the runtime's own words, until it is known */
        bool spoke;
        struct detach_keys keys;
        size_t key_position;
        bool detached;
        char input[INPUT_SIZE + 16]; /* what the terminal has not taken yet; held keys come before it */
        size_t input_begin, input_end;
        bool in_line, input_over;
};

static const int passed_on[] = { SIGINT, SIGTERM, SIGHUP, SIGQUIT, SIGUSR1, SIGUSR2 };

static int describe_process(struct execution *execution, json_t **process, struct error *err)
{
        const struct exec_settings *exec = execution->settings;
        struct instance *instance = execution->instance;
        struct instance_settings settings;
        int r = instance_settings_of(instance, &settings, err);
        if (r < 0)
                return r;
        _cleanup_list_ char **own = list_copy(exec->environment);
        r = environment_complete(&own, exec->environment_files, err);
        for (char **entry = own; !r && entry && *entry; entry++)
                if (list_append(&settings.environment, *entry) < 0)
                        r = error_memory(err);
        settings.tty = exec->tty;
        settings.oom_score_adj = 0;
        if (exec->user)
                settings.user = exec->user;
        if (exec->workdir)
                settings.workdir = exec->workdir;
        if (exec->privileged)
                settings.privileged = true;

        _cleanup_close_ int root = r < 0 ? r : vessel_of(instance)->open_root(instance, err);
        struct identity identity = { 0 };
        _cleanup_free_ char *hostname = instance_hostname(instance, &settings);
        if (!r && root < 0)
                r = root;
        if (!r && !hostname)
                r = error_memory(err);
        if (!r)
                r = identity_resolve(root, settings.user, settings.groups, &identity, err);
        const struct spec_input input = {
                .id = instance->id, .settings = &settings, .identity = &identity, .hostname = hostname
        };
        if (!r)
                r = spec_process(&input, exec->command, process, err);
        identity_free(&identity);
        instance_settings_free(&settings);
        return r;
}

static int write_process(struct execution *execution, struct error *err)
{
        json_t *described = NULL;
        int r = describe_process(execution, &described, err);
        _cleanup_json_ json_t *process = described;
        if (r < 0)
                return r;
        _cleanup_free_ char *text = json_dumps(process, JSON_COMPACT);
        execution->process = memfd_create("process", MFD_CLOEXEC);
        execution->log = memfd_create("log", MFD_CLOEXEC);
        if (!text || execution->process < 0 || execution->log < 0)
                return error_errno(err, "cannot describe the program to the runtime");
        r = write_all(execution->process, text, strlen(text));
        return r < 0 ? error_code(err, r, "cannot describe the program to the runtime") : 0;
}

static int open_console(struct execution *execution, struct error *err)
{
        struct sockaddr_un address = { .sun_family = AF_UNIX };
        snprintf(execution->console_name, sizeof(execution->console_name), "exec.%d", (int)getpid());
        snprintf(address.sun_path, sizeof(address.sun_path), "/proc/self/fd/%d/%s", execution->run_folder,
                 execution->console_name);
        execution->console = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
        unlinkat(execution->run_folder, execution->console_name, 0);
        /* Before bind(2), which gives the file the socket's mode: nobody else connects, not even for a moment. */
        if (execution->console < 0 || fchmod(execution->console, 0600) < 0 ||
            bind(execution->console, (struct sockaddr *)&address, sizeof(address)) < 0 ||
            listen(execution->console, 1) < 0)
                return error_errno(err, "cannot make a socket for the terminal");
        return 0;
}

static int take_terminal(struct execution *execution)
{
        _cleanup_close_ int connection = accept4(execution->console, NULL, NULL, SOCK_CLOEXEC);
        char data[256], control[CMSG_SPACE(sizeof(int))];
        struct iovec part = { data, sizeof(data) };
        struct msghdr packet = {
                .msg_iov = &part, .msg_iovlen = 1, .msg_control = control, .msg_controllen = sizeof(control)
        };
        struct cmsghdr *header =
                connection < 0 || recvmsg(connection, &packet, MSG_CMSG_CLOEXEC) < 0 ? NULL : CMSG_FIRSTHDR(&packet);
        close(TAKE_FD(execution->console));
        /* Now, not at the end: this command may be killed meanwhile. */
        unlinkat(execution->run_folder, execution->console_name, 0);
        if (!header || header->cmsg_type != SCM_RIGHTS || header->cmsg_len != CMSG_LEN(sizeof(int)))
                return -EPROTO;
        memcpy(&execution->master, CMSG_DATA(header), sizeof(int));
        fcntl(execution->master, F_SETFL, O_NONBLOCK);
        return 0;
}

static void set_size(struct execution *execution)
{
        struct winsize size = { 0 };
        if (execution->master >= 0 && terminal_size(&size.ws_row, &size.ws_col))
                ioctl(execution->master, TIOCSWINSZ, &size);
}

static int spawn(struct execution *execution, struct error *err)
{
        const struct exec_settings *exec = execution->settings;
        const struct host *host = execution->instance->host;
        const struct vessel *vessel = vessel_of(execution->instance);
        char *program;
        int r = vessel_runtime(vessel, host, &program, err);
        if (r < 0)
                return r;
        _cleanup_free_ char *runtime = program;
        _cleanup_free_ char *root = text_format("%s/%s", host->state, vessel->containers);
        char process[48], log[48], console[80];
        snprintf(process, sizeof(process), "/proc/%d/fd/%d", (int)getpid(), execution->process);
        snprintf(log, sizeof(log), "/proc/%d/fd/%d", (int)getpid(), execution->log);
        snprintf(console, sizeof(console), "/proc/%d/fd/%d/%s", (int)getpid(), execution->run_folder,
                 execution->console_name);
        char *argv[18] = { runtime, "--root",     root,
                           "--log", log,          "--log-format",
                           "json",  "--rootless", host->rootless ? "true" : "false",
                           "exec",  "--process",  process };
        int n = 12;
        if (exec->detach)
                argv[n++] = "--detach";
        if (exec->tty && !exec->detach) {
                argv[n++] = "--console-socket";
                argv[n++] = console;
        }
        argv[n] = execution->instance->id;

        _cleanup_close_ int null = open("/dev/null", O_RDWR | O_CLOEXEC), theirs = -1;
        int ends[2], standard[3] = { null, null, null };
        if (!root || null < 0 || pipe2(ends, O_CLOEXEC) < 0)
                return error_errno(err, "cannot start the runtime");
        execution->error_pipe = ends[0];
        standard[2] = theirs = ends[1];
        if (!exec->detach && !exec->tty) {
                standard[0] = exec->interactive ? -1 : null;
                standard[1] = -1;
        }
        r = process_spawn(argv, standard, &execution->pid, err);
        if (r < 0)
                return r;
        execution->child = (int)syscall(SYS_pidfd_open, execution->pid, 0);
        return execution->child < 0 ? error_errno(err, "cannot watch the runtime") : 0;
}

#define OWN_WORDS "onggi-runtime"

/* The runtime tells its own failures on standard error as well as in its log; we tell them ourselves. So what begins
 * as its words do waits. */
static void relay_error(struct execution *execution)
{
        char data[4096];
        ssize_t n;
        while ((n = read(execution->error_pipe, data, sizeof(data))) > 0) {
                if (!execution->spoke) {
                        text_append_bytes(&execution->held, data, (size_t)n);
                        size_t length =
                                execution->held.length < strlen(OWN_WORDS) ? execution->held.length : strlen(OWN_WORDS);
                        if (!strncmp(execution->held.data, OWN_WORDS, length) && execution->held.length < sizeof(data))
                                continue;
                        write_all(STDERR_FILENO, execution->held.data, execution->held.length);
                        execution->spoke = true;
                        continue;
                }
                write_all(STDERR_FILENO, data, (size_t)n);
        }
        if (!n) {
                close(execution->error_pipe);
                execution->error_pipe = -1;
        }
}

/* Writes what the terminal takes now. What it has no room for waits: the program may first want its output read. */
static void write_input(struct execution *execution)
{
        ssize_t n = write(execution->master, execution->input + execution->input_begin,
                          execution->input_end - execution->input_begin);
        if (n > 0)
                execution->input_begin += (size_t)n;
        else if (n < 0 && errno != EINTR && errno != EAGAIN)
                execution->input_begin = execution->input_end;
}

static void put_input(struct execution *execution, const void *data, size_t length)
{
        memcpy(execution->input + execution->input_end, data, length);
        execution->input_end += length;
}

/* ^D ends a terminal's input at the beginning of a line; after a line's beginning the first one ends the line. */
static void end_input(struct execution *execution)
{
        execution->input_over = true;
        put_input(execution, "\4\4", execution->in_line ? 2 : 1);
}

static void relay_input(struct execution *execution)
{
        unsigned char data[INPUT_SIZE];
        ssize_t n = read(STDIN_FILENO, data, sizeof(data));
        if (n < 0 && (errno == EINTR || errno == EAGAIN))
                return;
        execution->input_begin = execution->input_end = 0;
        for (ssize_t i = 0; i < n && !execution->detached; i++) {
                size_t held;
                int r = detach_keys_feed(&execution->keys, &execution->key_position, data[i], &held);
                execution->detached = r == 1;
                if (r >= 0)
                        continue;
                put_input(execution, execution->keys.keys, held);
                put_input(execution, &data[i], 1);
                execution->in_line = data[i] != '\n' && data[i] != '\r';
        }
        if (n <= 0)
                end_input(execution);
        write_input(execution);
}

/* Returns false when the terminal has no other side any more. */
static bool relay_output(struct execution *execution)
{
        char data[16384];
        ssize_t n = read(execution->master, data, sizeof(data));
        if (n > 0)
                write_all(STDOUT_FILENO, data, (size_t)n);
        return n > 0 || (n < 0 && (errno == EINTR || errno == EAGAIN));
}

static void take_signal(struct execution *execution)
{
        struct signalfd_siginfo info;
        if (read(execution->signals, &info, sizeof(info)) != sizeof(info))
                return;
        if (info.ssi_signo == SIGWINCH)
                set_size(execution);
        else
                process_signal(execution->child, (int)info.ssi_signo);
}

static void relay(struct execution *execution)
{
        const struct exec_settings *exec = execution->settings;
        bool running = true;
        while (running && !execution->detached) {
                bool pending = execution->input_begin < execution->input_end;
                bool input = exec->interactive && execution->master >= 0 && !pending && !execution->input_over;
                struct pollfd polls[] = { { .fd = execution->child, .events = POLLIN },
                                          { .fd = execution->signals, .events = POLLIN },
                                          { .fd = execution->error_pipe, .events = POLLIN },
                                          { .fd = execution->console, .events = POLLIN },
                                          { .fd = execution->master, .events = pending ? POLLIN | POLLOUT : POLLIN },
                                          { .fd = input ? STDIN_FILENO : -1, .events = POLLIN } };
                if (poll(polls, ARRAY_SIZE(polls), -1) < 0 && errno != EINTR)
                        return;
                running = !polls[0].revents;
                if (polls[1].revents)
                        take_signal(execution);
                if (polls[2].revents)
                        relay_error(execution);
                if (polls[3].revents && !take_terminal(execution))
                        set_size(execution);
                if (polls[4].revents & POLLOUT)
                        write_input(execution);
                if (polls[4].revents & ~POLLOUT && !relay_output(execution)) {
                        close(execution->master);
                        execution->master = -1;
                        execution->input_begin = execution->input_end;
                }
                if (polls[5].revents && execution->master >= 0)
                        relay_input(execution);
        }
        /* What was written before the end is still on its way. */
        struct pollfd rest = { .fd = execution->master, .events = POLLIN };
        while (!execution->detached && execution->master >= 0 && poll(&rest, 1, 0) > 0 && relay_output(execution))
                continue;
        if (execution->error_pipe >= 0)
                relay_error(execution);
}

/* The runtime's last word, if it failed itself. */
static int runtime_failure(struct execution *execution, int *exit_code, struct error *err)
{
        _cleanup_free_ char *data = NULL;
        if (lseek(execution->log, 0, SEEK_SET) < 0 || file_read_fd(execution->log, "log", 65536, &data, NULL, NULL) < 0)
                return 0;
        char *rest = data, *line;
        int r = 0;
        while (rest && (line = strsep(&rest, "\n"))) {
                json_t *entry;
                if (json_parse(line, strlen(line), "log", &entry, NULL) < 0)
                        continue;
                const char *text = json_string_value(json_object_get(entry, "msg"));
                if (text && text_equal(json_string_value(json_object_get(entry, "level")), "error")) {
                        *exit_code = exit_code_of_failure(text);
                        r = error_set(err, -EIO, "instance %s: %s", execution->instance->name, text);
                }
                json_decref(entry);
        }
        return r;
}

static int wait_for_end(struct execution *execution, int *exit_code, struct error *err)
{
        if (execution->detached) {
                *exit_code = -1;
                return 0;
        }
        int code = 125;
        int r = process_wait(execution->pid, &code);
        if (r < 0)
                return error_code(err, r, "cannot wait for the runtime");
        *exit_code = code;
        r = code ? runtime_failure(execution, exit_code, err) : 0;
        if (!r && !execution->spoke && execution->held.length)
                write_all(STDERR_FILENO, execution->held.data, execution->held.length);
        return r;
}

static int run(struct execution *execution, int *exit_code, struct error *err)
{
        const struct exec_settings *exec = execution->settings;
        execution->run_folder = run_folder_open(execution->instance->host, execution->instance->id);
        int r = write_process(execution, err);
        if (!r && exec->tty && !exec->detach)
                r = open_console(execution, err);
        if (r < 0)
                return r;
        sigset_t wanted, before;
        sigemptyset(&wanted);
        sigaddset(&wanted, SIGWINCH);
        for (size_t i = 0; i < ARRAY_SIZE(passed_on); i++)
                sigaddset(&wanted, passed_on[i]);
        sigprocmask(SIG_BLOCK, &wanted, &before);
        execution->signals = signalfd(-1, &wanted, SFD_CLOEXEC | SFD_NONBLOCK);
        struct terminal terminal = { 0 };
        r = spawn(execution, err);
        if (!r) {
                fcntl(execution->error_pipe, F_SETFL, O_NONBLOCK);
                if (exec->tty && exec->interactive && !exec->detach)
                        terminal_make_raw(&terminal);
                event_of_instance(execution->instance, "exec_start");
                relay(execution);
                terminal_restore(&terminal);
                r = wait_for_end(execution, exit_code, err);
        }
        sigprocmask(SIG_SETMASK, &before, NULL);
        if (execution->console_name[0])
                unlinkat(execution->run_folder, execution->console_name, 0);
        return r;
}

int instance_exec(struct instance *instance, const struct exec_settings *settings, int *exit_code, struct error *err)
{
        *exit_code = 125;
        if (!list_length(settings->command))
                return error_set(err, -EINVAL, "a program to execute is needed");
        if (instance->status != INSTANCE_RUNNING)
                return error_set(err, -ESRCH, "instance %s is %s; a program can be executed in a running one only",
                                 instance->name, instance_status_name(instance->status));
        struct execution execution = { .instance = instance,
                                       .settings = settings,
                                       .process = -1,
                                       .log = -1,
                                       .console = -1,
                                       .master = -1,
                                       .error_pipe = -1,
                                       .signals = -1,
                                       .child = -1,
                                       .run_folder = -1 };
        int r = detach_keys_parse(settings->detach_keys, &execution.keys, err);
        if (!r)
                r = run(&execution, exit_code, err);
        const int descriptors[] = { execution.process,    execution.log,     execution.console, execution.master,
                                    execution.error_pipe, execution.signals, execution.child,   execution.run_folder };
        for (size_t i = 0; i < ARRAY_SIZE(descriptors); i++)
                if (descriptors[i] >= 0)
                        close(descriptors[i]);
        text_free(&execution.held);
        return r;
}
