/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "machine/boot_pvh.h"

#include <errno.h>

#include "machine/boot_elf.h"

/* xen/include/public/elfnote.h */
enum { NOTE_GUEST_OS = 6, NOTE_ENTRY_32 = 18 };

#define START_MAGIC   0x336ec578
#define START_VERSION 1

/* struct hvm_start_info, hvm_modlist_entry and hvm_memmap_table_entry. */
struct start {
        uint32_t magic, version, flags, module_count;
        uint64_t modules, command_line, acpi, ranges;
        uint32_t range_count, reserved;
};

struct module {
        uint64_t at, size, command_line, reserved;
};

struct range {
        uint64_t start, length;
        uint32_t type, reserved;
};

static bool open_note(const struct boot *boot, struct boot_elf *elf, uint32_t *entry)
{
        const char *ignored;
        size_t length, name_length;
        if (!boot_is_elf(boot) || boot_elf_open(boot, elf, &ignored) < 0)
                return false;
        const uint8_t *note = boot_elf_note(elf, "Xen", NOTE_ENTRY_32, &length);
        if (!note || length < sizeof(*entry))
                return false;
        const uint8_t *name = boot_elf_note(elf, "Xen", NOTE_GUEST_OS, &name_length);
        if (name && elf->is_64 && name_length >= 5 && !__builtin_memcmp(name, "linux", 5))
                return false;
        __builtin_memcpy(entry, note, sizeof(*entry));
        return true;
}

bool boot_is_pvh(const struct boot *boot)
{
        struct boot_elf elf;
        uint32_t entry;
        return open_note(boot, &elf, &entry);
}

static uint32_t put_modules(struct boot_tables *tables, const struct boot_placed *placed, unsigned count)
{
        struct module modules[BOOT_MODULES_MAX + 1] = { 0 };
        for (unsigned i = 0; i < count; i++)
                modules[i] = (struct module){ placed[i].start, placed[i].end - placed[i].start,
                                              boot_put_text(tables, placed[i].arguments), 0 };
        return count ? boot_put(tables, modules, count * sizeof(modules[0])) : 0;
}

static uint32_t put_ranges(struct boot_tables *tables, uint32_t *count)
{
        struct boot_range known[BOOT_RANGES_MAX];
        struct range ranges[BOOT_RANGES_MAX] = { 0 };
        *count = boot_ranges(tables->memory, known);
        for (unsigned i = 0; i < *count; i++)
                ranges[i] = (struct range){ known[i].start, known[i].length, known[i].type, 0 };
        return boot_put(tables, ranges, *count * sizeof(ranges[0]));
}

int boot_pvh(struct guest_memory *memory, const struct boot *boot, struct cpu_state *entry, const char **reason)
{
        struct boot_elf elf;
        struct boot_placed placed[BOOT_MODULES_MAX + 1];
        uint64_t end;
        uint32_t address;
        if (!open_note(boot, &elf, &address))
                return boot_fail(reason, -ENOEXEC, "the kernel has no PVH entry");
        int r = boot_elf_load(&elf, memory, &end, reason);
        if (r < 0)
                return r;
        int count = boot_place_modules(memory, boot, end, placed, reason);
        if (count < 0)
                return count;

        struct boot_tables tables = boot_tables(memory);
        struct start start = {
                .magic = START_MAGIC, .version = START_VERSION, .module_count = (uint32_t)count, .acpi = boot->acpi
        };
        start.command_line = boot_put_text(&tables, boot->command_line);
        start.modules = put_modules(&tables, placed, (unsigned)count);
        start.ranges = put_ranges(&tables, &start.range_count);
        uint32_t at = boot_put(&tables, &start, sizeof(start));
        if (tables.failed)
                return boot_fail(reason, -ENOSPC, "its command lines are too long");

        cpu_enter_protected_mode(entry, address);
        entry->registers[CPU_RBX] = at;
        return 0;
}
