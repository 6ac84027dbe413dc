/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "container/clone.h"

#include <linux/sched.h>
#include <signal.h>
#include <stdint.h>
#include <sys/syscall.h>
#include <unistd.h>

pid_t clone_process(int flags, int cgroup)
{
        struct clone_args args = {
                .flags = (uint64_t)(unsigned)flags,
                .exit_signal = flags & CLONE_PARENT ? 0 : SIGCHLD,
        };
        if (cgroup >= 0) {
                args.flags |= CLONE_INTO_CGROUP;
                args.cgroup = (uint64_t)cgroup;
        }
        return (pid_t)syscall(SYS_clone3, &args, sizeof(args));
}
