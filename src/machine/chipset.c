/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "machine/chipset.h"

enum {
        VENDOR_INTEL = 0x8086,
        DEVICE_82441FX = 0x1237,
        DEVICE_Q35 = 0x29c0,
        DEVICE_ICH9_LPC = 0x2918,

        PAM_I440FX = 0x59, /* 290549, section 3.2.18: seven registers of the shadow area */
        PAM_Q35 = 0x90,    /* 316966, section 5.1.17 */
        PAM_LENGTH = 7,
        PCIEXBAR = 0x60, /* section 5.1.16 */
        PCIEXBAR_ENABLE = 1,
        SLOT_LPC = 31, /* 316972, section 2.1 */
        LPC_REGISTERS = 0x40,
};

static void identify(struct pci_device *bridge, uint16_t device)
{
        const uint8_t words[4] = { VENDOR_INTEL & 0xff, VENDOR_INTEL >> 8, (uint8_t)device, (uint8_t)(device >> 8) };
        __builtin_memcpy(bridge->config, words, sizeof(words));
}

void chipset_i440fx(struct machine *machine)
{
        struct pci_device *bridge = &machine->host_bridge;
        identify(bridge, DEVICE_82441FX);
        __builtin_memset(bridge->writable + PAM_I440FX, 0xff, PAM_LENGTH);
}

/* The firmware wrote, or is about to read, PCIEXBAR. */
static void pass_pciexbar(void *owner, bool write)
{
        struct chipset *chipset = owner;
        struct pci_device *bridge = &chipset->machine->host_bridge;
        uint32_t value;
        __builtin_memcpy(&value, bridge->config + PCIEXBAR, sizeof(value));
        if (write && (value & PCIEXBAR_ENABLE))
                pci_move_ecam(&chipset->machine->pci, value & 0xf0000000);
}

int chipset_q35(struct chipset *chipset, struct machine *machine)
{
        static const struct pci_identity lpc = {
                .vendor = VENDOR_INTEL,
                .device = DEVICE_ICH9_LPC,
                .class = 0x060100, /* bridge, ISA */
                .revision = 2,
        };
        struct pci_device *bridge = &machine->host_bridge;
        *chipset = (struct chipset){ .machine = machine };
        identify(bridge, DEVICE_Q35);
        __builtin_memset(bridge->writable + PAM_Q35, 0xff, PAM_LENGTH);
        __builtin_memset(bridge->writable + PCIEXBAR, 0xff, 8);
        bridge->portal = PCIEXBAR;
        bridge->portal_owner = chipset;
        bridge->pass = pass_pciexbar;
        int r = pci_add_at(&machine->pci, SLOT_LPC, &chipset->lpc, &lpc);
        /* Power management, interrupt routing and chip configuration: kept as written. */
        if (!r || r == SLOT_LPC)
                __builtin_memset(chipset->lpc.writable + LPC_REGISTERS, 0xff, PCI_CONFIG_SIZE - LPC_REGISTERS);
        return r < 0 ? r : 0;
}
