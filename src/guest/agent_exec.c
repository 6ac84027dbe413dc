/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/file.h"
#include "base/json.h"
#include "base/process.h"
#include "guest/frame.h"
#include "guest/guest.h"

/* A program that was started later, and the connection that it is served over. */
struct exec {
        int connection;
        struct runtime_program made;
        int pidfd;
        bool hung_up; /* the host has gone, or broke the protocol */
        bool ended;
        char *input; /* bytes that the program has not taken yet */
        size_t input_start, input_length;
};

/* ---- Starting it ---- */

/* The document for the runtime, without what says something of the host. */
static int write_document(const char *document, size_t length, const char *path, bool *terminal, struct error *err)
{
        static const char *const of_the_host[] = { "apparmorProfile", "selinuxLabel",    "scheduler",
                                                   "ioPriority",      "execCPUAffinity", NULL };
        _cleanup_json_ json_t *process = NULL;
        int r = json_parse(document, length, "the process document", &process, err);
        if (r < 0)
                return r;
        if (!json_is_object(process))
                return error_set(err, -EINVAL, "the process document must be an object");
        for (const char *const *member = of_the_host; *member; member++)
                json_object_del(process, *member);
        *terminal = json_is_true(json_object_get(process, "terminal"));
        return json_replace(AT_FDCWD, path, process, false, err);
}

static int start(struct exec *exec, const char *document, size_t length, struct error *err)
{
        char path[64];
        bool terminal = false;
        snprintf(path, sizeof(path), GUEST_RUN "/exec.%d", getpid());
        /* The program's parent, the runtime, ends: then it is this process that hears of its end. */
        prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0);
        int r = write_document(document, length, path, &terminal, err);
        if (!r)
                r = runtime_exec(path, &(struct runtime_streams){ terminal, true, true, true }, &exec->made, err);
        unlink(path);
        if (r < 0)
                return r;
        exec->pidfd = (int)syscall(SYS_pidfd_open, exec->made.pid, 0);
        return exec->pidfd < 0 ? error_errno(err, "cannot open the process that was made") : 0;
}

/* ---- Serving it ---- */

static int input_end(const struct exec *exec)
{
        return exec->made.terminal >= 0 ? exec->made.terminal : exec->made.input;
}

static void close_input(struct exec *exec)
{
        if (exec->made.input >= 0)
                close(TAKE_FD(exec->made.input));
        exec->input_length = 0;
}

static void take_input(struct exec *exec)
{
        free(TAKE_PTR(exec->input));
        int type = frame_receive(exec->connection, &exec->input, &exec->input_length);
        exec->input_start = 0;
        if (type != AGENT_INPUT) {
                exec->hung_up = true;
                close_input(exec);
        } else if (!exec->input_length || input_end(exec) < 0) {
                close_input(exec);
        }
}

static void give_input(struct exec *exec)
{
        ssize_t n = write(input_end(exec), exec->input + exec->input_start, exec->input_length);
        if (n < 0 && errno != EAGAIN && errno != EINTR) {
                close_input(exec);
        } else if (n > 0) {
                exec->input_start += (size_t)n;
                exec->input_length -= (size_t)n;
        }
}

/* Passes on what is there. At the end of a stream, *fd is -1 and the host has been told. */
static void pass_output(struct exec *exec, int *fd, enum agent_type type)
{
        static char bytes[AGENT_DATA_MAX];
        ssize_t n = read(*fd, bytes, sizeof(bytes));
        if (n < 0 && (errno == EAGAIN || errno == EINTR))
                return;
        if (n <= 0) {
                close(TAKE_FD(*fd));
                n = 0;
        }
        if (frame_send(exec->connection, type, bytes, (size_t)n, NULL, 0) < 0)
                exec->hung_up = true;
}

static void end_output(struct exec *exec, int *fd, enum agent_type type)
{
        while (*fd >= 0 && !exec->hung_up) {
                struct pollfd wait = { *fd, POLLIN, 0 };
                if (poll(&wait, 1, 0) > 0) { /* what it wrote before its end */
                        pass_output(exec, fd, type);
                        continue;
                }
                close(TAKE_FD(*fd)); /* others may hold it open; they write for nobody */
                frame_send(exec->connection, type, NULL, 0, NULL, 0);
        }
}

static void serve(struct exec *exec)
{
        struct runtime_program *made = &exec->made;
        int *output = made->terminal >= 0 ? &made->terminal : &made->output;
        while (!exec->ended && !exec->hung_up) {
                bool has_input = exec->input_length;
                struct pollfd wait[] = {
                        { has_input ? -1 : exec->connection, POLLIN, 0 },
                        { has_input ? input_end(exec) : -1, POLLOUT, 0 },
                        { *output, POLLIN, 0 },
                        { made->errors, POLLIN, 0 },
                        { exec->pidfd, POLLIN, 0 },
                };
                if (poll(wait, ARRAY_SIZE(wait), -1) < 0 && errno != EINTR)
                        return;
                if (wait[0].revents)
                        take_input(exec);
                if (wait[1].revents)
                        give_input(exec);
                if (wait[2].revents)
                        pass_output(exec, output, AGENT_OUTPUT);
                if (wait[3].revents)
                        pass_output(exec, &made->errors, AGENT_ERRORS);
                exec->ended = wait[4].revents;
        }
        end_output(exec, output, AGENT_OUTPUT);
        end_output(exec, &made->errors, AGENT_ERRORS);
}

static void set_nonblocking(int fd)
{
        if (fd >= 0)
                fcntl(fd, F_SETFL, O_NONBLOCK);
}

void agent_exec(int connection, int report, const char *document, size_t length)
{
        struct exec exec = { .connection = connection, .pidfd = -1 };
        struct error err = { 0 };
        int code = 0;
        if (start(&exec, document, length, &err) < 0) {
                frame_send_error(connection, &err);
                return;
        }
        struct agent_started started = { (uint32_t)exec.made.pid };
        agent_report(report, started.process, exec.pidfd, exec.made.terminal);
        set_nonblocking(exec.made.input);
        set_nonblocking(exec.made.output);
        set_nonblocking(exec.made.errors);
        set_nonblocking(exec.made.terminal);
        if (frame_send(connection, AGENT_STARTED, &started, sizeof(started), NULL, 0) < 0)
                exec.hung_up = true;
        serve(&exec);
        runtime_program_close(&exec.made);
        /* A program that the host has left goes on, as one does whose terminal is closed: and so does this process. */
        if (process_wait(exec.made.pid, &code) < 0)
                code = 125;
        struct agent_exit ended = { (uint32_t)code };
        frame_send(connection, AGENT_EXIT, &ended, sizeof(ended), NULL, 0);
}

void agent_statistics(int connection)
{
        _cleanup_free_ char *text = NULL;
        struct error err = { 0 };
        if (runtime_statistics(&text, &err) < 0)
                frame_send_error(connection, &err);
        else
                frame_send(connection, AGENT_DOCUMENT, text, strlen(text), NULL, 0);
}
