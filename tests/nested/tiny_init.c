/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Process 1 of a Linux that is only to show that it runs: says its release and machine, and switches off. Without a C
 * library, so that it can be made for 32 bits too: cc -O0 -ffreestanding -nostdlib -static [-m32].
 */
/* linux/arch/x86/entry/syscalls: no headers, which a compiler for the other width may not find. */
#ifdef __x86_64__
enum { WRITE = 1, UNAME = 63, REBOOT = 169 };
#else
enum { WRITE = 4, UNAME = 122, REBOOT = 88 };
#endif

struct names {
        char system[65], node[65], release[65], version[65], machine[65], domain[65];
};

static long call(long number, long first, long second, long third)
{
        long result;
#ifdef __x86_64__
        __asm__ volatile("syscall"
                         : "=a"(result)
                         : "a"(number), "D"(first), "S"(second), "d"(third)
                         : "rcx", "r11", "memory");
#else
        __asm__ volatile("int $0x80" : "=a"(result) : "a"(number), "b"(first), "c"(second), "d"(third) : "memory");
#endif
        return result;
}

static void say(const char *text)
{
        long length = 0;
        while (text[length])
                length++;
        call(WRITE, 1, (long)text, length);
}

void _start(void)
{
        struct names names;
        call(UNAME, (long)&names, 0, 0);
        say("userspace of ");
        say(names.release);
        say(" on ");
        say(names.machine);
        say(sizeof(long) == 4 ? ", 32 bits\n" : ", 64 bits\n");
        call(REBOOT, (long)0xfee1dead, 0x28121969, 0x4321fedc); /* linux/reboot.h: switch off */
        for (;;)
                ;
}
