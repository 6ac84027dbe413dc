/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The first instructions of onggi-runtime, before the C library's: own_binary.h without the price of starting libc
 * twice.
 *
 * A command that goes into a container executes the program anew. What the first start would set up in a static glibc
 * is thrown away by that, and is most of its cost: it asks the processor for its features by some forty CPUID
 * instructions, each of which leaves a virtual machine (0.3 ms of 0.4 on one). So the linker's entry point is
 * onggi_start, which executes the program anew at once, and in all other cases goes on to libc's _start. Whatever
 * fails here is left to own_binary_protect().
 *
 * Nothing of libc may be used: no TLS, so no errno and no stack protector; no IFUNC, so no memcpy() or strcmp().
 */
#include <fcntl.h>
#include <linux/mount.h>
#include <stdbool.h>
#include <stddef.h>
#include <sys/syscall.h>
#include <sys/vfs.h>

#define OWN "/proc/self/exe"
/* f_flags of statfs(2): <sys/statvfs.h> has it, without saying that it is the kernel's. */
#define READ_ONLY 1

#if !defined(__x86_64__)
#error "early_start.c is written for x86-64; meson.build leaves it out elsewhere"
#endif

void onggi_early_start(long *stack);

__asm__(".text\n"
        ".globl onggi_start\n"
        ".type onggi_start, @function\n"
        "onggi_start:\n"
        "        mov %rsp, %rdi\n"
        "        push %rdx\n" /* for _start: what to call at exit */
        "        sub $8, %rsp\n"
        "        call onggi_early_start\n"
        "        add $8, %rsp\n"
        "        pop %rdx\n"
        "        jmp _start\n"
        ".size onggi_start, . - onggi_start\n");

static long call(long number, long a, long b, long c, long d, long e)
{
        long result;
        register long r10 __asm__("r10") = d;
        register long r8 __asm__("r8") = e;
        __asm__ volatile("syscall"
                         : "=a"(result)
                         : "a"(number), "D"(a), "S"(b), "d"(c), "r"(r10), "r"(r8)
                         : "rcx", "r11", "memory");
        return result;
}

static bool equal(const char *a, const char *b)
{
        while (*a && *a == *b) {
                a++;
                b++;
        }
        return *a == *b;
}

/* A value of an option that looks like one of these costs an exec for nothing, and no more. */
static bool enters_a_container(char *const *argv)
{
        for (; *argv; argv++)
                if (equal(*argv, "create") || equal(*argv, "run") || equal(*argv, "exec"))
                        return true;
        return false;
}

void onggi_early_start(long *stack)
{
        char **argv = (char **)(stack + 1), **envp = argv + stack[0] + 1;
        struct statfs fs;
        if (!stack[0] || !enters_a_container(argv + 1) || call(SYS_statfs, (long)OWN, (long)&fs, 0, 0, 0) < 0 ||
            fs.f_flags & READ_ONLY)
                return;
        long fd = call(SYS_open_tree, AT_FDCWD, (long)OWN, OPEN_TREE_CLONE | O_CLOEXEC, 0, 0);
        if (fd < 0)
                return;
        /* Member by member: an initializer could become a call of memset(). */
        struct mount_attr attributes;
        attributes.attr_set = MOUNT_ATTR_RDONLY;
        attributes.attr_clr = 0;
        attributes.propagation = 0;
        attributes.userns_fd = 0;
        if (!call(SYS_mount_setattr, fd, (long)"", AT_EMPTY_PATH, (long)&attributes, sizeof(attributes)))
                call(SYS_execveat, fd, (long)"", (long)argv, (long)envp, AT_EMPTY_PATH);
        call(SYS_close, fd, 0, 0, 0, 0);
}
