/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "network/later.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "base/file.h"

/* Nothing of the caller's stays open: whoever reads its output waits for the end of it. */
static void leave_caller(void)
{
        sigset_t none;
        sigemptyset(&none);
        sigprocmask(SIG_SETMASK, &none, NULL);
        setsid();
        descriptors_close_from(0);
        int null = open("/dev/null", O_RDWR);
        if (null != 0 || dup(null) != 1 || dup(null) != 2 || chdir("/") < 0)
                _exit(1);
}

static void wait_and_work(const struct networks *caller, const struct later *later)
{
        struct networks *networks;
        struct timespec left = { .tv_sec = later->delay / 1000, .tv_nsec = later->delay % 1000 * 1000000L };
        leave_caller();
        if (networks_open(caller->root, caller->state, caller->rootless, &networks, NULL) < 0)
                return;
        int waiting = lock_try(networks->leases, later->lock, true, NULL);
        if (waiting < 0)
                return;
        while (nanosleep(&left, &left) < 0 && errno == EINTR)
                continue;
        /* Whoever leaves more to do from now on starts another process. */
        close(waiting);
        int lock = networks_lock(networks, NULL);
        if (lock >= 0)
                later->work(networks, NULL);
}

void later_start(const struct networks *networks, const struct later *later)
{
        pid_t child = fork();
        if (child > 0)
                waitpid(child, NULL, 0);
        if (child)
                return;
        /* A grandchild is nobody's to wait for. */
        if (fork() == 0)
                wait_and_work(networks, later);
        _exit(0);
}
