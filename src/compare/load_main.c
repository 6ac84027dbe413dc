/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * onggi-load WHAT: small loads and faults with which `onggi compare` measures a vessel from inside. Static, libc only: it
 * runs in any image.
 *
 *   hello           prints a line
 *   kernel          prints the kernel's name and release
 *   wait            waits for ever
 *   cpu, calls      computes, or makes system calls, for a while; prints how many times, and nanoseconds
 *   io FILE         the same for blocks of 4 KiB, each written and synced
 *   beat            until its standard input ends: sleeps for 5 ms at a time, then prints the longest delay in ns
 *   fork-bomb       forks until that fails, prints how many processes there were
 *   memory-hog      takes memory until it is killed
 *   panic           lets the kernel crash
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/utsname.h>
#include <time.h>
#include <unistd.h>

#define LOAD_NS      300000000ULL
#define BEAT_NS      5000000L
#define BLOCK        4096
#define FILE_BLOCKS  256
#define BOMB_SECONDS 2
#define BOMB_MAX     100000 /* where nothing else holds it up */

static uint64_t now(void)
{
        struct timespec time;
        clock_gettime(CLOCK_MONOTONIC, &time);
        return (uint64_t)time.tv_sec * 1000000000 + (uint64_t)time.tv_nsec;
}

static int fail(const char *what)
{
        dprintf(STDERR_FILENO, "onggi-load: %s: %s\n", what, strerror(errno));
        return 1;
}

/* `batch` does its work `count` times and returns 0; it runs until the time is over. */
static int repeat(int (*batch)(void *context, unsigned count), void *context, unsigned count)
{
        uint64_t begin = now(), end = begin, operations = 0;
        for (; end - begin < LOAD_NS; end = now(), operations += count)
                if (batch(context, count) < 0)
                        return fail("the load");
        printf("%llu %llu\n", (unsigned long long)operations, (unsigned long long)(end - begin));
        return 0;
}

/* xorshift64: a chain of dependent instructions that no compiler takes away. */
static int compute(void *context, unsigned count)
{
        uint64_t *value = context;
        for (unsigned i = 0; i < count; i++) {
                *value ^= *value << 13;
                *value ^= *value >> 7;
                *value ^= *value << 17;
        }
        return 0;
}

static int call_kernel(void *context, unsigned count)
{
        (void)context;
        while (count--)
                syscall(SYS_getppid);
        return 0;
}

struct block_file {
        int fd;
        unsigned next;
        char data[BLOCK];
};

static int write_blocks(void *context, unsigned count)
{
        struct block_file *file = context;
        for (; count; count--, file->next++)
                if (pwrite(file->fd, file->data, BLOCK, (off_t)(file->next % FILE_BLOCKS) * BLOCK) != BLOCK ||
                    fdatasync(file->fd) < 0)
                        return -1;
        return 0;
}

static int load_cpu(const char *operand)
{
        (void)operand;
        uint64_t value = 88172645463325252;
        return repeat(compute, &value, 100000);
}

static int load_calls(const char *operand)
{
        (void)operand;
        return repeat(call_kernel, NULL, 1000);
}

static int load_io(const char *operand)
{
        struct block_file file = { .fd = open(operand, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600) };
        if (file.fd < 0)
                return fail(operand);
        memset(file.data, 0x5a, sizeof(file.data));
        int r = repeat(write_blocks, &file, 1);
        unlink(operand);
        return r;
}

static int hello(const char *operand)
{
        (void)operand;
        puts("hello");
        return 0;
}

static int kernel(const char *operand)
{
        (void)operand;
        struct utsname name;
        uname(&name);
        printf("%s %s\n", name.sysname, name.release);
        return 0;
}

static int wait_for_ever(const char *operand)
{
        (void)operand;
        /* As process 1 it has no default action for it. */
        signal(SIGTERM, _exit);
        while (pause() < 0)
                ;
        return 0;
}

static int beat(const char *operand)
{
        (void)operand;
        struct pollfd input = { .fd = STDIN_FILENO, .events = POLLIN };
        uint64_t longest = 0;
        while (!poll(&input, 1, 0)) {
                uint64_t begin = now();
                nanosleep(&(struct timespec){ .tv_nsec = BEAT_NS }, NULL);
                uint64_t delay = now() - begin - BEAT_NS;
                longest = delay > longest ? delay : longest;
        }
        printf("%llu\n", (unsigned long long)longest);
        return 0;
}

static int fork_bomb(const char *operand)
{
        (void)operand;
        unsigned count = 1;
        for (uint64_t begin = now(); count < BOMB_MAX && now() - begin < BOMB_SECONDS * 1000000000ULL;) {
                pid_t child = fork();
                if (!child)
                        for (;;)
                                pause();
                count += child > 0;
        }
        printf("%u\n", count);
        fflush(stdout);
        signal(SIGTERM, SIG_IGN);
        kill(0, SIGTERM);
        return 0;
}

static int memory_hog(const char *operand)
{
        (void)operand;
        const size_t step = 1 << 20;
        for (;;) {
                char *memory = mmap(NULL, step, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
                if (memory == MAP_FAILED)
                        return fail("mmap");
                memset(memory, 1, step);
        }
}

static int poke(const char *path, const char *text)
{
        int fd = open(path, O_WRONLY | O_CLOEXEC);
        return fd < 0 || write(fd, text, strlen(text)) < 0 ? fail(path) : 0;
}

/* Linux Documentation/admin-guide/sysrq.rst: "c" crashes the kernel. */
static int panic(const char *operand)
{
        (void)operand;
        int r = poke("/proc/sys/kernel/sysrq", "1");
        return r ? r : poke("/proc/sysrq-trigger", "c");
}

int main(int argc, char **argv)
{
        static const struct {
                const char *name;
                int (*run)(const char *operand);
                int operands;
        } works[] = {
                { "hello", hello, 0 },  { "kernel", kernel, 0 },       { "wait", wait_for_ever, 0 },
                { "cpu", load_cpu, 0 }, { "calls", load_calls, 0 },    { "io", load_io, 1 },
                { "beat", beat, 0 },    { "fork-bomb", fork_bomb, 0 }, { "memory-hog", memory_hog, 0 },
                { "panic", panic, 0 },
        };
        for (size_t i = 0; i < sizeof(works) / sizeof(works[0]); i++)
                if (argc > 1 && !strcmp(argv[1], works[i].name) && argc == 2 + works[i].operands)
                        return works[i].run(argv[2]);
        dprintf(STDERR_FILENO, "usage: onggi-load WHAT; `onggi compare` starts it\n");
        return 2;
}
