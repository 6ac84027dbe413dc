/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "machine/boot_multiboot.h"

#include <errno.h>

#include "machine/boot_elf.h"

/* Section 3.1. */
enum {
        SEARCHED = 8192,
        NEEDED_UNKNOWN = 0xfff8, /* of the lower 16 bits, which must be understood: pages, memory and video are */
        HAS_ADDRESSES = 1 << 16,
};
#define HEADER_MAGIC 0x1badb002u
#define BOOT_MAGIC   0x2badb002u

struct header {
        uint32_t magic, flags, checksum;
        struct multiboot_placement placement;
        uint32_t entry;
};

/* Section 3.3. */
enum {
        INFO_MEMORY = 1 << 0,
        INFO_COMMAND_LINE = 1 << 2,
        INFO_MODULES = 1 << 3,
        INFO_MEMORY_MAP = 1 << 6,
        INFO_LOADER_NAME = 1 << 9,
};

struct info {
        uint32_t flags, memory_lower, memory_upper, boot_device, command_line, module_count, modules;
        uint32_t symbols[4];
        uint32_t map_length, map, drives_length, drives, config, loader_name, apm;
        uint32_t video[11];
};

struct module {
        uint32_t start, end, text, reserved;
};

struct __attribute__((packed)) range {
        uint32_t size; /* of what follows */
        uint64_t start, length;
        uint32_t type;
};

/* The header starts on four bytes and lies in the file's first 8 KiB as a whole. Files may end right behind it. */
static bool find_header(const struct boot *boot, struct header *header, size_t *found)
{
        size_t end = boot->kernel_length < SEARCHED ? boot->kernel_length : SEARCHED;
        for (size_t at = 0; at + 12 <= end; at += 4) {
                const uint8_t *bytes = (const uint8_t *)boot->kernel + at;
                __builtin_memcpy(header, bytes, 12);
                if (header->magic != HEADER_MAGIC || header->magic + header->flags + header->checksum)
                        continue;
                bool whole = at + sizeof(*header) <= boot->kernel_length;
                if (whole)
                        __builtin_memcpy(header, bytes, sizeof(*header));
                if (!whole && (header->flags & HAS_ADDRESSES))
                        continue;
                *found = at;
                return true;
        }
        return false;
}

bool boot_is_multiboot(const struct boot *boot)
{
        struct header header;
        size_t found;
        return find_header(boot, &header, &found);
}

int multiboot_place(struct guest_memory *memory, const struct boot *boot, const struct multiboot_placement *placement,
                    size_t found, uint64_t *end, const char **reason)
{
        const struct multiboot_placement *p = placement;
        if (p->header < p->load || p->header - p->load > found)
                return boot_fail(reason, -EINVAL, "the kernel's multiboot header contradicts itself");
        size_t offset = found - (p->header - p->load), length = boot->kernel_length - offset;
        if (p->load_end) {
                if (p->load_end < p->load || p->load_end - p->load > length)
                        return boot_fail(reason, -EINVAL, "the kernel is shorter than its multiboot header says");
                length = p->load_end - p->load;
        }
        if (p->load < BOOT_HIGH_MEMORY)
                return boot_fail(reason, -EINVAL, "the kernel wants to lie below 1 MiB");
        *end = (uint64_t)p->load + length;
        if (p->bss_end > *end)
                *end = p->bss_end;
        if (*end > boot_low_ram_end(memory) ||
            guest_memory_write(memory, gpa(p->load), (const uint8_t *)boot->kernel + offset, length) < 0)
                return boot_fail(reason, -ENOSPC, "the kernel does not fit into the guest's memory");
        return 0;
}

static uint32_t put_map(struct boot_tables *tables, uint32_t *length)
{
        struct boot_range known[BOOT_RANGES_MAX];
        struct range ranges[BOOT_RANGES_MAX] = { 0 };
        unsigned count = boot_ranges(tables->memory, known);
        for (unsigned i = 0; i < count; i++)
                ranges[i] = (struct range){ sizeof(struct range) - sizeof(uint32_t), known[i].start, known[i].length,
                                            known[i].type };
        *length = (uint32_t)(count * sizeof(ranges[0]));
        return boot_put(tables, ranges, *length);
}

static uint32_t put_named(struct boot_tables *tables, const char *name, const char *arguments)
{
        char text[BOOT_TEXT_MAX];
        size_t length = boot_named_text(name, arguments, text);
        if (!length)
                tables->failed = true;
        return length ? boot_put(tables, text, length) : 0;
}

static uint32_t put_modules(struct boot_tables *tables, const struct boot_placed *placed, unsigned count)
{
        struct module modules[BOOT_MODULES_MAX + 1] = { 0 };
        for (unsigned i = 0; i < count; i++)
                modules[i] = (struct module){ placed[i].start, placed[i].end,
                                              put_named(tables, placed[i].name, placed[i].arguments), 0 };
        return count ? boot_put(tables, modules, count * sizeof(modules[0])) : 0;
}

static int load_kernel(struct guest_memory *memory, const struct boot *boot, const struct header *header, size_t found,
                       uint64_t *entry, uint64_t *end, const char **reason)
{
        struct boot_elf elf;
        if (header->flags & NEEDED_UNKNOWN)
                return boot_fail(reason, -ENOEXEC, "the kernel asks multiboot for what there is not");
        if (header->flags & HAS_ADDRESSES) {
                *entry = header->entry;
                return multiboot_place(memory, boot, &header->placement, found, end, reason);
        }
        int r = boot_elf_open(boot, &elf, reason);
        if (r < 0)
                return r;
        *entry = elf.entry;
        return boot_elf_load(&elf, memory, end, reason);
}

int boot_multiboot(struct guest_memory *memory, const struct boot *boot, struct cpu_state *entry, const char **reason)
{
        struct header header;
        struct boot_placed placed[BOOT_MODULES_MAX + 1];
        size_t found;
        uint64_t address = 0, end;
        if (!find_header(boot, &header, &found))
                return boot_fail(reason, -ENOEXEC, "the kernel has no multiboot header");
        int r = load_kernel(memory, boot, &header, found, &address, &end, reason);
        if (r < 0)
                return r;
        int count = boot_place_modules(memory, boot, end, placed, reason);
        if (count < 0)
                return count;

        struct boot_tables tables = boot_tables(memory);
        struct info info = {
                .flags = INFO_MEMORY | INFO_COMMAND_LINE | INFO_MODULES | INFO_MEMORY_MAP | INFO_LOADER_NAME,
                .memory_lower = BOOT_LOW_MEMORY_END / 1024,
                .memory_upper = (uint32_t)((boot_low_ram_end(memory) - BOOT_HIGH_MEMORY) / 1024),
                .module_count = (uint32_t)count,
        };
        info.command_line = put_named(&tables, boot->name, boot->command_line);
        info.loader_name = boot_put_text(&tables, "onggi");
        info.modules = put_modules(&tables, placed, (unsigned)count);
        info.map = put_map(&tables, &info.map_length);
        uint32_t at = boot_put(&tables, &info, sizeof(info));
        if (tables.failed)
                return boot_fail(reason, -ENOSPC, "its command lines are too long");

        cpu_enter_protected_mode(entry, address);
        entry->registers[CPU_RAX] = BOOT_MAGIC;
        entry->registers[CPU_RBX] = at;
        return 0;
}
