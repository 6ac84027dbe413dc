/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "runtime_vm/exec_streams.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/file.h"
#include "guest/agent.h"
#include "guest/frame.h"
#include "runtime_vm/agent_link.h"

/* What the kernel sends for a fault of our own must end us; SIGPIPE is about our own writing, SIGCHLD about no child. */
static sigset_t passed_on(void)
{
        static const int own[] = { SIGSEGV, SIGBUS, SIGILL, SIGFPE, SIGABRT, SIGTRAP, SIGSYS, SIGPIPE, SIGCHLD };
        sigset_t set;
        sigfillset(&set);
        for (size_t i = 0; i < ARRAY_SIZE(own); i++)
                sigdelset(&set, own[i]);
        return set;
}

void exec_streams_prepare(void)
{
        sigset_t set = passed_on();
        sigprocmask(SIG_SETMASK, &set, NULL);
        signal(SIGPIPE, SIG_IGN);
}

/* ---- Input ---- */

static void *copy_input(void *data)
{
        const struct exec_streams *streams = data;
        int from = streams->terminal >= 0 ? streams->terminal : STDIN_FILENO;
        char bytes[16384];
        for (;;) {
                ssize_t n = read(from, bytes, sizeof(bytes));
                if (n < 0 && errno == EINTR)
                        continue;
                /* The end is told by an empty frame; a program that does not read makes us wait here, and nobody else. */
                if (frame_send(streams->connection, AGENT_INPUT, bytes, n > 0 ? (size_t)n : 0, NULL, 0) < 0 || n <= 0)
                        return NULL;
        }
}

/* ---- Signals and window sizes ---- */

static int send_size(const struct exec_streams *streams)
{
        struct winsize size;
        if (streams->terminal < 0 || ioctl(streams->terminal, TIOCGWINSZ, &size) < 0 || !size.ws_row || !size.ws_col)
                return 0;
        const struct agent_window window = { streams->process, size.ws_row, size.ws_col };
        return agent_command(streams->control, AGENT_WINDOW, &window, sizeof(window), NULL);
}

static void *pass_signals(void *data)
{
        const struct exec_streams *streams = data;
        const sigset_t set = passed_on();
        int r = send_size(streams);
        while (r != -ETIMEDOUT && r != -ECONNRESET && r != -EPROTO && r != -EPIPE) {
                int number = sigwaitinfo(&set, NULL);
                if (number < 0)
                        continue;
                const struct agent_signal message = { streams->process, (uint32_t)number };
                r = number == SIGWINCH ? send_size(streams)
                                       : agent_command(streams->control, AGENT_SIGNAL, &message, sizeof(message), NULL);
        }
        return NULL;
}

/* ---- Output ---- */

static int take_exit(const char *data, size_t length, struct error *err)
{
        struct agent_exit end;
        if (length != sizeof(end))
                return error_set(err, -EPROTO, "the guest's agent breaks the rules of its protocol");
        memcpy(&end, data, sizeof(end));
        return end.exit_code > 255 ? 255 : (int)end.exit_code;
}

static int copy_output(const struct exec_streams *streams, struct error *err)
{
        const int output = streams->terminal >= 0 ? streams->terminal : STDOUT_FILENO;
        bool ended[2] = { false };
        for (;;) {
                _cleanup_free_ char *data = NULL;
                size_t length;
                int type = agent_receive(streams->connection, &data, &length, err);
                if (type < 0)
                        return type;
                if (type == AGENT_EXIT)
                        return take_exit(data, length, err);
                bool *end = &ended[type == AGENT_ERRORS];
                /* Behind the end of a stream its number may be another file's. */
                if ((type != AGENT_OUTPUT && type != AGENT_ERRORS) || *end)
                        return error_set(err, -EPROTO, "the guest's agent answers something else");
                /* Whoever does not want it any more stops nobody else from getting the exit code. */
                int to = type == AGENT_OUTPUT ? output : STDERR_FILENO;
                *end = !length;
                if (length)
                        (void)write_all(to, data, length);
                else if (streams->terminal < 0)
                        close(to);
        }
}

int exec_streams_run(struct exec_streams *streams, struct error *err)
{
        const struct timeval for_ever = { 0 };
        pthread_t input, signals;
        /* A program may be silent as long as it likes, and slow to read. */
        setsockopt(streams->connection, SOL_SOCKET, SO_RCVTIMEO, &for_ever, sizeof(for_ever));
        setsockopt(streams->connection, SOL_SOCKET, SO_SNDTIMEO, &for_ever, sizeof(for_ever));
        int r = pthread_create(&input, NULL, copy_input, streams);
        if (!r)
                r = pthread_create(&signals, NULL, pass_signals, streams);
        if (r)
                return error_code(err, -r, "cannot start a thread");
        return copy_output(streams, err); /* the process ends next, and its threads with it */
}
