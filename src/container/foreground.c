/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "container/foreground.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <sys/ioctl.h>
#include <sys/signalfd.h>
#include <sys/wait.h>
#include <termios.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/file.h"
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

/* Copies what is there. False at the end of the stream. */
static bool copy(int from, int to)
{
        char data[8192];
        ssize_t n = read(from, data, sizeof(data));
        if (n < 0)
                return errno == EINTR || errno == EAGAIN;
        return n > 0 && write_all(to, data, (size_t)n) >= 0;
}

static int wait_by_poll(pid_t child, int pidfd, int master, struct error *err)
{
        sigset_t set = passed_on();
        _cleanup_close_ int signals = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
        if (signals < 0)
                return error_errno(err, "cannot wait for signals");
        struct pollfd waits[] = {
                { .fd = signals, .events = POLLIN },
                { .fd = pidfd, .events = POLLIN },
                { .fd = master, .events = POLLIN },
                { .fd = STDIN_FILENO, .events = POLLIN },
        };
        for (int code;;) {
                if (poll(waits, ARRAY_SIZE(waits), -1) < 0 && errno != EINTR)
                        return error_errno(err, "cannot wait for the terminal");
                if (waits[0].revents)
                        handle_signals(signals, pidfd, master);
                if (waits[2].revents && !copy(master, STDOUT_FILENO))
                        waits[2].fd = -1;
                if (waits[3].revents && !copy(STDIN_FILENO, master))
                        waits[3].fd = -1;
                /* What the program wrote last is still to be copied: the master answers EIO when all of it is. */
                if (waits[1].revents && !(waits[2].revents & POLLIN) && child_ended(child, &code))
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
