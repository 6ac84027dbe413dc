/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A guest of a few hundred bytes that says on the serial line how it was started and what it was told: cc -m32
 * -ffreestanding -DPVH|-DMULTIBOOT|-DMULTIBOOT2|-DLINUX. It needs no interrupts, no stack of its loader's, and ends by
 * the debug-exit port.
 */
#if defined PVH
__asm__(".section .note.Xen, \"a\", @note; .long 4, 4, 18; .asciz \"Xen\"; .long start; .previous");
#elif defined MULTIBOOT
__asm__(".section .head, \"a\"; .align 8; .long 0x1badb002, 3, -(0x1badb002 + 3); .previous");
#elif defined MULTIBOOT2
__asm__(".section .head, \"a\"; .align 8; .long 0xe85250d6, 0, 24, -(0xe85250d6 + 24);"
        " .short 0, 0; .long 8; .previous");
#endif

__asm__(".text; .globl start; start: mov $stack_end, %esp; push %esi; push %ebx; push %eax; call run; hlt");
__asm__(".bss; .align 16; .skip 4096; .globl stack_end; stack_end: .text");

typedef unsigned int u32;
typedef unsigned long long u64;

static void put(char letter)
{
        __asm__ volatile("outb %0, %1" : : "a"(letter), "d"((unsigned short)0x3f8));
}

static void text(const char *words)
{
        while (*words)
                put(*words++);
}

static void number(u64 value)
{
        for (int shift = 60; shift >= 0; shift -= 4)
                if (value >> shift || !shift)
                        put("0123456789abcdef"[value >> shift & 15]);
}

static void line(const char *name, const char *value)
{
        text(name);
        text("=");
        text(value);
        text("\n");
}

static void bytes(const char *name, u32 at, u32 length)
{
        text(name);
        text("=");
        for (u32 i = 0; i < length; i++)
                put(((const char *)at)[i]);
        text("\n");
}

static void range(u64 start, u64 length, u32 type)
{
        text("range=");
        number(start);
        text("+");
        number(length);
        text(":");
        number(type);
        text("\n");
}

#define AT(type, address, offset) (*(volatile type *)((u32)(address) + (offset)))

static void pvh(u32 ebx)
{
        line("protocol", AT(u32, ebx, 0) == 0x336ec578 ? "pvh" : "?");
        line("command", (const char *)AT(u32, ebx, 24));
        for (u32 i = 0; i < AT(u32, ebx, 12); i++) {
                u32 module = AT(u32, ebx, 16) + i * 32;
                bytes("module", AT(u32, module, 0), AT(u32, module, 8));
                line("arguments", (const char *)AT(u32, module, 16));
        }
        bytes("acpi", AT(u32, ebx, 32), 8);
        for (u32 i = 0; i < AT(u32, ebx, 48); i++) {
                u32 entry = AT(u32, ebx, 40) + i * 24;
                range(AT(u64, entry, 0), AT(u64, entry, 8), AT(u32, entry, 16));
        }
}

static void multiboot(u32 ebx)
{
        line("protocol", "multiboot");
        line("command", (const char *)AT(u32, ebx, 16));
        for (u32 i = 0; i < AT(u32, ebx, 20); i++) {
                u32 module = AT(u32, ebx, 24) + i * 16;
                bytes("module", AT(u32, module, 0), AT(u32, module, 4) - AT(u32, module, 0));
                line("arguments", (const char *)AT(u32, module, 8));
        }
        for (u32 at = AT(u32, ebx, 48); at < AT(u32, ebx, 48) + AT(u32, ebx, 44); at += AT(u32, at, 0) + 4)
                range(AT(u64, at, 4), AT(u64, at, 12), AT(u32, at, 20));
}

static void multiboot2(u32 ebx)
{
        line("protocol", "multiboot2");
        for (u32 at = ebx + 8; AT(u32, at, 0); at += (AT(u32, at, 4) + 7) & ~7u) {
                switch (AT(u32, at, 0)) {
                case 1: line("command", (const char *)at + 8); break;
                case 3:
                        bytes("module", AT(u32, at, 8), AT(u32, at, 12) - AT(u32, at, 8));
                        line("arguments", (const char *)at + 16);
                        break;
                case 6:
                        for (u32 entry = at + 16; entry < at + AT(u32, at, 4); entry += AT(u32, at, 8))
                                range(AT(u64, entry, 0), AT(u64, entry, 8), AT(u32, entry, 16));
                        break;
                case 15: bytes("acpi", at + 8, 8); break;
                }
        }
}

static void linux32(u32 esi)
{
        line("protocol", AT(u32, esi, 0x202) == 0x53726448 ? "linux" : "?");
        line("command", (const char *)AT(u32, esi, 0x228));
        bytes("module", AT(u32, esi, 0x218), AT(u32, esi, 0x21c));
        for (u32 i = 0; i < AT(unsigned char, esi, 0x1e8); i++) {
                u32 entry = esi + 0x2d0 + i * 20;
                range(AT(u64, entry, 0), AT(u64, entry, 8), AT(u32, entry, 16));
        }
}

__attribute__((used)) static void run(u32 eax, u32 ebx, u32 esi)
{
        if (eax == 0x2badb002)
                multiboot(ebx);
        else if (eax == 0x36d76289)
                multiboot2(ebx);
        else if (ebx)
                pvh(ebx);
        else
                linux32(esi);
        __asm__ volatile("outb %0, $0xf4" : : "a"((char)7));
}
