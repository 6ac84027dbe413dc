/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What the kernel itself takes for a container: the least that any runtime must do, with nothing checked and nothing offered.
 *
 * usage: floor full|nonet FOLDER
 *
 * FOLDER holds lower/ (with a static bin/true), upper/, work/ and merged/. One clone3() makes all namespaces; the child mounts
 * an overlay, makes it its root with pivot_root, mounts /proc, and executes /bin/true; the parent waits.
 */
#include <linux/sched.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

static int fail(const char *what)
{
        perror(what);
        return 1;
}

static int container(const char *folder)
{
        char *arguments[] = { "true", NULL }, *environment[] = { NULL };
        if (chdir(folder) < 0)
                return fail("chdir");
        if (mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0)
                return fail("private mounts");
        if (mount("overlay", "merged", "overlay", 0, "lowerdir=lower,upperdir=upper,workdir=work") < 0)
                return fail("overlay");
        if (chdir("merged") < 0)
                return fail("chdir merged");
        if (mount("proc", "proc", "proc", MS_NOSUID | MS_NODEV | MS_NOEXEC, NULL) < 0)
                return fail("proc");
        if (mount("tmpfs", "dev", "tmpfs", MS_NOSUID, "mode=755,size=65536k") < 0)
                return fail("tmpfs");
        if (syscall(SYS_pivot_root, ".", ".") < 0 || umount2(".", MNT_DETACH) < 0)
                return fail("pivot_root");
        execve("/bin/true", arguments, environment);
        return fail("execve");
}

int main(int argc, char **argv)
{
        if (argc != 3) {
                fprintf(stderr, "usage: floor full|nonet FOLDER\n");
                return 2;
        }
        struct clone_args clone_args = {
                .flags = CLONE_NEWNS | CLONE_NEWPID | CLONE_NEWUTS | CLONE_NEWIPC | CLONE_NEWCGROUP,
                .exit_signal = SIGCHLD,
        };
        if (!strcmp(argv[1], "full"))
                clone_args.flags |= CLONE_NEWNET;
        long pid = syscall(SYS_clone3, &clone_args, sizeof(clone_args));
        if (pid < 0)
                return fail("clone3");
        if (!pid)
                _exit(container(argv[2]));
        int status;
        if (waitpid((pid_t)pid, &status, 0) < 0)
                return fail("waitpid");
        return status ? 1 : 0;
}
