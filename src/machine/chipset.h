/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What PC firmware expects of the host bridge: Intel 82441FX (290549) for SeaBIOS, 82G33/Q35 (316966) with an ICH9 LPC
 * bridge (316972) for UEFI.
 *
 * Firmware knows a machine by these two devices alone. Only the registers that it sets have a meaning here: the area
 * from 0xc0000 to 0xfffff is RAM whatever the shadow registers say, PCIEXBAR moves ECAM, and ACPI's ports lie where
 * ICH9 has them after firmware has placed them. Freestanding.
 */
#pragma once

#include "machine/machine.h"

#define CHIPSET_Q35_ECAM 0xb0000000ULL /* where the firmware places it, below the windows of PCI: RAM ends there */

struct chipset {
        struct machine *machine;
        struct pci_device lpc;
};

/* Gives the machine's host bridge the registers of an 82441FX. */
void chipset_i440fx(struct machine *machine);
/* ... of a Q35, and puts the LPC bridge where it belongs; the struct stays the caller's. -EEXIST. */
int chipset_q35(struct chipset *chipset, struct machine *machine);
