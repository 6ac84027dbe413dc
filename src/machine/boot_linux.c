/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "machine/boot_linux.h"

#include <asm/bootparam.h>
#include <errno.h>

#include "machine/boot_elf.h"

/* Where the tables of the protocol lie: free low memory that the kernel leaves once it has its own. */
enum {
        AT_ZERO_PAGE = 0x7000,
        AT_PML4 = 0x9000,
        AT_PDPT = 0xa000,
        AT_PD = 0xb000, /* four pages: the first 4 GiB */
        AT_GDT = 0xf000,
        AT_COMMAND_LINE = 0x20000,

        BOOT_CS = 0x10, /* boot.rst: __BOOT_CS and __BOOT_DS */
        BOOT_DS = 0x18,
        HEADER_MAGIC = 0x53726448, /* "HdrS" */
        BOOT_FLAG = 0xaa55,
        HEADER_MAGIC_AT = 0x202,
        VERSION_COMMAND_LINE = 0x0202, /* the first with cmd_line_ptr, initrd_addr_max, init_size, xloadflags */
        VERSION_INITRD_MAX = 0x0203,
        VERSION_INIT_SIZE = 0x020a,
        VERSION_64_BIT = 0x020c,
        INITRD_MAX = 0x37ffffff, /* where the header does not say it */
        LOADER_UNDEFINED = 0xff,
        ENTRY_64_OFFSET = 0x200,
        SECTOR = 512,
        DEFAULT_SETUP_SECTORS = 4,
};

/* ---- The kernel ---- */

struct loaded {
        uint64_t entry, end; /* `end`: first byte behind what the kernel needs before it knows its memory */
        uint64_t initrd_end; /* the initial RAM disk may reach so far */
        bool is_64;
        struct setup_header header;
};

static int load_bzimage(struct guest_memory *memory, const struct boot *boot, struct loaded *loaded,
                        const char **reason)
{
        const uint8_t *file = boot->kernel;
        struct setup_header *header = &loaded->header;
        __builtin_memcpy(header, file + 0x1f1, sizeof(*header));
        loaded->is_64 = header->version >= VERSION_64_BIT && (header->xloadflags & XLF_KERNEL_64);
        if (!header->code32_start)
                return boot_fail(reason, -ENOEXEC,
                                 "it enters in real mode and calls a BIOS; start it by --firmware bios");
        if (header->version < VERSION_COMMAND_LINE || !(header->loadflags & LOADED_HIGH))
                return boot_fail(reason, -ENOEXEC, "its boot protocol is older than 2.02, or it is a zImage");
        if (header->version < VERSION_INIT_SIZE)
                header->pref_address = header->init_size = 0;
        loaded->initrd_end = (header->version < VERSION_INITRD_MAX ? INITRD_MAX : header->initrd_addr_max) + 1ULL;

        size_t setup = ((header->setup_sects ? header->setup_sects : DEFAULT_SETUP_SECTORS) + 1) * (size_t)SECTOR;
        if (setup >= boot->kernel_length)
                return boot_fail(reason, -EINVAL, "the kernel file is shorter than its own header says");
        size_t length = boot->kernel_length - setup;
        uint64_t at = header->pref_address >= BOOT_HIGH_MEMORY ? header->pref_address : BOOT_HIGH_MEMORY;
        uint64_t room = header->init_size > length ? header->init_size : length;
        uint64_t end = boot_low_ram_end(memory);
        if (at >= end || room > end - at)
                return boot_fail(reason, -ENOSPC, "the kernel needs more memory to unpack itself than the guest has");
        if (guest_memory_write(memory, gpa(at), file + setup, length) < 0)
                return boot_fail(reason, -ENOSPC, "the kernel does not fit into the guest's memory");
        header->code32_start = (uint32_t)at;
        loaded->entry = at + (loaded->is_64 ? ENTRY_64_OFFSET : 0);
        loaded->end = at + room;
        return 0;
}

static int load_elf(struct guest_memory *memory, const struct boot *boot, struct loaded *loaded, const char **reason)
{
        struct boot_elf elf;
        int r = boot_elf_open(boot, &elf, reason);
        if (!r && !elf.is_64)
                r = boot_fail(reason, -ENOEXEC, "the kernel is an ELF file, but not one for 64-bit x86");
        if (!r)
                r = boot_elf_load(&elf, memory, &loaded->end, reason);
        if (r < 0)
                return r;
        loaded->entry = elf.entry;
        loaded->is_64 = true;
        loaded->initrd_end = boot_low_ram_end(memory);
        /*
         * An ELF kernel has no setup header of its own: the fields that a loader must set, and a version that has
         * them.
         */
        loaded->header =
                (struct setup_header){ .boot_flag = BOOT_FLAG, .header = HEADER_MAGIC, .version = VERSION_64_BIT };
        return 0;
}

static bool is_bzimage(const struct boot *boot)
{
        static const size_t shortest = 0x1f1 + sizeof(struct setup_header);
        return boot->kernel_length >= shortest &&
               !__builtin_memcmp((const uint8_t *)boot->kernel + HEADER_MAGIC_AT, "HdrS", 4);
}

bool boot_is_linux(const struct boot *boot)
{
        return boot_is_elf(boot) || is_bzimage(boot);
}

/* ---- What goes with it ---- */

static int load_initrd(struct guest_memory *memory, const struct boot *boot, struct loaded *loaded, const char **reason)
{
        if (!boot->initrd_length)
                return 0;
        /* As high as it goes, so that the kernel's early allocations grow towards it from below. */
        uint64_t end = boot_low_ram_end(memory);
        if (end > loaded->initrd_end)
                end = loaded->initrd_end;
        if (boot->initrd_length > end || end - boot->initrd_length < loaded->end)
                return boot_fail(reason, -ENOSPC, "the initial RAM disk does not fit into the guest's memory");
        uint64_t at = (end - boot->initrd_length) & ~(uint64_t)(GUEST_PAGE_SIZE - 1);
        if (at < loaded->end || guest_memory_write(memory, gpa(at), boot->initrd, boot->initrd_length) < 0)
                return boot_fail(reason, -ENOSPC, "the initial RAM disk does not fit into the guest's memory");
        loaded->header.ramdisk_image = (uint32_t)at;
        loaded->header.ramdisk_size = (uint32_t)boot->initrd_length;
        return 0;
}

static void describe_memory(const struct guest_memory *memory, struct boot_params *params)
{
        struct boot_range ranges[BOOT_RANGES_MAX];
        unsigned count = boot_ranges(memory, ranges);
        for (unsigned i = 0; i < count && i < E820_MAX_ENTRIES_ZEROPAGE; i++)
                params->e820_table[params->e820_entries++] = (struct boot_e820_entry){ .addr = ranges[i].start,
                                                                                       .size = ranges[i].length,
                                                                                       .type = ranges[i].type };
}

static int write_tables(struct guest_memory *memory, const struct boot *boot, struct loaded *loaded,
                        const char **reason)
{
        size_t length = __builtin_strlen(boot->command_line) + 1;
        uint32_t most = loaded->header.cmdline_size ? loaded->header.cmdline_size : BOOT_TEXT_MAX - 1;
        if (length > BOOT_TEXT_MAX || length - 1 > most)
                return boot_fail(reason, -EINVAL, "the kernel's command line is too long");

        struct boot_params params = { .hdr = loaded->header, .acpi_rsdp_addr = boot->acpi };
        params.hdr.type_of_loader = LOADER_UNDEFINED;
        params.hdr.loadflags |= LOADED_HIGH;
        params.hdr.cmd_line_ptr = AT_COMMAND_LINE;
        describe_memory(memory, &params);

        /* Identity pages of 2 MiB for the first 4 GiB: APM vol. 2, section 5.3.3; bits present, writable, page size. */
        static const uint64_t table = 3, large_page = 0x83;
        uint64_t gdt[4] = { [BOOT_CS / 8] = loaded->is_64 ? 0x00af9b000000ffff : 0x00cf9b000000ffff,
                            [BOOT_DS / 8] = 0x00cf93000000ffff };
        uint64_t pml4 = AT_PDPT | table;
        int r = guest_memory_write(memory, gpa(AT_PML4), &pml4, sizeof(pml4));
        for (unsigned i = 0; i < 4 && !r; i++) {
                uint64_t pdpt = (AT_PD + i * GUEST_PAGE_SIZE) | table;
                r = guest_memory_write(memory, gpa(AT_PDPT + i * 8), &pdpt, sizeof(pdpt));
        }
        for (uint64_t i = 0; i < 2048 && !r; i++) {
                uint64_t page = i << 21 | large_page;
                r = guest_memory_write(memory, gpa(AT_PD + i * 8), &page, sizeof(page));
        }
        if (!r)
                r = guest_memory_write(memory, gpa(AT_GDT), gdt, sizeof(gdt));
        if (!r)
                r = guest_memory_write(memory, gpa(AT_COMMAND_LINE), boot->command_line, length);
        if (!r)
                r = guest_memory_write(memory, gpa(AT_ZERO_PAGE), &params, sizeof(params));
        return r < 0 ? boot_fail(reason, -ENOSPC, "the guest has less than 1 MiB of memory") : 0;
}

/* Without paging; the selectors are those of the protocol, in the same table. */
static void enter_32_bit(struct cpu_state *entry, uint64_t at)
{
        cpu_enter_protected_mode(entry, at);
        entry->registers[CPU_RSI] = AT_ZERO_PAGE;
        entry->gdt = (struct cpu_table){ AT_GDT, 4 * 8 - 1 };
}

static void enter_64_bit(struct cpu_state *entry, uint64_t at)
{
        *entry = (struct cpu_state){
                .registers = { [CPU_RSI] = AT_ZERO_PAGE },
                .rip = at,
                .rflags = RFLAGS_RESERVED,
                .gdt = { AT_GDT, 4 * 8 - 1 },
                .cr0 = CR0_PE | CR0_MP | CR0_ET | CR0_NE | CR0_WP | CR0_PG,
                .cr3 = AT_PML4,
                .cr4 = CR4_PAE,
                .efer = EFER_LME | EFER_LMA,
                .xcr0 = 1,
        };
        for (unsigned i = CPU_ES; i <= CPU_GS; i++)
                entry->segments[i] = cpu_flat_segment(i == CPU_CS ? BOOT_CS : BOOT_DS, i == CPU_CS);
        entry->segments[CPU_TR] = cpu_flat_task(0);
        cpu_reset_floating_point(entry);
}

int boot_linux(struct guest_memory *memory, const struct boot *boot, struct cpu_state *entry, const char **reason)
{
        struct loaded loaded = { 0 };
        int r;
        if (boot_is_elf(boot))
                r = load_elf(memory, boot, &loaded, reason);
        else if (is_bzimage(boot))
                r = load_bzimage(memory, boot, &loaded, reason);
        else
                r = boot_fail(reason, -ENOEXEC, "the file is neither a bzImage nor an ELF kernel");
        if (!r)
                r = load_initrd(memory, boot, &loaded, reason);
        if (!r)
                r = write_tables(memory, boot, &loaded, reason);
        if (!r && loaded.is_64)
                enter_64_bit(entry, loaded.entry);
        else if (!r)
                enter_32_bit(entry, loaded.entry);
        return r;
}
