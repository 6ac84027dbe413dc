/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/cleanup.h"
#include "base/file.h"
#include "base/text.h"
#include "hosted/jail.h"
#include "hosted/jail_folder.h"

/* Each test is done by a child: a jail has no way out. The child's exit code says which expectation failed first. */
static int in_child(void (*run)(void *context), void *context)
{
        int status;
        pid_t pid = fork();
        if (!pid) {
                run(context);
                _exit(0);
        }
        assert_int_equal(waitpid(pid, &status, 0), pid);
        return WIFSIGNALED(status) ? -WTERMSIG(status) : WEXITSTATUS(status);
}

#define EXPECT(condition)                                                                                              \
        do {                                                                                                           \
                if (!(condition))                                                                                      \
                        _exit(__LINE__ % 200 + 1);                                                                     \
        } while (0)

/* ---- What is out of reach without any list of system calls ---- */

static void try_the_jail(void *context)
{
        struct rlimit core;
        struct stat st;
        char *const *arguments = context;
        (void)arguments;
        EXPECT(jail_enter(NULL, NULL) == 1);
        EXPECT(open("/etc/passwd", O_RDONLY) < 0 && open("/proc/self/status", O_RDONLY) < 0);
        EXPECT(open("/new", O_CREAT | O_WRONLY, 0600) < 0 && mkdir("/new", 0700) < 0);
        EXPECT(stat("/..", &st) == 0 && stat("/../etc", &st) < 0 && stat("/../../../../tmp", &st) < 0);
        EXPECT(unshare(CLONE_NEWNS) < 0 && errno == EPERM);
        EXPECT(mount("none", "/", "tmpfs", 0, NULL) < 0 && errno == EPERM);
        EXPECT(chroot(".") < 0 && errno == EPERM && setuid(1) < 0 && sethostname("x", 1) < 0);
        EXPECT(prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0) == 1 && prctl(PR_GET_DUMPABLE, 0, 0, 0, 0) == 0);
        EXPECT(!getrlimit(RLIMIT_CORE, &core) && !core.rlim_cur && !core.rlim_max);
        EXPECT(ptrace(PTRACE_ATTACH, getppid(), NULL, NULL) < 0);
        EXPECT(syscall(SYS_bpf, 0, NULL, 0) < 0 && syscall(SYS_init_module, NULL, 0, "") < 0);
}

static void test_a_jailed_process_reaches_no_file_and_has_no_privilege(void **state)
{
        (void)state;
        if (geteuid())
                skip();
        assert_int_equal(in_child(try_the_jail, NULL), 0);
}

static void try_the_jail_as_a_user(void *context)
{
        (void)context;
        EXPECT(!setresgid(65534, 65534, 65534) && !setresuid(65534, 65534, 65534));
        EXPECT(!prctl(PR_SET_DUMPABLE, 1, 0, 0, 0)); /* as after an execve(2) */
        EXPECT(jail_enter(NULL, NULL) >= 0);         /* 0 where the host has no user namespaces for us */
        EXPECT(open("/etc/passwd", O_RDONLY) < 0 && open("/tmp", O_RDONLY) < 0);
        EXPECT(prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0) == 1);
}

static void test_an_ordinary_users_process_reaches_no_file_either(void **state)
{
        (void)state;
        if (geteuid())
                skip();
        assert_int_equal(in_child(try_the_jail_as_a_user, NULL), 0);
}

/* ---- Of a folder ---- */

struct folder {
        char path[64];
        bool read_only;
};

static void try_the_folder(void *context)
{
        const struct folder *shared = context;
        int folder, numbers, fd;
        struct stat st;
        EXPECT(!jail_folder_enter(shared->path, shared->read_only, false, &folder, &numbers, NULL));
        EXPECT(!fchdir(numbers) && !jail_folder_lock(folder, shared->read_only, false, NULL));
        fd = openat(folder, "file", O_RDONLY);
        EXPECT(fd >= 0 && fstatat(folder, "..", &st, 0) == 0 && openat(folder, "../../etc/passwd", O_RDONLY) < 0);
        EXPECT(openat(folder, "out", O_RDONLY) < 0 && open("/etc/passwd", O_RDONLY) < 0);
        EXPECT(openat(numbers, "../../1/root/etc/passwd", O_RDONLY) < 0 && open("../status", O_RDONLY) < 0);
        EXPECT((openat(folder, "new", O_CREAT | O_WRONLY, 0600) < 0) == shared->read_only);
        EXPECT((renameat(folder, "new", folder, "below/new") < 0) == shared->read_only);
        EXPECT((fchownat(folder, "below/new", 7, 7, 0) < 0) == shared->read_only);
        EXPECT(openat(folder, "device", O_RDONLY) < 0);
        EXPECT(mount("none", "/", "tmpfs", 0, NULL) < 0 && chroot(".") < 0 && unshare(CLONE_NEWNS) < 0);
}

static void test_a_folders_process_reaches_that_folder_and_nothing_else(void **state)
{
        struct folder shared = { .path = "/tmp/onggi-jail-XXXXXX" };
        char path[128];
        (void)state;
        if (geteuid())
                skip();
        assert_non_null(mkdtemp(shared.path));
        int fd = open(shared.path, O_PATH | O_DIRECTORY);
        assert_int_equal(close(openat(fd, "file", O_CREAT | O_WRONLY, 0600)), 0);
        assert_int_equal(mkdirat(fd, "below", 0700), 0);
        assert_int_equal(symlinkat("/etc/passwd", fd, "out"), 0);
        assert_int_equal(mknodat(fd, "device", S_IFCHR | 0666, 0x103), 0);
        int of_writable = in_child(try_the_folder, &shared);
        shared.read_only = true;
        int of_read_only = in_child(try_the_folder, &shared);
        close(fd);
        TEXT_COPY(path, shared.path);
        assert_int_equal(tree_remove(AT_FDCWD, path, NULL), 0);
        assert_int_equal(of_writable, 0);
        assert_int_equal(of_read_only, 0);
}

/* ---- System calls ---- */

struct attempt {
        enum jail_thread kind;
        long number;
};

static void try_the_call(void *context)
{
        const struct attempt *attempt = context;
        EXPECT(!prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) && !jail_confine(attempt->kind));
        syscall(attempt->number, -1L, 0L, 0L, 0L, 0L, 0L);
        syscall(SYS_exit_group, 0);
}

static void test_no_thread_may_call_what_its_kind_does_not_need(void **state)
{
        static const long never[] = {
                SYS_execve,
                SYS_execveat,
                SYS_fork,
                SYS_vfork,
                SYS_clone,
                SYS_clone3,
                SYS_ptrace,
                SYS_open,
                SYS_creat,
                SYS_setuid,
                SYS_setns,
                SYS_unshare,
                SYS_mount,
                SYS_kill,
                SYS_tgkill, /* to another process: -1 */
                SYS_bpf,
                SYS_io_uring_setup,
                SYS_keyctl,
                SYS_reboot,
                SYS_pivot_root,
                SYS_chroot,
                SYS_bind,
                SYS_process_vm_writev,
                SYS_open_by_handle_at,
                SYS_name_to_handle_at,
                SYS_userfaultfd,
                SYS_perf_event_open,
        };
        (void)state;
        for (int kind = 0; kind < JAIL_THREADS; kind++) {
                for (size_t i = 0; i < ARRAY_SIZE(never); i++) {
                        struct attempt attempt = { (enum jail_thread)kind, never[i] };
                        assert_int_equal(in_child(try_the_call, &attempt), -SIGSYS);
                }
                struct attempt fine = { (enum jail_thread)kind, SYS_write };
                assert_int_equal(in_child(try_the_call, &fine), 0);
                /* What only folders' processes and no other may do. */
                struct attempt opens = { (enum jail_thread)kind, SYS_openat };
                assert_int_equal(in_child(try_the_call, &opens), kind == JAIL_FOLDER ? 0 : -SIGSYS);
                struct attempt connects = { (enum jail_thread)kind, SYS_connect };
                assert_int_equal(in_child(try_the_call, &connects),
                                 kind == JAIL_FOLDER || kind == JAIL_DISK ? -SIGSYS : 0);
                /* A request that is none of KVM's it needs. */
                struct attempt controls = { (enum jail_thread)kind, SYS_ioctl };
                assert_int_equal(in_child(try_the_call, &controls), -SIGSYS);
        }
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_a_jailed_process_reaches_no_file_and_has_no_privilege),
                cmocka_unit_test(test_an_ordinary_users_process_reaches_no_file_either),
                cmocka_unit_test(test_a_folders_process_reaches_that_folder_and_nothing_else),
                cmocka_unit_test(test_no_thread_may_call_what_its_kind_does_not_need),
        };
        return cmocka_run_group_tests(tests, NULL, NULL);
}
