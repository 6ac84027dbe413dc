/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "hosted/jail.h"

#include <errno.h>
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/fs.h>
#include <linux/if_tun.h>
#include <linux/kvm.h>
#include <linux/landlock.h>
#include <linux/seccomp.h>
#include <sched.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "hosted/jail_private.h"

int jail_enter(const char *folder, struct error *err)
{
        int alone = jail_leave_namespaces(CLONE_NEWNS | CLONE_NEWIPC | CLONE_NEWUTS | CLONE_NEWNET, err);
        if (alone < 0)
                return alone;
        _cleanup_close_ int mounted = alone && folder ? jail_open_mount(folder, 0, true, err) : -1;
        int r = alone && folder && mounted < 0 ? mounted : 0;
        if (!r && alone)
                r = jail_change_root(mounted, err);
        if (!r)
                r = jail_keep_capabilities(0, err);
        if (!r)
                r = jail_close_ways(err);
        /* Of the folder of sockets it needs to remove its own. */
        if (!r)
                r = jail_lock_files(mounted, LANDLOCK_ACCESS_FS_REMOVE_FILE, err);
        return r < 0 ? r : alone;
}

/* ---- System calls: seccomp(2) ---- */

/* What the C library needs in any thread: memory, locks, the end. */
static const int calls_of_all[] = {
        SYS_read,
        SYS_write,
        SYS_close,
        SYS_futex,
        SYS_mmap,
        SYS_munmap,
        SYS_mprotect,
        SYS_madvise,
        SYS_brk,
        SYS_clock_gettime,
        SYS_rt_sigprocmask,
        SYS_rt_sigreturn,
        SYS_restart_syscall,
        SYS_exit,
        SYS_exit_group,
        SYS_sched_yield,
        SYS_time,
        SYS_sched_getaffinity,
};

/* What device models and their back ends do, in whichever thread met the guest's access. */
static const int calls_of_devices[] = {
        SYS_writev,  SYS_epoll_ctl, SYS_getrandom, SYS_socket, SYS_connect, SYS_sendto,
        SYS_sendmsg, SYS_recvfrom,  SYS_shutdown,  SYS_mremap, SYS_getpid,  SYS_timerfd_settime,
};

static const int calls_of_disks[] = {
        SYS_preadv, SYS_pwritev2, SYS_fdatasync, SYS_fallocate, SYS_ftruncate, SYS_ppoll, SYS_mremap,
};

/* What a shared folder's guest asks for; where that is, is the jail's matter: jail_folder.h. */
static const int calls_of_folders[] = {
        SYS_openat,      SYS_openat2,    SYS_statx,     SYS_readlinkat, SYS_symlinkat,       SYS_mknodat,
        SYS_mkdirat,     SYS_unlinkat,   SYS_renameat2, SYS_renameat,   SYS_linkat,          SYS_fchownat,
        SYS_fchmodat,    SYS_utimensat,  SYS_ftruncate, SYS_getxattr,   SYS_setxattr,        SYS_listxattr,
        SYS_removexattr, SYS_getdents64, SYS_lseek,     SYS_preadv,     SYS_pwritev,         SYS_fsync,
        SYS_fdatasync,   SYS_syncfs,     SYS_fallocate, SYS_fstatfs,    SYS_copy_file_range, SYS_fcntl,
        SYS_setfsuid,    SYS_setfsgid,   SYS_capset,    SYS_umask,      SYS_recvfrom,        SYS_sendto,
        SYS_mremap,
};

static const int calls_of_main[] = {
        SYS_epoll_wait, SYS_accept4, SYS_unlink,  SYS_gettid,   SYS_newfstatat, SYS_rt_sigaction,
        SYS_lseek,      SYS_wait4,   SYS_recvmsg, SYS_pwrite64, SYS_pread64,    SYS_socketpair,
};

static const uint32_t ioctls_of_machines[] = {
        KVM_RUN,           KVM_IRQ_LINE,  KVM_SIGNAL_MSI, KVM_IOEVENTFD, KVM_GET_REGS,  KVM_GET_SREGS,
        KVM_KVMCLOCK_CTRL, TUNSETOFFLOAD, TIOCGWINSZ,     TUNSETQUEUE,   KVM_INTERRUPT, KVM_NMI,
};

/* Snapshots and resets: all that a machine has, read and set. */
static const uint32_t ioctls_of_snapshots[] = {
        KVM_GET_MP_STATE,
        KVM_SET_MP_STATE,
        KVM_SET_REGS,
        KVM_SET_SREGS,
        KVM_GET_XSAVE,
        KVM_SET_XSAVE,
        KVM_GET_XCRS,
        KVM_SET_XCRS,
        KVM_GET_DEBUGREGS,
        KVM_SET_DEBUGREGS,
        KVM_GET_MSRS,
        KVM_SET_MSRS,
        KVM_GET_LAPIC,
        KVM_SET_LAPIC,
        KVM_GET_VCPU_EVENTS,
        KVM_SET_VCPU_EVENTS,
        KVM_GET_TSC_KHZ,
        KVM_SET_TSC_KHZ,
        KVM_GET_DEVICE_ATTR,
        KVM_SET_DEVICE_ATTR,
        KVM_GET_IRQCHIP,
        KVM_SET_IRQCHIP,
        KVM_GET_PIT2,
        KVM_SET_PIT2,
        KVM_GET_CLOCK,
        KVM_SET_CLOCK,
        KVM_CHECK_EXTENSION,
        KVM_ENABLE_CAP,
        KVM_GET_DIRTY_LOG,
        KVM_CLEAR_DIRTY_LOG,
        KVM_SET_USER_MEMORY_REGION,
};

static const uint32_t ioctls_of_disks[] = { KVM_IRQ_LINE, KVM_SIGNAL_MSI, KVM_IOEVENTFD, BLKDISCARD, BLKZEROOUT };

#define LIST(array)                                                                                                    \
        {                                                                                                              \
                array, ARRAY_SIZE(array)                                                                               \
        }

static const struct {
        struct {
                const int *calls;
                size_t count;
        } lists[4];
        struct {
                const uint32_t *requests;
                size_t count;
        } ioctls[2];
        bool signals_threads; /* of its own process */
} kinds[JAIL_THREADS] = {
        [JAIL_PROCESSOR] = { { LIST(calls_of_all), LIST(calls_of_devices) }, { LIST(ioctls_of_machines) } },
        [JAIL_DISK] = { { LIST(calls_of_all), LIST(calls_of_disks) }, { LIST(ioctls_of_disks) } },
        [JAIL_FOLDER] = { { LIST(calls_of_all), LIST(calls_of_folders) }, { { NULL, 0 } } },
        /* Disks are closed by it. */
        [JAIL_MAIN] = { { LIST(calls_of_all), LIST(calls_of_devices), LIST(calls_of_main), LIST(calls_of_disks) },
                        { LIST(ioctls_of_machines), LIST(ioctls_of_snapshots) },
                        true },
};

#define PROGRAM_MAX 256

struct program {
        struct sock_filter code[PROGRAM_MAX];
        unsigned short length;
};

static void put(struct program *program, struct sock_filter instruction)
{
        program->code[program->length++] = instruction;
}

/* If the word in hand is `value`, the call is allowed. */
static void allow(struct program *program, uint32_t value)
{
        put(program, (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, value, 0, 1));
        put(program, (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW));
}

static void load(struct program *program, size_t offset)
{
        put(program, (struct sock_filter)BPF_STMT(BPF_LD | BPF_W | BPF_ABS, (uint32_t)offset));
}

static const struct sock_filter kill = BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_KILL_PROCESS);

/* tgkill(2) with this process's number alone: without a capability, too, a user's processes may signal one another. */
static void allow_own_threads(struct program *program)
{
        put(program, (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_tgkill, 0, 4));
        load(program, offsetof(struct seccomp_data, args[0]));
        allow(program, (uint32_t)getpid());
        put(program, kill);
}

int jail_confine(enum jail_thread kind)
{
        struct program program = { .length = 0 };
        load(&program, offsetof(struct seccomp_data, arch));
        put(&program, (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, AUDIT_ARCH_X86_64, 1, 0));
        put(&program, kill);
        load(&program, offsetof(struct seccomp_data, nr));
        for (size_t i = 0; i < ARRAY_SIZE(kinds[kind].lists); i++)
                for (size_t j = 0; j < kinds[kind].lists[i].count; j++)
                        allow(&program, (uint32_t)kinds[kind].lists[i].calls[j]);
        if (kinds[kind].signals_threads)
                allow_own_threads(&program);
        put(&program, (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_ioctl, 1, 0));
        put(&program, kill);
        load(&program, offsetof(struct seccomp_data, args[1])); /* requests have 32 bits, in the low half */
        for (size_t i = 0; i < ARRAY_SIZE(kinds[kind].ioctls); i++)
                for (size_t j = 0; j < kinds[kind].ioctls[i].count; j++)
                        allow(&program, kinds[kind].ioctls[i].requests[j]);
        put(&program, kill);
        const struct sock_fprog filter = { .len = program.length, .filter = program.code };
        return prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &filter) < 0 ? -errno : 0;
}
