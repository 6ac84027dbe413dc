/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "machine/boot_linux.h"

#include <asm/bootparam.h>
#include <elf.h>
#include <errno.h>
#include <stdbool.h>

#include "machine/acpi.h"
#include "machine/pci.h"

/* Where the tables of the protocol lie: free low memory that the kernel leaves once it has its own. */
enum {
        AT_ZERO_PAGE = 0x7000,
        AT_PML4 = 0x9000,
        AT_PDPT = 0xa000,
        AT_PD = 0xb000, /* four pages: the first 4 GiB */
        AT_GDT = 0xf000,
        AT_COMMAND_LINE = 0x20000,
        COMMAND_LINE_MAX = 4096,
        LOW_MEMORY_END = 0x9fc00, /* below it RAM, above it the extended BIOS data area of a PC */
        HIGH_MEMORY = 0x100000,

        BOOT_CS = 0x10, /* boot.rst: __BOOT_CS and __BOOT_DS */
        BOOT_DS = 0x18,
        HEADER_MAGIC = 0x53726448, /* "HdrS" */
        BOOT_FLAG = 0xaa55,
        VERSION_64_BIT = 0x020c, /* the first with xloadflags */
        LOADER_UNDEFINED = 0xff,
        ENTRY_64_OFFSET = 0x200,
        SECTOR = 512,
        DEFAULT_SETUP_SECTORS = 4,

        E820_RAM = 1, /* ACPI 6.4, table 15.3 */
        E820_RESERVED = 2,
};

/* The kernel is given room in RAM below the hole for devices. */
static uint64_t low_ram_end(const struct guest_memory *memory)
{
        uint64_t end = 0;
        for (unsigned i = 0; i < memory->count; i++) {
                const struct guest_memory_region *region = &memory->regions[i];
                if (region->kind == GUEST_RAM && region->start.at <= HIGH_MEMORY &&
                    region->start.at + region->length > end)
                        end = region->start.at + region->length;
        }
        return end;
}

static int fail(const char **reason, int code, const char *text)
{
        *reason = text;
        return code;
}

/* ---- The kernel ---- */

struct loaded {
        uint64_t entry, end; /* `end`: first byte behind what the kernel needs before it knows its memory */
        struct setup_header header;
};

static int load_bzimage(struct guest_memory *memory, const struct boot_linux *boot, struct loaded *loaded,
                        const char **reason)
{
        const uint8_t *file = boot->kernel;
        struct setup_header *header = &loaded->header;
        __builtin_memcpy(header, file + 0x1f1, sizeof(*header));
        if (header->version < VERSION_64_BIT || !(header->xloadflags & XLF_KERNEL_64))
                return fail(reason, -ENOEXEC, "the kernel has no 64-bit entry (a 64-bit Linux from 3.8 on has)");

        size_t setup = ((header->setup_sects ? header->setup_sects : DEFAULT_SETUP_SECTORS) + 1) * (size_t)SECTOR;
        if (setup >= boot->kernel_length)
                return fail(reason, -EINVAL, "the kernel file is shorter than its own header says");
        size_t length = boot->kernel_length - setup;
        uint64_t at = header->pref_address >= HIGH_MEMORY ? header->pref_address : HIGH_MEMORY;
        uint64_t room = header->init_size > length ? header->init_size : length;
        uint64_t end = low_ram_end(memory);
        if (at >= end || room > end - at)
                return fail(reason, -ENOSPC, "the kernel needs more memory to unpack itself than the guest has");
        if (guest_memory_write(memory, gpa(at), file + setup, length) < 0)
                return fail(reason, -ENOSPC, "the kernel does not fit into the guest's memory");
        header->code32_start = (uint32_t)at;
        loaded->entry = at + ENTRY_64_OFFSET;
        loaded->end = at + room;
        return 0;
}

static int load_segment(struct guest_memory *memory, const struct boot_linux *boot, const Elf64_Phdr *segment,
                        const char **reason)
{
        if (segment->p_offset > boot->kernel_length || segment->p_filesz > boot->kernel_length - segment->p_offset ||
            segment->p_filesz > segment->p_memsz)
                return fail(reason, -EINVAL, "a segment of the kernel lies outside its file");
        if (segment->p_paddr < HIGH_MEMORY)
                return fail(reason, -EINVAL, "a segment of the kernel lies below 1 MiB");
        unsigned char *to =
                segment->p_memsz ? guest_memory_span(memory, gpa(segment->p_paddr), segment->p_memsz, true) : NULL;
        if (segment->p_memsz && !to)
                return fail(reason, -ENOSPC, "the kernel does not fit into the guest's memory");
        /* Guest memory starts as zeros: what lies behind the file's bytes need not be touched. */
        if (segment->p_filesz)
                __builtin_memcpy(to, (const uint8_t *)boot->kernel + segment->p_offset, segment->p_filesz);
        guest_memory_wrote(memory, gpa(segment->p_paddr), segment->p_memsz);
        return 0;
}

static int load_elf(struct guest_memory *memory, const struct boot_linux *boot, struct loaded *loaded,
                    const char **reason)
{
        Elf64_Ehdr elf;
        __builtin_memcpy(&elf, boot->kernel, sizeof(elf));
        if (elf.e_ident[EI_CLASS] != ELFCLASS64 || elf.e_ident[EI_DATA] != ELFDATA2LSB || elf.e_machine != EM_X86_64)
                return fail(reason, -ENOEXEC, "the kernel is an ELF file, but not one for 64-bit x86");
        if (elf.e_phentsize != sizeof(Elf64_Phdr) || elf.e_phoff > boot->kernel_length ||
            elf.e_phnum > (boot->kernel_length - elf.e_phoff) / sizeof(Elf64_Phdr))
                return fail(reason, -EINVAL, "the kernel's program headers lie outside its file");

        bool any = false;
        for (unsigned i = 0; i < elf.e_phnum; i++) {
                Elf64_Phdr segment;
                __builtin_memcpy(&segment, (const uint8_t *)boot->kernel + elf.e_phoff + i * sizeof(segment),
                                 sizeof(segment));
                if (segment.p_type != PT_LOAD)
                        continue;
                int r = load_segment(memory, boot, &segment, reason);
                if (r < 0)
                        return r;
                any = true;
                if (segment.p_paddr + segment.p_memsz > loaded->end)
                        loaded->end = segment.p_paddr + segment.p_memsz;
        }
        if (!any)
                return fail(reason, -EINVAL, "the kernel has nothing to load");
        loaded->entry = elf.e_entry;
        /*
         * An ELF kernel has no setup header of its own: the fields that a loader must set, and a version that has
         * them.
         */
        loaded->header =
                (struct setup_header){ .boot_flag = BOOT_FLAG, .header = HEADER_MAGIC, .version = VERSION_64_BIT };
        return 0;
}

static int load_kernel(struct guest_memory *memory, const struct boot_linux *boot, struct loaded *loaded,
                       const char **reason)
{
        static const size_t shortest = 0x1f1 + sizeof(struct setup_header);
        const uint8_t *file = boot->kernel;
        if (boot->kernel_length < shortest)
                return fail(reason, -ENOEXEC, "the file is too short to be a kernel");
        if (!__builtin_memcmp(file, ELFMAG, SELFMAG))
                return load_elf(memory, boot, loaded, reason);
        if (!__builtin_memcmp(file + 0x202, "HdrS", 4))
                return load_bzimage(memory, boot, loaded, reason);
        return fail(reason, -ENOEXEC, "the file is neither a bzImage nor an ELF kernel");
}

/* ---- What goes with it ---- */

static int load_initrd(struct guest_memory *memory, const struct boot_linux *boot, struct loaded *loaded,
                       const char **reason)
{
        if (!boot->initrd_length)
                return 0;
        /* As high as it goes, so that the kernel's early allocations grow towards it from below. */
        uint64_t end = low_ram_end(memory);
        if (boot->initrd_length > end || end - boot->initrd_length < loaded->end)
                return fail(reason, -ENOSPC, "the initial RAM disk does not fit into the guest's memory");
        uint64_t at = (end - boot->initrd_length) & ~(uint64_t)(GUEST_PAGE_SIZE - 1);
        if (at < loaded->end || guest_memory_write(memory, gpa(at), boot->initrd, boot->initrd_length) < 0)
                return fail(reason, -ENOSPC, "the initial RAM disk does not fit into the guest's memory");
        loaded->header.ramdisk_image = (uint32_t)at;
        loaded->header.ramdisk_size = (uint32_t)boot->initrd_length;
        return 0;
}

static void add_e820(struct boot_params *params, uint64_t start, uint64_t end, uint32_t type)
{
        if (end <= start || params->e820_entries == E820_MAX_ENTRIES_ZEROPAGE)
                return;
        params->e820_table[params->e820_entries++] =
                (struct boot_e820_entry){ .addr = start, .size = end - start, .type = type };
}

static void describe_memory(const struct guest_memory *memory, struct boot_params *params)
{
        for (unsigned i = 0; i < memory->count; i++) {
                const struct guest_memory_region *region = &memory->regions[i];
                uint64_t start = region->start.at, end = start + region->length;
                if (region->kind != GUEST_RAM)
                        continue;
                if (start) {
                        add_e820(params, start, end, E820_RAM);
                        continue;
                }
                add_e820(params, 0, end < LOW_MEMORY_END ? end : LOW_MEMORY_END, E820_RAM);
                add_e820(params, ACPI_START, ACPI_END, E820_RESERVED);
                add_e820(params, HIGH_MEMORY, end, E820_RAM);
        }
        add_e820(params, PCI_ECAM_START, PCI_ECAM_START + PCI_ECAM_LENGTH, E820_RESERVED);
}

static int write_tables(struct guest_memory *memory, const struct boot_linux *boot, struct loaded *loaded,
                        const char **reason)
{
        size_t length = __builtin_strlen(boot->command_line) + 1;
        uint32_t most = loaded->header.cmdline_size ? loaded->header.cmdline_size : COMMAND_LINE_MAX - 1;
        if (length > COMMAND_LINE_MAX || length - 1 > most)
                return fail(reason, -EINVAL, "the kernel's command line is too long");

        struct boot_params params = { .hdr = loaded->header, .acpi_rsdp_addr = boot->acpi };
        params.hdr.type_of_loader = LOADER_UNDEFINED;
        params.hdr.loadflags |= LOADED_HIGH;
        params.hdr.cmd_line_ptr = AT_COMMAND_LINE;
        describe_memory(memory, &params);

        /* Identity pages of 2 MiB for the first 4 GiB: APM vol. 2, section 5.3.3; bits present, writable, page size. */
        static const uint64_t table = 3, large_page = 0x83;
        uint64_t gdt[4] = { [BOOT_CS / 8] = 0x00af9b000000ffff, [BOOT_DS / 8] = 0x00cf93000000ffff };
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
        return r < 0 ? fail(reason, -ENOSPC, "the guest has less than 1 MiB of memory") : 0;
}

static void enter_at(struct cpu_state *entry, uint64_t at)
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

int boot_linux(struct guest_memory *memory, const struct boot_linux *boot, struct cpu_state *entry, const char **reason)
{
        struct loaded loaded = { 0 };
        int r = load_kernel(memory, boot, &loaded, reason);
        if (!r)
                r = load_initrd(memory, boot, &loaded, reason);
        if (!r)
                r = write_tables(memory, boot, &loaded, reason);
        if (!r)
                enter_at(entry, loaded.entry);
        return r;
}
