/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Starting Linux by its 64-bit boot protocol, or a 32-bit kernel by the 32-bit one: Linux
 * Documentation/arch/x86/boot.rst, sections "64-bit boot protocol" and "32-bit boot protocol".
 *
 * Takes a bzImage or an ELF vmlinux, an initial RAM disk and a command line. Other systems have the form of a bzImage
 * too (Memtest86+). What enters in real mode and calls a BIOS needs firmware. Freestanding.
 */
#pragma once

#include "machine/boot.h"

bool boot_is_linux(const struct boot *boot);
/* As boot_load(). */
int boot_linux(struct guest_memory *memory, const struct boot *boot, struct cpu_state *entry, const char **reason);
