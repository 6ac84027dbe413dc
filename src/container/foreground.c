/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "container/foreground.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <sys/ioctl.h>
#include <sys/signalfd.h>
#include <sys/wait.h>
#include <termios.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/process.h"

/* What the kernel sends for a fault of the runtime itself must end the runtime; the rest is for the program. */
static sigset_t passed_on(void)
{
        sigset_t set;
        sigfillset(&set);
        static const int own[] = { SIGSEGV, SIGBUS, SIGILL, SIGFPE, SIGABRT, SIGTRAP, SIGSYS };
        for (size_t i = 0; i < ARRAY_SIZE(own); i++)
                sigdelset(&set, own[i]);
        return set;
}

void foreground_prepare(void)
{
        sigset_t set = passed_on();
        sigprocmask(SIG_BLOCK, &set, NULL);
}

static void copy_size(int master)
{
        struct winsize size;
        /* A terminal of no size, as of a program that plays one, says nothing. */
        if (!ioctl(STDIN_FILENO, TIOCGWINSZ, &size) && (size.ws_row || size.ws_col))
                ioctl(master, TIOCSWINSZ, &size);
}

static bool child_ended(pid_t child, int *code)
{
        int status;
        if (waitpid(child, &status, WNOHANG) != child)
                return false;
        *code = WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status);
        return true;
}

/* Without a terminal there is nothing but signals to wait for. */
static int wait_by_signals(pid_t child, int pidfd, struct error *err)
{
        sigset_t set = passed_on();
        int code;
        while (!child_ended(child, &code)) {
                int signal = sigwaitinfo(&set, NULL);
                if (signal < 0 && errno != EINTR)
                        return error_errno(err, "cannot wait for signals");
                if (signal > 0 && signal != SIGCHLD)
                        process_signal(pidfd, signal);
        }
        return code;
}

static void handle_signals(int signals, int pidfd, int master)
{
        struct signalfd_siginfo info;
        while (read(signals, &info, sizeof(info)) == sizeof(info)) {
                if (info.ssi_signo == SIGWINCH)
                        copy_size(master);
                else if (info.ssi_signo != SIGCHLD)
                        process_signal(pidfd, (int)info.ssi_signo);
        }
}

/*
 * One direction of the terminal. What was read waits here until it can be written, so that neither side's slowness
 * keeps the other direction, or a signal, waiting. At most PIPE_BUF bytes: a blocking pipe that poll(2) calls writable
 * takes as much at once.
 */
struct flow {
        int from, to; /* from -1: at its end */
        size_t begin, end;
        char data[PIPE_BUF];
};

static bool flow_waits(const struct flow *flow)
{
        return flow->begin < flow->end;
}

static void flow_read(struct flow *flow)
{
        ssize_t n = read(flow->from, flow->data, sizeof(flow->data));
        if (!n || (n < 0 && errno != EINTR && errno != EAGAIN))
                flow->from = -1;
        flow->begin = 0;
        flow->end = n > 0 ? (size_t)n : 0;
}

static void flow_write(struct flow *flow)
{
        ssize_t n = write(flow->to, flow->data + flow->begin, flow->end - flow->begin);
        if (n > 0)
                flow->begin += (size_t)n;
        else if (n < 0 && errno != EINTR && errno != EAGAIN)
                *flow = (struct flow){ .from = -1, .to = flow->to };
}

static int wait_by_poll(pid_t child, int pidfd, int master, struct error *err)
{
        sigset_t set = passed_on();
        _cleanup_close_ int signals = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
        if (signals < 0 || fcntl(master, F_SETFL, O_NONBLOCK) < 0)
                return error_errno(err, "cannot wait for signals");
        struct flow input = { .from = STDIN_FILENO, .to = master }, output = { .from = master, .to = STDOUT_FILENO };
        for (int code;;) {
                enum { SIGNALS, CHILD, MASTER_IN, MASTER_OUT, INPUT, OUTPUT };
                struct pollfd waits[] = {
                        [SIGNALS] = { .fd = signals, .events = POLLIN },
                        [CHILD] = { .fd = pidfd, .events = POLLIN },
                        [MASTER_IN] = { .fd = flow_waits(&output) ? -1 : output.from, .events = POLLIN },
                        [MASTER_OUT] = { .fd = flow_waits(&input) ? master : -1, .events = POLLOUT },
                        [INPUT] = { .fd = flow_waits(&input) ? -1 : input.from, .events = POLLIN },
                        [OUTPUT] = { .fd = flow_waits(&output) ? STDOUT_FILENO : -1, .events = POLLOUT },
                };
                if (poll(waits, ARRAY_SIZE(waits), -1) < 0 && errno != EINTR)
                        return error_errno(err, "cannot wait for the terminal");
                if (waits[SIGNALS].revents)
                        handle_signals(signals, pidfd, master);
                if (waits[MASTER_IN].revents)
                        flow_read(&output);
                if (waits[OUTPUT].revents)
                        flow_write(&output);
                if (waits[INPUT].revents)
                        flow_read(&input);
                if (waits[MASTER_OUT].revents)
                        flow_write(&input);
                /* What the program wrote last is still to be copied: the master answers EIO when all of it is. */
                if (waits[CHILD].revents && !flow_waits(&output) && !(waits[MASTER_IN].revents & POLLIN) &&
                    child_ended(child, &code))
                        return code;
        }
}

int foreground_wait(pid_t child, int pidfd, int master, struct error *err)
{
        if (master < 0)
                return wait_by_signals(child, pidfd, err);
        struct termios before, raw;
        bool terminal = !tcgetattr(STDIN_FILENO, &before);
        if (terminal) {
                raw = before;
                cfmakeraw(&raw);
                tcsetattr(STDIN_FILENO, TCSANOW, &raw);
                copy_size(master);
        }
        int code = wait_by_poll(child, pidfd, master, err);
        if (terminal)
                tcsetattr(STDIN_FILENO, TCSANOW, &before);
        return code;
}
