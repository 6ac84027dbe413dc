/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "machine/boot_firmware.h"

#include <errno.h>

#include "machine/acpi.h"

enum {
        SHADOW_START = 0xe0000,
        SHADOW_LENGTH = 0x20000,
        SERIAL_PORT = 0x3f8,
        HEADER_LENGTH = 36, /* of an ACPI table: section 5.2.6 */
        HEADER_CHECKSUM = 9,

        /* what PC firmware keeps of the memory's size in CMOS: in KiB, in 64 KiB above 16 MiB, and above 4 GiB */
        CMOS_BASE_MEMORY = 0x15,
        CMOS_EXTENDED_MEMORY = 0x17,
        CMOS_EXTENDED_MEMORY_2 = 0x30,
        CMOS_ABOVE_16_MIB = 0x34,
        CMOS_ABOVE_4_GIB = 0x5b,
        CMOS_CPUS = 0x5f,
};

#define FOUR_GIB (1ULL << 32)

/* ---- ACPI tables, as files and as commands how to link them: QEMU hw/acpi/bios-linker-loader.c ---- */

enum { LINK_LENGTH = 128, LINK_ALLOCATE = 1, LINK_POINTER = 2, LINK_CHECKSUM = 3, ZONE_HIGH = 1, ZONE_FSEG = 2 };

static const char file_root[FW_CFG_NAME] = "etc/acpi/rsdp", file_tables[FW_CFG_NAME] = "etc/acpi/tables";

static uint8_t *next_link(struct firmware *firmware, uint32_t command, const char *file)
{
        if (firmware->link_count == FIRMWARE_LINKS_MAX)
                return NULL;
        uint8_t *link = firmware->links + firmware->link_count++ * (size_t)LINK_LENGTH;
        __builtin_memcpy(link, &command, sizeof(command));
        __builtin_memcpy(link + 4, file, FW_CFG_NAME);
        return link;
}

static bool allocate(struct firmware *firmware, const char *file, uint32_t alignment, uint8_t zone)
{
        uint8_t *link = next_link(firmware, LINK_ALLOCATE, file);
        if (!link)
                return false;
        __builtin_memcpy(link + 60, &alignment, sizeof(alignment));
        link[64] = zone;
        return true;
}

/* The pointer at `offset` of `file`, which counts from the tables' beginning, gets their address added. */
static bool add_pointer(struct firmware *firmware, const char *file, uint32_t offset, uint8_t size)
{
        uint8_t *link = next_link(firmware, LINK_POINTER, file);
        if (!link)
                return false;
        __builtin_memcpy(link + 60, file_tables, FW_CFG_NAME);
        __builtin_memcpy(link + 116, &offset, sizeof(offset));
        link[120] = size;
        return true;
}

static bool add_checksum(struct firmware *firmware, const char *file, uint32_t at, uint32_t start, uint32_t length)
{
        uint8_t *link = next_link(firmware, LINK_CHECKSUM, file);
        if (!link)
                return false;
        const uint32_t words[3] = { at, start, length };
        __builtin_memcpy(link + 60, words, sizeof(words));
        return true;
}

static uint64_t get(const uint8_t *bytes, unsigned size)
{
        uint64_t value = 0;
        __builtin_memcpy(&value, bytes, size);
        return value;
}

/* A pointer of ours, made into an offset from the tables' beginning. */
static uint32_t relocate(uint8_t *pointer, unsigned size)
{
        uint64_t offset = get(pointer, size) - ACPI_START;
        __builtin_memcpy(pointer, &offset, size);
        return (uint32_t)offset;
}

static bool link_table(struct firmware *firmware, uint32_t at)
{
        uint8_t *table = firmware->acpi + at;
        uint32_t length = (uint32_t)get(table + 4, 4);
        bool done = true;
        if (!__builtin_memcmp(table, "FACP", 4)) { /* section 5.2.9: DSDT and X_DSDT */
                relocate(table + 40, 4);
                relocate(table + 140, 8);
                done = add_pointer(firmware, file_tables, at + 40, 4) &&
                       add_pointer(firmware, file_tables, at + 140, 8);
        }
        if (!__builtin_memcmp(table, "MCFG", 4) && firmware->chipset.machine) {
                const uint64_t ecam = CHIPSET_Q35_ECAM;
                __builtin_memcpy(table + HEADER_LENGTH + 8, &ecam, sizeof(ecam));
        }
        table[HEADER_CHECKSUM] = 0;
        return done && add_checksum(firmware, file_tables, at + HEADER_CHECKSUM, at, length);
}

/* Written as for a guest without firmware, into memory of no guest, and then made relocatable. */
static int make_tables(struct firmware *firmware, const struct topology *topology)
{
        struct guest_memory memory = { 0 };
        int r = guest_memory_add(&memory, gpa(ACPI_START), FIRMWARE_TABLES_MAX, firmware->acpi, GUEST_RAM);
        if (!r)
                r = acpi_write(&memory, topology);
        if (r < 0)
                return r;
        __builtin_memcpy(firmware->root, firmware->acpi, ACPI_ROOT_LENGTH);
        uint32_t list = relocate(firmware->root + 24, 8); /* section 5.2.5.3: XSDT */
        uint32_t length = (uint32_t)get(firmware->acpi + list + 4, 4);
        firmware->acpi_length = list + length; /* the list is the last */
        firmware->root[8] = firmware->root[32] = 0;

        bool done = allocate(firmware, file_root, 16, ZONE_FSEG) && allocate(firmware, file_tables, 64, ZONE_HIGH);
        for (uint32_t at = list + HEADER_LENGTH; done && at < list + length; at += 8)
                done = link_table(firmware, relocate(firmware->acpi + at, 8)) &&
                       add_pointer(firmware, file_tables, at, 8);
        firmware->acpi[list + HEADER_CHECKSUM] = 0;
        done = done && add_checksum(firmware, file_tables, list + HEADER_CHECKSUM, list, length) &&
               add_pointer(firmware, file_root, 24, 8) && add_checksum(firmware, file_root, 8, 0, 20) &&
               add_checksum(firmware, file_root, 32, 0, ACPI_ROOT_LENGTH);
        return done ? 0 : -ENOSPC;
}

/* ---- What the firmware is told ---- */

static uint32_t make_memory_map(struct firmware *firmware, const struct guest_memory *memory)
{
        uint32_t length = 0;
        for (unsigned i = 0; i < memory->count && length + 20 <= sizeof(firmware->memory_map); i++) {
                const struct guest_memory_region *region = &memory->regions[i];
                const uint32_t type = BOOT_RAM;
                if (region->kind != GUEST_RAM)
                        continue;
                __builtin_memcpy(firmware->memory_map + length, &region->start.at, 8);
                __builtin_memcpy(firmware->memory_map + length + 8, &region->length, 8);
                __builtin_memcpy(firmware->memory_map + length + 16, &type, 4);
                length += 20;
        }
        return length;
}

static void fill_cmos(struct machine *machine, unsigned cpus)
{
        uint64_t low = boot_low_ram_end(&machine->memory), high = guest_memory_ram_size(&machine->memory) - low;
        uint64_t extended = (low - BOOT_HIGH_MEMORY) / 1024, above = low > 16 << 20 ? (low - (16 << 20)) >> 16 : 0;
        if (extended > 0xffff)
                extended = 0xffff;
        const struct {
                unsigned at, bytes;
                uint64_t value;
        } values[] = {
                { CMOS_BASE_MEMORY, 2, 640 },
                { CMOS_EXTENDED_MEMORY, 2, extended },
                { CMOS_EXTENDED_MEMORY_2, 2, extended },
                { CMOS_ABOVE_16_MIB, 2, above },
                { CMOS_ABOVE_4_GIB, 3, high >> 16 },
                { CMOS_CPUS, 1, cpus - 1 },
        };
        for (unsigned i = 0; i < sizeof(values) / sizeof(values[0]); i++)
                for (unsigned byte = 0; byte < values[i].bytes; byte++)
                        machine->cmos.registers[values[i].at + byte] = (uint8_t)(values[i].value >> (8 * byte));
}

/* QEMU's items for a kernel: set-up sectors and the rest apart, as a loader of Linux wants them. */
static int add_kernel(struct fw_cfg *fw_cfg, const struct boot *boot)
{
        const uint8_t *kernel = boot->kernel;
        uint32_t length = (uint32_t)boot->kernel_length;
        if (!kernel)
                return 0;
        uint32_t setup = length > 0x206 && !__builtin_memcmp(kernel + 0x202, "HdrS", 4)
                                 ? ((kernel[0x1f1] ? kernel[0x1f1] : 4) + 1) * 512u
                                 : 0;
        if (setup > length)
                setup = 0;
        uint32_t words = (uint32_t)__builtin_strlen(boot->command_line) + 1;
        const struct {
                uint16_t size, data;
                const void *bytes;
                uint32_t length;
        } items[] = {
                { FW_CFG_SETUP_SIZE, FW_CFG_SETUP_DATA, kernel, setup },
                { FW_CFG_KERNEL_SIZE, FW_CFG_KERNEL_DATA, kernel + setup, length - setup },
                { FW_CFG_INITRD_SIZE, FW_CFG_INITRD_DATA, boot->initrd, (uint32_t)boot->initrd_length },
                { FW_CFG_COMMAND_LINE_SIZE, FW_CFG_COMMAND_LINE_DATA, boot->command_line, words },
        };
        int r = 0;
        for (unsigned i = 0; i < sizeof(items) / sizeof(items[0]) && !r; i++) {
                r = fw_cfg_add_number(fw_cfg, items[i].size, items[i].length, 4);
                if (!r)
                        r = fw_cfg_add(fw_cfg, items[i].data, items[i].bytes, items[i].length);
        }
        return r;
}

static int add_items(struct firmware *firmware, struct machine *machine, const struct firmware_settings *settings)
{
        struct fw_cfg *fw_cfg = &firmware->fw_cfg;
        unsigned cpus = topology_cpus(settings->topology);
        fw_cfg_init(fw_cfg, &machine->memory);
        int r = fw_cfg_add_number(fw_cfg, FW_CFG_RAM_SIZE, guest_memory_ram_size(&machine->memory), 8);
        r = r ? r : fw_cfg_add_number(fw_cfg, FW_CFG_CPUS, cpus, 2);
        r = r ? r : fw_cfg_add_number(fw_cfg, FW_CFG_CPUS_MAX, cpus, 2);
        r = r ? r : fw_cfg_add_number(fw_cfg, FW_CFG_BOOT_MENU, 0, 2);
        r = r ? r
              : fw_cfg_add_file(fw_cfg, "etc/e820", firmware->memory_map, make_memory_map(firmware, &machine->memory));
        r = r ? r : fw_cfg_add_file(fw_cfg, file_root, firmware->root, ACPI_ROOT_LENGTH);
        r = r ? r : fw_cfg_add_file(fw_cfg, file_tables, firmware->acpi, firmware->acpi_length);
        r = r ? r : fw_cfg_add_file(fw_cfg, "etc/table-loader", firmware->links, firmware->link_count * LINK_LENGTH);
        r = r ? r : fw_cfg_add_file_number(fw_cfg, "etc/sercon-port", SERIAL_PORT, 2); /* SeaBIOS' screen and keys */
        r = r ? r : fw_cfg_add_file_number(fw_cfg, "etc/show-boot-menu", 0, 2);
        r = r ? r : add_kernel(fw_cfg, settings->boot);
        return r ? r : bus_claim(&machine->ports, FW_CFG_PORT, FW_CFG_PORTS, &fw_cfg_operations, fw_cfg);
}

/* ---- The ROM ---- */

bool firmware_is_uefi(const void *rom, uint64_t length)
{
        return length > 44 && !__builtin_memcmp((const uint8_t *)rom + 40, "_FVH", 4);
}

static int place_rom(struct firmware *firmware, struct machine *machine, const struct firmware_settings *settings)
{
        uint64_t start = FOUR_GIB - settings->rom_length;
        uint64_t shadow = settings->rom_length < SHADOW_LENGTH ? settings->rom_length : SHADOW_LENGTH;
        int r = guest_memory_add(&machine->memory, gpa(start), settings->rom_length, settings->rom, GUEST_ROM);
        if (!r)
                r = guest_memory_write(&machine->memory, gpa(SHADOW_START + SHADOW_LENGTH - shadow),
                                       (const uint8_t *)settings->rom + settings->rom_length - shadow, shadow);
        if (r || !settings->variables)
                return r;
        start -= settings->variables_length;
        r = guest_memory_add(&machine->memory, gpa(start), settings->variables_length, settings->variables, GUEST_ROM);
        flash_init(&firmware->flash, &machine->memory, gpa(start), settings->variables, settings->variables_length);
        return r ? r
                 : bus_claim(&machine->mmio, start, settings->variables_length, &flash_operations, &firmware->flash);
}

int boot_firmware(struct firmware *firmware, struct machine *machine, const struct firmware_settings *settings,
                  struct cpu_state *entry, const char **reason)
{
        uint64_t whole = settings->rom_length + (settings->variables ? settings->variables_length : 0);
        *firmware = (struct firmware){ 0 };
        if (!settings->rom_length || settings->rom_length % GUEST_PAGE_SIZE ||
            settings->rom_length > FIRMWARE_SIZE_MAX || whole > FIRMWARE_SIZE_MAX ||
            (settings->variables && settings->variables_length % FLASH_BLOCK))
                return boot_fail(reason, -EINVAL, "firmware is whole pages of 4 KiB and at most 16 MiB");
        if (boot_low_ram_end(&machine->memory) < 16 << 20)
                return boot_fail(reason, -ENOSPC, "firmware needs at least 16 MiB of memory");
        if (firmware_is_uefi(settings->rom, settings->rom_length)) {
                if (boot_low_ram_end(&machine->memory) > CHIPSET_Q35_ECAM)
                        return boot_fail(reason, -ENOSPC, "UEFI firmware takes at most 2816 MiB of memory here");
                if (chipset_q35(&firmware->chipset, machine) < 0)
                        return boot_fail(reason, -ENOSPC, "there is no place for the LPC bridge on the machine");
        } else {
                chipset_i440fx(machine);
        }
        if (make_tables(firmware, settings->topology) < 0)
                return boot_fail(reason, -ENOSPC, "the tables that describe the machine have no room");
        fill_cmos(machine, topology_cpus(settings->topology));
        if (add_items(firmware, machine, settings) < 0 || place_rom(firmware, machine, settings) < 0)
                return boot_fail(reason, -ENOSPC, "there is no place for the firmware on the machine");
        cpu_reset(entry);
        return 0;
}
