/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <errno.h>

#include "machine/acpi.h"
#include "machine/boot_elf.h"
#include "machine/boot_multiboot.h"

/* Section 3.1. */
enum {
        SEARCHED = 32768,
        ARCHITECTURE_I386 = 0,

        WANTS_ADDRESS = 2,
        WANTS_ENTRY = 3,
        TAG_OPTIONAL = 1,
};
#define HEADER_MAGIC 0xe85250d6u
#define BOOT_MAGIC   0x36d76289u

struct header {
        uint32_t magic, architecture, length, checksum;
};

struct wish {
        uint16_t type, flags;
        uint32_t size;
};

/* Section 3.6. */
enum {
        TAG_END = 0,
        TAG_COMMAND_LINE = 1,
        TAG_LOADER_NAME = 2,
        TAG_MODULE = 3,
        TAG_MEMORY = 4,
        TAG_MEMORY_MAP = 6,
        TAG_ACPI_NEW = 15,
};

struct tag {
        uint32_t type, size; /* size with this header, without padding */
};

struct range {
        uint64_t start, length;
        uint32_t type, reserved;
};

/* What the kernel asks for that changes how it is loaded. */
struct wishes {
        bool has_placement, has_entry;
        struct multiboot_placement placement;
        uint32_t entry;
};

static bool find_header(const struct boot *boot, struct header *header, size_t *found)
{
        size_t end = boot->kernel_length < SEARCHED ? boot->kernel_length : SEARCHED;
        for (size_t at = 0; at + sizeof(*header) <= end; at += 8) {
                __builtin_memcpy(header, (const uint8_t *)boot->kernel + at, sizeof(*header));
                if (header->magic != HEADER_MAGIC || header->architecture != ARCHITECTURE_I386 ||
                    header->magic + header->architecture + header->length + header->checksum)
                        continue;
                *found = at;
                return header->length >= sizeof(*header) && header->length <= boot->kernel_length - at;
        }
        return false;
}

bool boot_is_multiboot2(const struct boot *boot)
{
        struct header header;
        size_t found;
        return find_header(boot, &header, &found);
}

/* 1: information wishes, 4: a console, 5: a screen, 6: modules on pages (they are), 7 to 9: EFI, 10: relocatable. */
static bool may_be_ignored(const struct wish *wish)
{
        return (wish->flags & TAG_OPTIONAL) || wish->type == 1 || wish->type == 4 || wish->type == 6 ||
               wish->type == 10;
}

static int read_wishes(const struct boot *boot, const struct header *header, size_t found, struct wishes *wishes,
                       const char **reason)
{
        const uint8_t *bytes = (const uint8_t *)boot->kernel + found;
        size_t at = sizeof(*header);
        while (header->length - at >= sizeof(struct wish)) {
                struct wish wish;
                __builtin_memcpy(&wish, bytes + at, sizeof(wish));
                if (wish.size < sizeof(wish) || wish.size > header->length - at)
                        return boot_fail(reason, -EINVAL, "the kernel's multiboot header contradicts itself");
                if (!wish.type)
                        return 0;
                if (wish.type == WANTS_ADDRESS && wish.size >= sizeof(wish) + sizeof(wishes->placement)) {
                        wishes->has_placement = true;
                        __builtin_memcpy(&wishes->placement, bytes + at + sizeof(wish), sizeof(wishes->placement));
                } else if (wish.type == WANTS_ENTRY && wish.size >= sizeof(wish) + sizeof(wishes->entry)) {
                        wishes->has_entry = true;
                        __builtin_memcpy(&wishes->entry, bytes + at + sizeof(wish), sizeof(wishes->entry));
                } else if (!may_be_ignored(&wish)) {
                        return boot_fail(reason, -ENOEXEC, "the kernel asks multiboot for what there is not");
                }
                size_t step = ((size_t)wish.size + 7) & ~(size_t)7;
                if (step > header->length - at)
                        return 0;
                at += step;
        }
        return 0;
}

static int load_kernel(struct guest_memory *memory, const struct boot *boot, size_t found, const struct wishes *wishes,
                       uint64_t *entry, uint64_t *end, const char **reason)
{
        struct boot_elf elf;
        int r;
        if (wishes->has_placement) {
                if (!wishes->has_entry)
                        return boot_fail(reason, -EINVAL, "the kernel's multiboot header names no entry");
                r = multiboot_place(memory, boot, &wishes->placement, found, end, reason);
        } else {
                r = boot_elf_open(boot, &elf, reason);
                if (!r)
                        r = boot_elf_load(&elf, memory, end, reason);
                if (!r)
                        *entry = elf.entry;
        }
        if (!r && wishes->has_entry)
                *entry = wishes->entry;
        return r;
}

/* ---- What the kernel is told: tags one behind the other ---- */

struct tags {
        struct boot_tables *tables;
        uint32_t start;
};

static void put_tag(struct tags *tags, uint32_t type, const void *first, size_t first_length, const void *rest,
                    size_t rest_length)
{
        uint8_t bytes[BOOT_TEXT_MAX + 64];
        struct tag tag = { type, (uint32_t)(sizeof(tag) + first_length + rest_length) };
        if (tag.size > sizeof(bytes)) {
                tags->tables->failed = true;
                return;
        }
        __builtin_memcpy(bytes, &tag, sizeof(tag));
        if (first_length)
                __builtin_memcpy(bytes + sizeof(tag), first, first_length);
        if (rest_length)
                __builtin_memcpy(bytes + sizeof(tag) + first_length, rest, rest_length);
        boot_put(tags->tables, bytes, tag.size);
}

static void put_named(struct tags *tags, uint32_t type, const void *first, size_t first_length, const char *name,
                      const char *arguments)
{
        char text[BOOT_TEXT_MAX];
        size_t length = boot_named_text(name, arguments, text);
        if (length)
                put_tag(tags, type, first, first_length, text, length);
        else
                tags->tables->failed = true;
}

static void put_memory(struct tags *tags)
{
        struct guest_memory *memory = tags->tables->memory;
        const uint32_t sizes[2] = { BOOT_LOW_MEMORY_END / 1024,
                                    (uint32_t)((boot_low_ram_end(memory) - BOOT_HIGH_MEMORY) / 1024) };
        put_tag(tags, TAG_MEMORY, sizes, sizeof(sizes), NULL, 0);

        const uint32_t form[2] = { sizeof(struct range), 0 };
        struct boot_range known[BOOT_RANGES_MAX];
        struct range ranges[BOOT_RANGES_MAX] = { 0 };
        unsigned count = boot_ranges(memory, known);
        for (unsigned i = 0; i < count; i++)
                ranges[i] = (struct range){ known[i].start, known[i].length, known[i].type, 0 };
        put_tag(tags, TAG_MEMORY_MAP, form, sizeof(form), ranges, count * sizeof(ranges[0]));
}

static void put_acpi(struct tags *tags, uint64_t at)
{
        uint8_t root[ACPI_ROOT_LENGTH];
        if (at && !guest_memory_read(tags->tables->memory, gpa(at), root, sizeof(root)))
                put_tag(tags, TAG_ACPI_NEW, root, sizeof(root), NULL, 0);
}

static uint32_t put_information(struct boot_tables *tables, const struct boot *boot, const struct boot_placed *placed,
                                unsigned count)
{
        uint32_t head[2] = { 0 };
        struct tags tags = { tables, boot_put(tables, head, sizeof(head)) };
        put_named(&tags, TAG_COMMAND_LINE, NULL, 0, boot->name, boot->command_line);
        put_tag(&tags, TAG_LOADER_NAME, "onggi", sizeof("onggi"), NULL, 0);
        for (unsigned i = 0; i < count; i++) {
                const uint32_t place[2] = { placed[i].start, placed[i].end };
                put_named(&tags, TAG_MODULE, place, sizeof(place), placed[i].name, placed[i].arguments);
        }
        put_memory(&tags);
        put_acpi(&tags, boot->acpi);
        put_tag(&tags, TAG_END, NULL, 0, NULL, 0);
        head[0] = (uint32_t)(tables->next - tags.start);
        if (!tables->failed && guest_memory_write(tables->memory, gpa(tags.start), head, sizeof(head)) < 0)
                tables->failed = true;
        return tags.start;
}

int boot_multiboot2(struct guest_memory *memory, const struct boot *boot, struct cpu_state *entry, const char **reason)
{
        struct header header;
        struct wishes wishes = { 0 };
        struct boot_placed placed[BOOT_MODULES_MAX + 1];
        size_t found;
        uint64_t address = 0, end = 0;
        if (!find_header(boot, &header, &found))
                return boot_fail(reason, -ENOEXEC, "the kernel has no multiboot 2 header");
        int r = read_wishes(boot, &header, found, &wishes, reason);
        if (!r)
                r = load_kernel(memory, boot, found, &wishes, &address, &end, reason);
        if (r < 0)
                return r;
        int count = boot_place_modules(memory, boot, end, placed, reason);
        if (count < 0)
                return count;
        struct boot_tables tables = boot_tables(memory);
        uint32_t at = put_information(&tables, boot, placed, (unsigned)count);
        if (tables.failed)
                return boot_fail(reason, -ENOSPC, "its command lines are too long");

        cpu_enter_protected_mode(entry, address);
        entry->registers[CPU_RAX] = BOOT_MAGIC;
        entry->registers[CPU_RBX] = at;
        return 0;
}
