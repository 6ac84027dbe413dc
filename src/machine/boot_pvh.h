/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Starting a kernel by the PVH protocol: Xen docs/misc/pvh.pandoc and xen/include/public/arch-x86/hvm/start_info.h.
 *
 * An ELF file whose note of Xen names a 32-bit entry. A Linux has one too; it is started by its own protocol, which
 * saves it the way from 32 to 64 bits. Freestanding.
 */
#pragma once

#include "machine/boot.h"

bool boot_is_pvh(const struct boot *boot);
/* As boot_load(). */
int boot_pvh(struct guest_memory *memory, const struct boot *boot, struct cpu_state *entry, const char **reason);
