/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "machine/boot.h"

#include <errno.h>

#include "machine/acpi.h"
#include "machine/boot_linux.h"
#include "machine/boot_multiboot.h"
#include "machine/boot_pvh.h"
#include "machine/pci.h"

enum {
        TABLES_START = 0x10000, /* above what boot_linux.c has there */
        TABLES_END = 0x90000,
};

int boot_fail(const char **reason, int code, const char *text)
{
        *reason = text;
        return code;
}

/* ---- Memory ---- */

uint64_t boot_low_ram_end(const struct guest_memory *memory)
{
        uint64_t end = 0;
        for (unsigned i = 0; i < memory->count; i++) {
                const struct guest_memory_region *region = &memory->regions[i];
                if (region->kind == GUEST_RAM && region->start.at <= BOOT_HIGH_MEMORY &&
                    region->start.at + region->length > end)
                        end = region->start.at + region->length;
        }
        return end;
}

static void add_range(struct boot_range *ranges, unsigned *count, uint64_t start, uint64_t end,
                      enum boot_range_type type)
{
        if (end > start && *count < BOOT_RANGES_MAX)
                ranges[(*count)++] = (struct boot_range){ start, end - start, type };
}

unsigned boot_ranges(const struct guest_memory *memory, struct boot_range *ranges)
{
        unsigned count = 0;
        for (unsigned i = 0; i < memory->count; i++) {
                const struct guest_memory_region *region = &memory->regions[i];
                uint64_t start = region->start.at, end = start + region->length;
                if (region->kind != GUEST_RAM)
                        continue;
                if (start) {
                        add_range(ranges, &count, start, end, BOOT_RAM);
                        continue;
                }
                add_range(ranges, &count, 0, end < BOOT_LOW_MEMORY_END ? end : BOOT_LOW_MEMORY_END, BOOT_RAM);
                add_range(ranges, &count, ACPI_START, ACPI_END, BOOT_RESERVED);
                add_range(ranges, &count, BOOT_HIGH_MEMORY, end, BOOT_RAM);
        }
        add_range(ranges, &count, PCI_ECAM_START, PCI_ECAM_START + PCI_ECAM_LENGTH, BOOT_RESERVED);
        return count;
}

/* ---- Tables and modules ---- */

struct boot_tables boot_tables(struct guest_memory *memory)
{
        return (struct boot_tables){ .memory = memory, .next = TABLES_START };
}

uint32_t boot_put(struct boot_tables *tables, const void *bytes, size_t length)
{
        uint64_t at = tables->next;
        if (tables->failed || length > TABLES_END - at ||
            guest_memory_write(tables->memory, gpa(at), bytes, length) < 0) {
                tables->failed = true;
                return 0;
        }
        tables->next = (at + length + 7) & ~(uint64_t)7;
        if (tables->next > TABLES_END)
                tables->next = TABLES_END;
        return (uint32_t)at;
}

uint32_t boot_put_text(struct boot_tables *tables, const char *text)
{
        return boot_put(tables, text, __builtin_strlen(text) + 1);
}

size_t boot_named_text(const char *name, const char *arguments, char *text)
{
        size_t first = __builtin_strlen(name), second = __builtin_strlen(arguments);
        if (first + second + 2 > BOOT_TEXT_MAX)
                return 0;
        __builtin_memcpy(text, name, first);
        text[first] = ' ';
        __builtin_memcpy(text + first + 1, arguments, second + 1);
        return first + second + 2;
}

int boot_place_modules(struct guest_memory *memory, const struct boot *boot, uint64_t at, struct boot_placed *placed,
                       const char **reason)
{
        uint64_t end = boot_low_ram_end(memory);
        const struct boot_module initrd = { boot->initrd, boot->initrd_length, "initrd", "" };
        unsigned skip = boot->initrd_length ? 0 : 1, count = 0;
        for (unsigned i = skip; i <= boot->module_count && i <= BOOT_MODULES_MAX; i++) {
                const struct boot_module *module = i ? &boot->modules[i - 1] : &initrd;
                at = (at + GUEST_PAGE_SIZE - 1) & ~(uint64_t)(GUEST_PAGE_SIZE - 1);
                if (at >= end || module->length > end - at ||
                    guest_memory_write(memory, gpa(at), module->bytes, module->length) < 0)
                        return boot_fail(reason, -ENOSPC, "its modules do not fit into the guest's memory");
                placed[count++] = (struct boot_placed){ (uint32_t)at, (uint32_t)(at + module->length), module->name,
                                                        module->arguments };
                at += module->length;
        }
        return (int)count;
}

/* ---- Which protocol ---- */

/* Files that people take for kernels, by their first bytes. */
static const char *looks_like(const struct boot *boot)
{
        static const struct {
                size_t at;
                const char *bytes;
                const char *text;
        } known[] = {
                { 0, "\x1f\x8b", "the file is packed by gzip; unpack it first" },
                { 0,
                  "\xfd"
                  "7zXZ",
                  "the file is packed by xz; unpack it first" },
                { 0, "\x28\xb5\x2f\xfd", "the file is packed by zstd; unpack it first" },
                { 0, "QFI\xfb", "the file is a qcow2 disk; it goes to --disk" },
                { 0x8001, "CD001", "the file is an image of a CD; it goes to --iso, with --firmware" },
                { 40, "_FVH", "the file is UEFI firmware; it goes to --firmware" },
                { 0, "070701", "the file is a cpio archive; it goes to --initrd" },
                { 0, "MZ",
                  "the file is an EFI program without a Linux boot header; it goes on a disk, with --firmware uefi" },
                { 510, "\x55\xaa", "the file is a disk or a boot sector; it goes to --disk, with --firmware" },
        };
        for (unsigned i = 0; i < sizeof(known) / sizeof(known[0]); i++) {
                size_t length = __builtin_strlen(known[i].bytes);
                if (boot->kernel_length >= known[i].at + length &&
                    !__builtin_memcmp((const uint8_t *)boot->kernel + known[i].at, known[i].bytes, length))
                        return known[i].text;
        }
        return "the file is neither a bzImage nor an ELF kernel, and has no multiboot header";
}

int boot_load(struct guest_memory *memory, const struct boot *boot, struct cpu_state *entry, const char **reason)
{
        /* A kernel with headers of both (Xen) gets the older: what the newer adds is about EFI and screens. */
        if (boot_is_multiboot(boot))
                return boot_multiboot(memory, boot, entry, reason);
        if (boot_is_multiboot2(boot))
                return boot_multiboot2(memory, boot, entry, reason);
        if (boot_is_pvh(boot))
                return boot_pvh(memory, boot, entry, reason);
        if (!boot_is_linux(boot))
                return boot_fail(reason, -ENOEXEC, looks_like(boot));
        if (boot->module_count)
                return boot_fail(reason, -EINVAL, "Linux takes no modules; files for it go to --initrd");
        return boot_linux(memory, boot, entry, reason);
}
