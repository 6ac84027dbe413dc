/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "container/default_profile.h"

#include <errno.h>
#include <linux/capability.h>
#include <stdbool.h>
#include <stddef.h>
#include <sys/socket.h>

#include "base/json.h"

#define BIT(capability) (UINT64_C(1) << (capability))

uint64_t default_capabilities(void)
{
        return BIT(CAP_AUDIT_WRITE) | BIT(CAP_CHOWN) | BIT(CAP_DAC_OVERRIDE) | BIT(CAP_FOWNER) | BIT(CAP_FSETID) |
               BIT(CAP_KILL) | BIT(CAP_MKNOD) | BIT(CAP_NET_BIND_SERVICE) | BIT(CAP_NET_RAW) | BIT(CAP_SETFCAP) |
               BIT(CAP_SETGID) | BIT(CAP_SETPCAP) | BIT(CAP_SETUID) | BIT(CAP_SYS_CHROOT);
}

/* The native architecture first. */
static const char *const architectures[] = {
#if defined(__x86_64__)
        "SCMP_ARCH_X86_64",
        "SCMP_ARCH_X86",
        "SCMP_ARCH_X32",
#elif defined(__aarch64__)
        "SCMP_ARCH_AARCH64",
        "SCMP_ARCH_ARM",
#elif defined(__powerpc64__) && __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
        "SCMP_ARCH_PPC64LE",
#elif defined(__s390x__)
        "SCMP_ARCH_S390X",
        "SCMP_ARCH_S390",
#elif defined(__riscv) && __riscv_xlen == 64
        "SCMP_ARCH_RISCV64",
#endif
        NULL,
};

/* Grouped by what they are about; names of other architectures and kernels do no harm. */
static const char *const always[] = {
        /* files: open, read, write */
        "_llseek",
        "close",
        "close_range",
        "copy_file_range",
        "creat",
        "dup",
        "dup2",
        "dup3",
        "fadvise64",
        "fadvise64_64",
        "fallocate",
        "fcntl",
        "fcntl64",
        "fdatasync",
        "flock",
        "fsync",
        "ftruncate",
        "ftruncate64",
        "ioctl",
        "lseek",
        "open",
        "openat",
        "openat2",
        "pipe",
        "pipe2",
        "pread64",
        "preadv",
        "preadv2",
        "pwrite64",
        "pwritev",
        "pwritev2",
        "read",
        "readahead",
        "readv",
        "sendfile",
        "sendfile64",
        "splice",
        "sync",
        "sync_file_range",
        "syncfs",
        "tee",
        "truncate",
        "truncate64",
        "write",
        "writev",
        /* files: names, kinds and attributes */
        "access",
        "chdir",
        "chmod",
        "chown",
        "chown32",
        "faccessat",
        "faccessat2",
        "fchdir",
        "fchmod",
        "fchmodat",
        "fchown",
        "fchown32",
        "fchownat",
        "fgetxattr",
        "flistxattr",
        "fremovexattr",
        "fsetxattr",
        "fstat",
        "fstat64",
        "fstatat64",
        "fstatfs",
        "fstatfs64",
        "futimesat",
        "getcwd",
        "getdents",
        "getdents64",
        "getxattr",
        "lchown",
        "lchown32",
        "lgetxattr",
        "link",
        "linkat",
        "listxattr",
        "llistxattr",
        "lremovexattr",
        "lsetxattr",
        "lstat",
        "lstat64",
        "mkdir",
        "mkdirat",
        "mknod",
        "mknodat",
        "name_to_handle_at",
        "newfstatat",
        "readlink",
        "readlinkat",
        "removexattr",
        "rename",
        "renameat",
        "renameat2",
        "rmdir",
        "setxattr",
        "stat",
        "stat64",
        "statfs",
        "statfs64",
        "statx",
        "symlink",
        "symlinkat",
        "umask",
        "unlink",
        "unlinkat",
        "utime",
        "utimensat",
        "utimensat_time64",
        "utimes",
        /* waiting for files and events */
        "_newselect",
        "epoll_create",
        "epoll_create1",
        "epoll_ctl",
        "epoll_ctl_old",
        "epoll_pwait",
        "epoll_pwait2",
        "epoll_wait",
        "epoll_wait_old",
        "eventfd",
        "eventfd2",
        "fanotify_mark",
        "inotify_add_watch",
        "inotify_init",
        "inotify_init1",
        "inotify_rm_watch",
        "io_cancel",
        "io_destroy",
        "io_getevents",
        "io_setup",
        "io_submit",
        "poll",
        "ppoll",
        "ppoll_time64",
        "pselect6",
        "pselect6_time64",
        "select",
        "signalfd",
        "signalfd4",
        /* memory */
        "brk",
        "madvise",
        "memfd_create",
        "mincore",
        "mlock",
        "mlock2",
        "mlockall",
        "mmap",
        "mmap2",
        "mprotect",
        "mremap",
        "msync",
        "munlock",
        "munlockall",
        "munmap",
        "pkey_alloc",
        "pkey_free",
        "pkey_mprotect",
        "remap_file_pages",
        /* processes and threads */
        "arch_prctl",
        "capget",
        "capset",
        "execve",
        "execveat",
        "exit",
        "exit_group",
        "fork",
        "get_robust_list",
        "get_thread_area",
        "getcpu",
        "getegid",
        "getegid32",
        "geteuid",
        "geteuid32",
        "getgid",
        "getgid32",
        "getgroups",
        "getgroups32",
        "getpgid",
        "getpgrp",
        "getpid",
        "getppid",
        "getpriority",
        "getresgid",
        "getresgid32",
        "getresuid",
        "getresuid32",
        "getrlimit",
        "getrusage",
        "getsid",
        "gettid",
        "getuid",
        "getuid32",
        "ioprio_get",
        "ioprio_set",
        "membarrier",
        "modify_ldt",
        "pidfd_open",
        "prctl",
        "prlimit64",
        "restart_syscall",
        "rseq",
        "sched_get_priority_max",
        "sched_get_priority_min",
        "sched_getaffinity",
        "sched_getattr",
        "sched_getparam",
        "sched_getscheduler",
        "sched_rr_get_interval",
        "sched_rr_get_interval_time64",
        "sched_setaffinity",
        "sched_setattr",
        "sched_setparam",
        "sched_setscheduler",
        "sched_yield",
        "seccomp",
        "set_robust_list",
        "set_thread_area",
        "set_tid_address",
        "setfsgid",
        "setfsgid32",
        "setfsuid",
        "setfsuid32",
        "setgid",
        "setgid32",
        "setgroups",
        "setgroups32",
        "setpgid",
        "setpriority",
        "setregid",
        "setregid32",
        "setresgid",
        "setresgid32",
        "setresuid",
        "setresuid32",
        "setreuid",
        "setreuid32",
        "setrlimit",
        "setsid",
        "setuid",
        "setuid32",
        "sysinfo",
        "ugetrlimit",
        "uname",
        "vfork",
        "wait4",
        "waitid",
        "waitpid",
        "process_mrelease",
        "landlock_add_rule",
        "landlock_create_ruleset",
        "landlock_restrict_self",
        /* debugging, which the kernel confines to the own processes */
        "process_vm_readv",
        "process_vm_writev",
        "ptrace",
        /* signals */
        "kill",
        "pause",
        "pidfd_send_signal",
        "rt_sigaction",
        "rt_sigpending",
        "rt_sigprocmask",
        "rt_sigqueueinfo",
        "rt_sigreturn",
        "rt_sigsuspend",
        "rt_sigtimedwait",
        "rt_sigtimedwait_time64",
        "rt_tgsigqueueinfo",
        "sigaltstack",
        "sigprocmask",
        "sigreturn",
        "tgkill",
        "tkill",
        /* time */
        "adjtimex",
        "alarm",
        "clock_adjtime",
        "clock_adjtime64",
        "clock_getres",
        "clock_getres_time64",
        "clock_gettime",
        "clock_gettime64",
        "clock_nanosleep",
        "clock_nanosleep_time64",
        "getitimer",
        "gettimeofday",
        "nanosleep",
        "setitimer",
        "time",
        "timer_create",
        "timer_delete",
        "timer_getoverrun",
        "timer_gettime",
        "timer_gettime64",
        "timer_settime",
        "timer_settime64",
        "timerfd_create",
        "timerfd_gettime",
        "timerfd_gettime64",
        "timerfd_settime",
        "timerfd_settime64",
        "times",
        /* between processes */
        "futex",
        "futex_time64",
        "getrandom",
        "ipc",
        "mq_getsetattr",
        "mq_notify",
        "mq_open",
        "mq_timedreceive",
        "mq_timedreceive_time64",
        "mq_timedsend",
        "mq_timedsend_time64",
        "mq_unlink",
        "msgctl",
        "msgget",
        "msgrcv",
        "msgsnd",
        "semctl",
        "semget",
        "semop",
        "semtimedop",
        "semtimedop_time64",
        "shmat",
        "shmctl",
        "shmdt",
        "shmget",
        /* sockets; socket(2) itself is below */
        "accept",
        "accept4",
        "bind",
        "connect",
        "getpeername",
        "getsockname",
        "getsockopt",
        "listen",
        "recv",
        "recvfrom",
        "recvmmsg",
        "recvmmsg_time64",
        "recvmsg",
        "send",
        "sendmmsg",
        "sendmsg",
        "sendto",
        "setsockopt",
        "shutdown",
        "socketcall",
        "socketpair",
        /* of one architecture each */
        "arm_fadvise64_64",
        "arm_sync_file_range",
        "breakpoint",
        "cacheflush",
        "riscv_flush_icache",
        "s390_pci_mmio_read",
        "s390_pci_mmio_write",
        "s390_runtime_instr",
        "set_tls",
        "sync_file_range2",
        NULL,
};

/* What a capability opens; a name may be behind several. */
static const struct {
        uint64_t capability;
        const char *names[24];
} guarded[] = {
        { BIT(CAP_DAC_READ_SEARCH), { "open_by_handle_at" } },
        { BIT(CAP_SYS_ADMIN),
          { "bpf",       "clone",           "clone3",         "fanotify_init", "fsconfig",      "fsmount",
            "fsopen",    "fspick",          "lookup_dcookie", "mount",         "mount_setattr", "move_mount",
            "open_tree", "perf_event_open", "quotactl",       "setdomainname", "sethostname",   "setns",
            "syslog",    "umount",          "umount2",        "unshare" } },
        { BIT(CAP_BPF), { "bpf" } },
        { BIT(CAP_PERFMON), { "perf_event_open" } },
        { BIT(CAP_SYS_BOOT), { "reboot" } },
        { BIT(CAP_SYS_CHROOT), { "chroot" } },
        { BIT(CAP_SYS_MODULE), { "delete_module", "finit_module", "init_module" } },
        { BIT(CAP_SYS_NICE), { "get_mempolicy", "mbind", "set_mempolicy" } },
        { BIT(CAP_SYS_PACCT), { "acct" } },
        { BIT(CAP_SYS_PTRACE), { "kcmp", "pidfd_getfd", "process_madvise" } },
        { BIT(CAP_SYS_RAWIO), { "ioperm", "iopl" } },
        { BIT(CAP_SYS_TIME), { "clock_settime", "clock_settime64", "settimeofday", "stime" } },
        { BIT(CAP_SYS_TTY_CONFIG), { "vhangup" } },
        { BIT(CAP_SYSLOG), { "syslog" } },
};

/* Those that depend on one argument. */
struct conditional {
        const char *name;
        unsigned index;
        const char *operator;
        uint64_t value, second;
};

static const struct conditional conditional[] = {
        /* PER_LINUX, PER_LINUX32, with UNAME26 or without, and the question what it is */
        { "personality", 0, "SCMP_CMP_EQ", 0x0, 0 },
        { "personality", 0, "SCMP_CMP_EQ", 0x8, 0 },
        { "personality", 0, "SCMP_CMP_EQ", 0x20000, 0 },
        { "personality", 0, "SCMP_CMP_EQ", 0x20008, 0 },
        { "personality", 0, "SCMP_CMP_EQ", 0xffffffff, 0 },
        /* a hypervisor's own socket has no namespace */
        { "socket", 0, "SCMP_CMP_NE", AF_VSOCK, 0 },
};

/*
 * No new namespaces: CLONE_NEW… but for NEWTIME, whose bit is that of an exit signal. The flags are clone(2)'s second
 * argument there.
 */
#if defined(__s390x__)
#define CLONE_FLAGS 1
#else
#define CLONE_FLAGS 0
#endif
static const struct conditional clone_threads = { "clone", CLONE_FLAGS, "SCMP_CMP_MASKED_EQ", 0x7e020000, 0 };

/* Takes `list` over; one rule that lets these calls through. */
static json_t *allow(json_t *list)
{
        return json_pack("{s:o, s:s}", "names", list, "action", "SCMP_ACT_ALLOW");
}

static json_t *names(const char *const *name, size_t room)
{
        json_t *list = json_array();
        for (size_t i = 0; i < room && name[i]; i++)
                json_array_append_new(list, json_string(name[i]));
        return list;
}

static json_t *allow_if(const struct conditional *rule)
{
        return json_pack("{s:[s], s:s, s:[{s:i, s:I, s:I, s:s}]}", "names", rule->name, "action", "SCMP_ACT_ALLOW",
                         "args", "index", (int)rule->index, "value", (json_int_t)rule->value, "valueTwo",
                         (json_int_t)rule->second, "op", rule->operator);
}

json_t *default_seccomp_profile(uint64_t capabilities)
{
        _cleanup_json_ json_t *rules = json_array();
        json_array_append_new(rules, allow(names(always, ARRAY_SIZE(always))));
        for (size_t i = 0; i < ARRAY_SIZE(conditional); i++)
                json_array_append_new(rules, allow_if(&conditional[i]));
        for (size_t i = 0; i < ARRAY_SIZE(guarded); i++) {
                if (capabilities & guarded[i].capability)
                        json_array_append_new(rules, allow(names(guarded[i].names, ARRAY_SIZE(guarded[i].names))));
        }
        if (!(capabilities & BIT(CAP_SYS_ADMIN))) {
                json_array_append_new(rules, allow_if(&clone_threads));
                /*
                 * Its flags are in memory, out of a filter's sight; libraries fall back to clone(2) when it does not
                 * exist.
                 */
                json_array_append_new(rules, json_pack("{s:[s], s:s, s:i}", "names", "clone3", "action",
                                                       "SCMP_ACT_ERRNO", "errnoRet", ENOSYS));
        }
        return json_pack("{s:s, s:i, s:o, s:O}", "defaultAction", "SCMP_ACT_ERRNO", "defaultErrnoRet", EPERM,
                         "architectures", names(architectures, ARRAY_SIZE(architectures)), "syscalls", rules);
}
