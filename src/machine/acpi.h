/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The tables that tell a guest what its machine has: ACPI Specification 6.4, chapter 5; PCI Firmware Specification
 * 3.0 (MCFG).
 *
 * Processors, interrupt controllers, PCI, serial port and clock, power-off and reset; they are written into guest
 * memory below 1 MiB where every system looks for them. Freestanding.
 */
#pragma once

#include "machine/memory.h"
#include "machine/topology.h"

#define ACPI_START       0xe0000
#define ACPI_END         0x100000
#define ACPI_CPUS_MAX    254
#define ACPI_ROOT_LENGTH 36 /* bytes of the root pointer: section 5.2.5.3 */

/* The last page of it is generation.h's. */
#define ACPI_GENERATION (ACPI_END - 0x1000)

/*
 * Writes the tables for a machine of such processors; the root pointer is at ACPI_START. 0, -EINVAL, -ENOSPC or
 * -EFAULT.
 */
int acpi_write(struct guest_memory *memory, const struct topology *topology);
