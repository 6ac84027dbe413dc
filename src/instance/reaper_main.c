/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * onggi-reaper -- PROGRAM [ARGUMENT…]: process 1 of an instance with --init. Starts the program, passes on every signal
 * that it gets, reaps whatever becomes its child, and ends as the program ended. Static, libc only.
 */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/wait.h>
#include <unistd.h>

static pid_t start(char **arguments, const sigset_t *before)
{
        pid_t child = fork();
        if (child)
                return child;
        /* A process group of its own, in the foreground: ^C is for the program, once. */
        setpgid(0, 0);
        signal(SIGTTOU, SIG_IGN);
        tcsetpgrp(STDIN_FILENO, getpid());
        signal(SIGTTOU, SIG_DFL);
        sigprocmask(SIG_SETMASK, before, NULL);
        execvp(arguments[0], arguments);
        int failure = errno;
        dprintf(STDERR_FILENO, "onggi-reaper: cannot execute %s: %s\n", arguments[0], strerror(failure));
        _exit(failure == ENOENT ? 127 : 126);
}

/* Returns whether the program itself ended; *code is then its exit code. */
static int reap(pid_t program, int *code)
{
        int status, ended = 0;
        pid_t pid;
        while ((pid = waitpid(-1, &status, WNOHANG)) > 0)
                if (pid == program) {
                        *code = WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status);
                        ended = 1;
                }
        return ended;
}

int main(int argc, char **argv)
{
        if (argc < 3 || strcmp(argv[1], "--")) {
                dprintf(STDERR_FILENO, "usage: onggi-reaper -- PROGRAM [ARGUMENT...]\n");
                return 125;
        }
        sigset_t all, before;
        sigfillset(&all);
        sigprocmask(SIG_SETMASK, &all, &before);
        pid_t program = start(argv + 2, &before);
        if (program < 0) {
                dprintf(STDERR_FILENO, "onggi-reaper: cannot start a process: %s\n", strerror(errno));
                return 126;
        }
        for (;;) {
                int code = 0, number;
                if (sigwait(&all, &number))
                        continue;
                if (number != SIGCHLD)
                        kill(program, number);
                else if (reap(program, &code))
                        return code;
        }
}
