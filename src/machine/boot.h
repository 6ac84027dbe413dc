/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Starting a guest without firmware: what its host hands over, and which boot protocol the kernel's file asks for.
 *
 * boot_load() looks at the file and calls the protocol's own loader (boot_linux.h, boot_pvh.h, boot_multiboot.h), which
 * puts the kernel, its modules and the protocol's tables into guest memory and gives the state in which the first CPU
 * enters. Every field of the files is a stranger's. Freestanding.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "machine/cpu_state.h"
#include "machine/memory.h"

#define BOOT_MODULES_MAX 32
#define BOOT_RANGES_MAX  16
#define BOOT_TEXT_MAX    4096 /* of a command line, with its NUL */

struct boot_module {
        const void *bytes;
        size_t length;
        const char *name;      /* of its file, without folders */
        const char *arguments; /* the module's own command line */
};

struct boot {
        const char *name; /* of the kernel's file, without folders */
        const void *kernel;
        size_t kernel_length;
        const void *initrd; /* NULL: none. For kernels that take modules: the first of them */
        size_t initrd_length;
        const struct boot_module *modules;
        unsigned module_count; /* at most BOOT_MODULES_MAX */
        const char *command_line;
        uint64_t acpi; /* where the root pointer of acpi_write() is; 0: there is none */
        /*
         * Has `length` bytes of the kernel's file appear at `to`, without a copy; all are multiples of GUEST_PAGE_SIZE
         * but the last page, which ends with the file. NULL, or false: it cannot, and they are copied.
         */
        bool (*map)(void *context, void *to, size_t offset, size_t length);
        void *context;
};

/*
 * Loads and fills *entry. Returns 0, or a negative code with *reason in words: -ENOEXEC (no kernel that we know),
 * -EINVAL (the file contradicts itself, or there are modules that its protocol has no place for), -ENOSPC (it does
 * not fit into the guest's memory).
 */
int boot_load(struct guest_memory *memory, const struct boot *boot, struct cpu_state *entry, const char **reason);

/* ---- What the loaders share ---- */

enum {
        BOOT_LOW_MEMORY_END = 0x9fc00, /* below it RAM, above it the extended BIOS data area of a PC */
        BOOT_HIGH_MEMORY = 0x100000,
};

enum boot_range_type { BOOT_RAM = 1, BOOT_RESERVED = 2 }; /* numbers of ACPI 6.4, table 15.3 */

struct boot_range {
        uint64_t start, length;
        enum boot_range_type type;
};

/* What a PC's firmware says of the memory. Returns how many of BOOT_RANGES_MAX it has filled in. */
unsigned boot_ranges(const struct guest_memory *memory, struct boot_range *ranges);

/* The end of the RAM that begins at or below 1 MiB, and goes on to the hole for devices; 0: there is none. */
uint64_t boot_low_ram_end(const struct guest_memory *memory);

/* For `return boot_fail(reason, …)`. */
int boot_fail(const char **reason, int code, const char *text);

/* Tables of a protocol, one behind the other in low memory that a kernel leaves until it has its own. */
struct boot_tables {
        struct guest_memory *memory;
        uint64_t next;
        bool failed; /* no room, or no memory: what was put then counts for nothing */
};

struct boot_tables boot_tables(struct guest_memory *memory);
/* Puts `length` bytes on the next 8-byte boundary; returns their address. */
uint32_t boot_put(struct boot_tables *tables, const void *bytes, size_t length);
uint32_t boot_put_text(struct boot_tables *tables, const char *text);

/*
 * A command line that begins with the file's name, as kernels of the multiboot kind have it from most loaders, and
 * skip it. Returns its length with the NUL; 0: longer than BOOT_TEXT_MAX.
 */
size_t boot_named_text(const char *name, const char *arguments, char *text);

struct boot_placed {
        uint32_t start, end;
        const char *name, *arguments;
};

/*
 * Puts the initrd and the modules on page boundaries from `at` on. Returns how many went to placed[] (at most
 * BOOT_MODULES_MAX + 1), or -ENOSPC with *reason.
 */
int boot_place_modules(struct guest_memory *memory, const struct boot *boot, uint64_t at, struct boot_placed *placed,
                       const char **reason);
