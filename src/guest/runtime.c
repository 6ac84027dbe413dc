/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "guest/runtime.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/file.h"
#include "base/json.h"
#include "base/process.h"
#include "base/text.h"
#include "guest/agent.h"

#define LOG_BYTES_MAX  (64 * 1024)
#define ARGUMENTS_MAX  24
#define PID_BYTES_MAX  16
#define FAILED_TEXT    "the runtime failed without saying why"
#define STATISTICS_MAX AGENT_DOCUMENT_MAX

/* Names of files for one call: calls of several processes go on at the same time. */
struct call {
        char log[64], pid[64], console[64];
};

static struct call names_of_call(void)
{
        struct call call;
        snprintf(call.log, sizeof(call.log), GUEST_RUN "/log.%d", getpid());
        snprintf(call.pid, sizeof(call.pid), GUEST_RUN "/pid.%d", getpid());
        snprintf(call.console, sizeof(call.console), GUEST_RUN "/console.%d", getpid());
        return call;
}

/* The last line of the log is the reason. */
static int fail(const struct call *call, struct error *err)
{
        _cleanup_free_ char *text = NULL;
        const char *reason = NULL;
        size_t length;
        if (file_read(AT_FDCWD, call->log, LOG_BYTES_MAX, &text, &length, NULL) < 0)
                return error_set(err, -EIO, FAILED_TEXT);
        while (length && text[length - 1] == '\n')
                text[--length] = 0;
        const char *line = strrchr(text, '\n');
        _cleanup_json_ json_t *entry = json_loads(line ? line + 1 : text, 0, NULL);
        json_unpack(entry, "{s:s}", "msg", &reason);
        return error_set(err, -EIO, "%s", reason ? reason : FAILED_TEXT);
}

/* Runs it and waits. */
static int run(const struct call *call, const char *const *words, const int standard[3], struct error *err)
{
        const char *argv[ARGUMENTS_MAX] = { RUNTIME_PROGRAM, "--root", (GUEST_RUN "/runtime"), "--log", call->log,
                                            "--log-format",  "json" };
        size_t count = 7;
        pid_t pid;
        int code;
        while (*words && count + 1 < ARGUMENTS_MAX)
                argv[count++] = *words++;
        int r = process_spawn((char *const *)argv, standard, &pid, err);
        if (!r)
                r = process_wait(pid, &code);
        if (!r && code)
                r = fail(call, err);
        unlink(call->log);
        return r;
}

/* ---- Streams ---- */

static int listen_for_terminal(const struct call *call, struct error *err)
{
        struct sockaddr_un address = { .sun_family = AF_UNIX };
        TEXT_COPY(address.sun_path, call->console);
        _cleanup_close_ int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
        if (fd < 0 || bind(fd, (struct sockaddr *)&address, sizeof(address)) < 0 || listen(fd, 1) < 0)
                return error_errno(err, "cannot wait for a terminal at %s", call->console);
        return TAKE_FD(fd);
}

/* The runtime has sent it before it ended. */
static int receive_terminal(int listener, struct error *err)
{
        char name[64];
        struct iovec part = { name, sizeof(name) };
        union {
                struct cmsghdr header;
                char space[CMSG_SPACE(sizeof(int))];
        } control;
        struct msghdr envelope = {
                .msg_iov = &part, .msg_iovlen = 1, .msg_control = &control, .msg_controllen = sizeof(control)
        };
        _cleanup_close_ int connection = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
        int fd;
        if (connection < 0 || recvmsg(connection, &envelope, MSG_CMSG_CLOEXEC) < 0)
                return error_errno(err, "cannot receive the terminal");
        const struct cmsghdr *header = CMSG_FIRSTHDR(&envelope);
        if (!header || header->cmsg_type != SCM_RIGHTS || header->cmsg_len != CMSG_LEN(sizeof(int)))
                return error_set(err, -EPROTO, "the runtime sent no terminal");
        memcpy(&fd, CMSG_DATA(header), sizeof(fd));
        return fd;
}

/* One stream: *theirs for the program, *ours the other end (-1 with /dev/null). */
static int make_stream(bool wanted, bool is_input, int *theirs, int *ours, struct error *err)
{
        int ends[2];
        if (!wanted) {
                *theirs = open("/dev/null", O_RDWR | O_CLOEXEC);
                return *theirs < 0 ? error_errno(err, "cannot open /dev/null") : 0;
        }
        if (pipe2(ends, O_CLOEXEC) < 0)
                return error_errno(err, "cannot make a pipe");
        *theirs = ends[is_input ? 0 : 1];
        *ours = ends[is_input ? 1 : 0];
        return 0;
}

/* ---- Calls ---- */

static int read_pid(const struct call *call, pid_t *pid, struct error *err)
{
        _cleanup_free_ char *text = NULL;
        uint64_t number;
        int r = file_read(AT_FDCWD, call->pid, PID_BYTES_MAX, &text, NULL, err);
        unlink(call->pid);
        if (r < 0)
                return r;
        text[strcspn(text, "\n")] = 0;
        if (parse_u64(text, &number) < 0 || !number || number > INT32_MAX)
                return error_set(err, -EPROTO, "the runtime says that \"%s\" is a process", text);
        *pid = (pid_t)number;
        return 0;
}

/* Words of a call that makes a program; NULLs among them are left out. */
static int run_program(const struct call *call, const char *const *verb, const char *last, const int standard[3],
                       bool terminal, struct error *err)
{
        const char *words[ARGUMENTS_MAX] = { 0 };
        size_t count = 0;
        while (*verb)
                words[count++] = *verb++;
        words[count++] = "--pid-file";
        words[count++] = call->pid;
        if (terminal) {
                words[count++] = "--console-socket";
                words[count++] = call->console;
        }
        words[count++] = last;
        return run(call, words, standard, err);
}

static int make_with_terminal(const struct call *call, const char *const *verb, struct runtime_program *program,
                              struct error *err)
{
        _cleanup_close_ int nothing = open("/dev/null", O_RDWR | O_CLOEXEC);
        _cleanup_close_ int listener = listen_for_terminal(call, err);
        int r = listener < 0 ? listener
                             : run_program(call, verb, RUNTIME_CONTAINER, (const int[]){ nothing, nothing, nothing },
                                           true, err);
        if (!r) {
                program->terminal = receive_terminal(listener, err);
                r = program->terminal < 0 ? program->terminal : 0;
        }
        if (listener >= 0)
                unlink(call->console);
        return r;
}

static int make_with_pipes(const struct call *call, const char *const *verb, const struct runtime_streams *streams,
                           struct runtime_program *program, struct error *err)
{
        _cleanup_close_ int input = -1;
        _cleanup_close_ int output = -1;
        _cleanup_close_ int errors = -1;
        int r = make_stream(streams->input, true, &input, &program->input, err);
        if (!r)
                r = make_stream(streams->output, false, &output, &program->output, err);
        if (!r)
                r = make_stream(streams->errors, false, &errors, &program->errors, err);
        if (!r)
                r = run_program(call, verb, RUNTIME_CONTAINER, (const int[]){ input, output, errors }, false, err);
        return r;
}

static int make_program(const char *const *verb, const struct runtime_streams *streams, struct runtime_program *program,
                        struct error *err)
{
        const struct call call = names_of_call();
        *program = (struct runtime_program){ .input = -1, .output = -1, .errors = -1, .terminal = -1 };
        int r = streams->terminal ? make_with_terminal(&call, verb, program, err)
                                  : make_with_pipes(&call, verb, streams, program, err);
        if (!r)
                r = read_pid(&call, &program->pid, err);
        if (r < 0)
                runtime_program_close(program);
        return r;
}

int runtime_create(const struct runtime_streams *streams, struct runtime_program *program, struct error *err)
{
        return make_program((const char *const[]){ "create", "--bundle", RUNTIME_BUNDLE, NULL }, streams, program, err);
}

int runtime_exec(const char *file, const struct runtime_streams *streams, struct runtime_program *program,
                 struct error *err)
{
        return make_program((const char *const[]){ "exec", "--detach", "--process", file, NULL }, streams, program,
                            err);
}

/* A verb without streams. */
static int run_quietly(const char *const *words, int output, struct error *err)
{
        const struct call call = names_of_call();
        _cleanup_close_ int nothing = open("/dev/null", O_RDWR | O_CLOEXEC);
        return run(&call, words, (const int[]){ nothing, output < 0 ? nothing : output, nothing }, err);
}

int runtime_start(struct error *err)
{
        return run_quietly((const char *const[]){ "start", RUNTIME_CONTAINER, NULL }, -1, err);
}

int runtime_kill_all(unsigned signal, struct error *err)
{
        char number[16];
        snprintf(number, sizeof(number), "%u", signal);
        return run_quietly((const char *const[]){ "kill", "--all", RUNTIME_CONTAINER, number, NULL }, -1, err);
}

int runtime_statistics(char **text, struct error *err)
{
        /* A file, which a runtime cannot wait for that nobody reads. */
        _cleanup_close_ int output = open(GUEST_RUN, O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
        if (output < 0)
                return error_errno(err, "cannot make a file in " GUEST_RUN);
        int r = run_quietly((const char *const[]){ "events", "--stats", RUNTIME_CONTAINER, NULL }, output, err);
        if (r < 0)
                return r;
        if (lseek(output, 0, SEEK_SET) < 0)
                return error_errno(err, "cannot read what the runtime wrote");
        return file_read_fd(output, "the runtime's statistics", STATISTICS_MAX, text, NULL, err);
}

void runtime_program_close(struct runtime_program *program)
{
        int *ends[] = { &program->input, &program->output, &program->errors, &program->terminal };
        for (size_t i = 0; i < ARRAY_SIZE(ends); i++)
                if (*ends[i] >= 0)
                        close(TAKE_FD(*ends[i]));
}
