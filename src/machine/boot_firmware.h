/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Starting a guest by firmware: SeaBIOS, OVMF, U-Boot, or another ROM for QEMU's PC.
 *
 * The ROM ends at 4 GiB, where a processor's first instruction is; its last 128 KiB are below 1 MiB too. What the
 * firmware asks of the machine it gets by fw_cfg.h: processors, memory, ACPI tables and how to link them, where to
 * write its messages, and the kernel, if there is one, that it is to start. Freestanding.
 */
#pragma once

#include "machine/acpi.h"
#include "machine/boot.h"
#include "machine/chipset.h"
#include "machine/flash.h"
#include "machine/fw_cfg.h"
#include "machine/topology.h"

#define FIRMWARE_SIZE_MAX   (16 << 20) /* ROM and variables: what KVM and the local APICs leave free below 4 GiB */
#define FIRMWARE_TABLES_MAX 16384
#define FIRMWARE_LINKS_MAX  16

struct firmware {
        struct fw_cfg fw_cfg;
        struct chipset chipset;
        struct flash flash;
        uint8_t acpi[FIRMWARE_TABLES_MAX], root[ACPI_ROOT_LENGTH], links[FIRMWARE_LINKS_MAX * 128];
        unsigned acpi_length, link_count;
        uint8_t memory_map[BOOT_RANGES_MAX * 20];
};

struct firmware_settings {
        void *rom; /* whole pages, and the caller's as long as the machine; the guest does not change them */
        uint64_t rom_length;
        void *variables; /* NULL: the ROM has none apart; whole FLASH_BLOCKs below the ROM, which the guest changes */
        uint64_t variables_length;
        const struct topology *topology;
        const struct boot *boot; /* kernel, initrd and command line for the firmware; kernel NULL: none */
};

/* UEFI firmware begins with a firmware volume: UEFI PI specification, vol. 3, section 3.2.1. */
bool firmware_is_uefi(const void *rom, uint64_t length);

/*
 * Adds the ROM to a machine whose RAM is there, with what goes with it; fills *entry. Returns 0, or a negative code
 * with *reason.
 */
int boot_firmware(struct firmware *firmware, struct machine *machine, const struct firmware_settings *settings,
                  struct cpu_state *entry, const char **reason);
