/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Starting Linux by its 64-bit boot protocol: Linux Documentation/arch/x86/boot.rst, section "64-bit boot protocol".
 *
 * Takes a bzImage or an ELF vmlinux, an initial RAM disk and a command line as bytes of the host, puts them and the
 * tables that the protocol asks for into guest memory, and gives the state in which the first CPU enters. Every
 * field of the files is a stranger's. Freestanding.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "machine/cpu_state.h"
#include "machine/memory.h"

struct boot_linux {
        const void *kernel;
        size_t kernel_length;
        const void *initrd; /* NULL: none */
        size_t initrd_length;
        const char *command_line;
        uint64_t acpi; /* where the root pointer of acpi_write() is; 0: there is none */
};

/*
 * Loads and fills *entry. Returns 0, or a negative code with *reason in words: -ENOEXEC (no kernel, or one without
 * 64-bit entry),
 * -EINVAL (the file contradicts itself), -ENOSPC (it does not fit into the guest's memory).
 */
int boot_linux(struct guest_memory *memory, const struct boot_linux *boot, struct cpu_state *entry,
               const char **reason);
