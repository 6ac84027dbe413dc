/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Starting a kernel by the Multiboot Specification, version 0.6.96, or by the Multiboot2 Specification, version 2.0.
 *
 * The header in the first 8 (32) KiB of the file says what the kernel asks for; it gets its modules, the map of the
 * memory and, by multiboot 2, the root pointer of ACPI. There is no screen to give. Freestanding.
 */
#pragma once

#include "machine/boot.h"

bool boot_is_multiboot(const struct boot *boot);
bool boot_is_multiboot2(const struct boot *boot);
/* As boot_load(). */
int boot_multiboot(struct guest_memory *memory, const struct boot *boot, struct cpu_state *entry, const char **reason);
int boot_multiboot2(struct guest_memory *memory, const struct boot *boot, struct cpu_state *entry, const char **reason);

/* Both versions' way to name where a kernel without ELF headers goes: section 3.1.3, "The address fields". */
struct multiboot_placement {
        uint32_t header, load, load_end, bss_end;
};

/* `found`: the header's offset in the file; `end`: first byte behind the kernel. -EINVAL, -ENOSPC. */
int multiboot_place(struct guest_memory *memory, const struct boot *boot, const struct multiboot_placement *placement,
                    size_t found, uint64_t *end, const char **reason);
