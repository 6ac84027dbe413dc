/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "base/process.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/text.h"

/* State letter and start time; the command's name (field 2) may hold anything, so fields count from its last ')'. */
static int read_stat(pid_t pid, char *state, uint64_t *ticks)
{
        char path[32], data[1024];
        snprintf(path, sizeof(path), "/proc/%d/stat", (int)pid);
        _cleanup_close_ int fd = open(path, O_RDONLY | O_CLOEXEC);
        ssize_t n = fd < 0 ? -1 : read(fd, data, sizeof(data) - 1);
        if (n <= 0)
                return -ESRCH;
        data[n] = 0;
        const char *field = strrchr(data, ')');
        if (!field || !field[1] || !field[2])
                return -ESRCH;
        field += 2; /* field 3, the state */
        *state = *field;
        for (int i = 3; i < 22; i++) {
                field = strchr(field, ' ');
                if (!field)
                        return -ESRCH;
                field++;
        }
        *ticks = strtoull(field, NULL, 10);
        return 0;
}

int process_start_time(pid_t pid, uint64_t *ticks)
{
        char state;
        return read_stat(pid, &state, ticks);
}

int process_open(pid_t pid, uint64_t start)
{
        if (pid <= 0)
                return -ESRCH;
        _cleanup_close_ int fd = (int)syscall(SYS_pidfd_open, pid, 0);
        if (fd < 0)
                return -errno;
        char state;
        uint64_t ticks;
        /* Read after the pidfd was taken: if they agree now, the descriptor holds that process. */
        if (read_stat(pid, &state, &ticks) < 0 || state == 'Z' || state == 'X' || (start && ticks != start))
                return -ESRCH;
        return TAKE_FD(fd);
}

int process_signal(int pidfd, int signal)
{
        return syscall(SYS_pidfd_send_signal, pidfd, signal, NULL, 0) < 0 ? -errno : 0;
}

int process_wait(pid_t pid, int *exit_code)
{
        int status;
        while (waitpid(pid, &status, 0) < 0)
                if (errno != EINTR)
                        return -errno;
        *exit_code = WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status);
        return 0;
}

int process_spawn(char *const argv[], const int standard[3], pid_t *pid, struct error *err)
{
        int report[2];
        if (pipe2(report, O_CLOEXEC) < 0)
                return error_errno(err, "cannot start %s", argv[0]);
        _cleanup_close_ int in = report[0], out = report[1];

        pid_t child = fork();
        if (child < 0)
                return error_errno(err, "cannot start %s", argv[0]);
        if (!child) {
                sigset_t none;
                sigemptyset(&none);
                sigprocmask(SIG_SETMASK, &none, NULL);
                /* Copies above 2 first, so that no source is overwritten before its turn. */
                int copies[3];
                for (int i = 0; i < 3; i++)
                        copies[i] = standard[i] < 0 ? -1 : fcntl(standard[i], F_DUPFD_CLOEXEC, 3);
                for (int i = 0; i < 3; i++)
                        if (copies[i] >= 0)
                                dup2(copies[i], i);
                execvp(argv[0], argv);
                int failure = errno;
                if (write(out, &failure, sizeof(failure)) < 0)
                        _exit(126);
                _exit(127);
        }
        close(TAKE_FD(out));
        int failure;
        ssize_t n;
        do
                n = read(in, &failure, sizeof(failure));
        while (n < 0 && errno == EINTR);
        if (n == sizeof(failure)) {
                waitpid(child, NULL, 0);
                return error_code(err, -failure, "cannot start %s", argv[0]);
        }
        *pid = child;
        return 0;
}

int signal_from_name(const char *name)
{
        uint64_t number;
        if (!parse_u64(name, &number))
                return number >= 1 && number <= (uint64_t)SIGRTMAX ? (int)number : -EINVAL;
        if (!strncasecmp(name, "SIG", 3))
                name += 3;
        if (!strncasecmp(name, "RTMIN", 5) || !strncasecmp(name, "RTMAX", 5)) {
                bool low = !strncasecmp(name, "RTMIN", 5);
                if (!name[5])
                        return low ? SIGRTMIN : SIGRTMAX;
                if (name[5] != (low ? '+' : '-') || parse_u64(name + 6, &number) < 0 ||
                    number > (uint64_t)(SIGRTMAX - SIGRTMIN))
                        return -EINVAL;
                return low ? SIGRTMIN + (int)number : SIGRTMAX - (int)number;
        }
        for (int i = 1; i < SIGRTMIN; i++) {
                const char *known = sigabbrev_np(i);
                if (known && !strcasecmp(known, name))
                        return i;
        }
        return -EINVAL;
}

const char *signal_name(int signal)
{
        static _Thread_local char text[24];
        const char *known = sigabbrev_np(signal);
        if (known)
                snprintf(text, sizeof(text), "SIG%s", known);
        else if (signal >= SIGRTMIN && signal <= SIGRTMAX)
                snprintf(text, sizeof(text), "SIGRTMIN+%d", signal - SIGRTMIN);
        else
                snprintf(text, sizeof(text), "signal %d", signal);
        return text;
}
