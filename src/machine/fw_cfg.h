/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The firmware configuration device: QEMU docs/specs/fw_cfg.rst, by which SeaBIOS, OVMF and U-Boot learn of the machine.
 *
 * A list of items of bytes that the guest reads, by a port or by a request in its memory (DMA). The items are their
 * owner's, who keeps them as long as the machine; the guest changes nothing in them. The machine's lock guards it.
 * Freestanding.
 */
#pragma once

#include "machine/bus.h"
#include "machine/memory.h"

#define FW_CFG_PORT       0x510
#define FW_CFG_PORTS      12
#define FW_CFG_ITEMS_MAX  32
#define FW_CFG_NAME       56 /* of a file, with its NUL */
#define FW_CFG_FILE_FIRST 0x20

/* Keys of items without a name. */
enum {
        FW_CFG_SIGNATURE = 0x00,
        FW_CFG_ID = 0x01,
        FW_CFG_RAM_SIZE = 0x03,
        FW_CFG_CPUS = 0x05,
        FW_CFG_KERNEL_SIZE = 0x08,
        FW_CFG_INITRD_SIZE = 0x0b,
        FW_CFG_BOOT_MENU = 0x0e,
        FW_CFG_CPUS_MAX = 0x0f,
        FW_CFG_KERNEL_DATA = 0x11,
        FW_CFG_INITRD_DATA = 0x12,
        FW_CFG_COMMAND_LINE_SIZE = 0x14,
        FW_CFG_COMMAND_LINE_DATA = 0x15,
        FW_CFG_SETUP_SIZE = 0x17,
        FW_CFG_SETUP_DATA = 0x18,
        FW_CFG_DIRECTORY = 0x19,
};

struct fw_cfg_item {
        uint16_t key;
        const void *bytes;
        uint32_t length;
        uint8_t small[8]; /* where a number is kept that nobody else keeps */
};

struct fw_cfg {
        struct guest_memory *memory;
        unsigned count, files;
        struct fw_cfg_item items[FW_CFG_ITEMS_MAX];
        uint8_t directory[4 + FW_CFG_ITEMS_MAX * 64]; /* as the guest reads it: big-endian */
        uint16_t selected;
        uint32_t offset;
        uint64_t request; /* guest-physical address of the DMA request, as far as it was written */
};

extern const struct bus_operations fw_cfg_operations;

void fw_cfg_init(struct fw_cfg *fw_cfg, struct guest_memory *memory);
/* -ENOSPC: no place left, or the name is too long. */
int fw_cfg_add(struct fw_cfg *fw_cfg, uint16_t key, const void *bytes, uint32_t length);
int fw_cfg_add_number(struct fw_cfg *fw_cfg, uint16_t key, uint64_t value, unsigned size);
int fw_cfg_add_file(struct fw_cfg *fw_cfg, const char *name, const void *bytes, uint32_t length);
int fw_cfg_add_file_number(struct fw_cfg *fw_cfg, const char *name, uint64_t value, unsigned size);
