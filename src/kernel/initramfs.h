/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The initramfs of an image's virtual machine: /init (onggi-init), /onggi/onggi-runtime, /onggi/modules, /dev/console.
 *
 * It is not packed: copying a few megabytes takes the guest less time than unpacking them. What programs hold for
 * debuggers is left out. A second archive may follow it (onggi-vmm's second --initrd).
 */
#pragma once

#include <jansson.h>

#include "base/error.h"

struct kernel_programs;

/* What tells these programs from those of another version: their sizes and times. */
int initramfs_programs(const struct kernel_programs *programs, json_t **identity, struct error *err);
/* Writes <folder>/initramfs of <folder>/modules and of the programs, by rename. */
int initramfs_write(int folder, const struct kernel_programs *programs, struct error *err);
