/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * call_driver NAME…: makes system calls inside a container and prints for each "NAME: ERRNO", 0 for success. The
 * arguments are such that an unprivileged process without a filter gets anything but EPERM and ENOSYS, where the kernel
 * lets it.
 */
#include <errno.h>
#include <linux/sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

static const struct call {
        const char *name;
        long number, arguments[5];
} calls[] = {
        { "add_key", SYS_add_key, { 0 } },
        { "bpf", SYS_bpf, { -1 } },
        { "clone3", SYS_clone3, { 0 } },
        { "io_uring_setup", SYS_io_uring_setup, { 1 } },
        { "kcmp", SYS_kcmp, { -1, -1, 0 } },
        { "keyctl", SYS_keyctl, { 0, -3, 0 } }, /* KEYCTL_GET_KEYRING_ID of the session */
        { "mount", SYS_mount, { (long)"none", (long)"/tmp", (long)"tmpfs" } },
        { "open_by_handle_at", SYS_open_by_handle_at, { -1 } },
        { "perf_event_open", SYS_perf_event_open, { 0 } },
        { "pidfd_getfd", SYS_pidfd_getfd, { -1 } },
        { "ptrace", SYS_ptrace, { PTRACE_TRACEME } },
        { "request_key", SYS_request_key, { 0 } },
        { "setns", SYS_setns, { -1 } },
        { "socket_vsock", SYS_socket, { AF_VSOCK, -1 } },
        { "umount2", SYS_umount2, { (long)"/none" } },
        { "unshare_user", SYS_unshare, { CLONE_NEWUSER } },
        { "userfaultfd", SYS_userfaultfd, { -1 } },
};

/* In a process of its own: some calls change the one that makes them. */
static int try(const struct call *call)
{
        pid_t child = fork();
        int status;
        if (!child) {
                const long *a = call->arguments;
                _exit(syscall(call->number, a[0], a[1], a[2], a[3], a[4]) < 0 ? errno : 0);
        }
        if (child < 0 || waitpid(child, &status, 0) < 0)
                return -1;
        return WEXITSTATUS(status);
}

int main(int argc, char **argv)
{
        for (int i = 1; i < argc; i++) {
                size_t found = 0;
                while (found < sizeof(calls) / sizeof(*calls) && strcmp(calls[found].name, argv[i]))
                        found++;
                if (found == sizeof(calls) / sizeof(*calls))
                        return 2;
                printf("%s: %d\n", argv[i], try(&calls[found]));
        }
        return 0;
}
