/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "instance/spawn.h"

#include <errno.h>
#include <sched.h>
#include <signal.h>
#include <sys/mman.h>
#include <unistd.h>

#define STACK_SIZE (64 * 1024)

static int child(void *argument)
{
        const struct spawning *spawning = argument;
        sigset_t none;
        sigemptyset(&none);
        sigprocmask(SIG_SETMASK, &none, NULL);
        if (spawning->prepare)
                spawning->prepare(spawning->context);
        execv(spawning->path, spawning->arguments);
        _exit(126);
}

pid_t spawn_program(const struct spawning *spawning)
{
        char *stack = mmap(NULL, STACK_SIZE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_STACK, -1, 0);
        if (stack == MAP_FAILED)
                return -errno;
        /* No signal handler may run in the child while it has our memory. */
        sigset_t all, before;
        sigfillset(&all);
        sigprocmask(SIG_BLOCK, &all, &before);
        pid_t pid = clone(child, stack + STACK_SIZE, CLONE_VM | CLONE_VFORK | SIGCHLD, (void *)spawning);
        int saved = errno;
        sigprocmask(SIG_SETMASK, &before, NULL);
        munmap(stack, STACK_SIZE);
        return pid < 0 ? -saved : pid;
}
