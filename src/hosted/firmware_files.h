/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The files of a guest's firmware: its ROM, and where it keeps its variables.
 *
 * "bios" and "uefi" name the ones of Debian's packages seabios and ovmf; everything else is a file. UEFI's variables are
 * kept in a file of the virtual machine's, made from the package's at its first start, or for one run only.
 */
#pragma once

#include "base/error.h"
#include "hosted/vmm.h"
#include "machine/boot_firmware.h"

/* Maps what `settings` asks for into *firmware; guest_ram_unmap() releases it once the machine has it. */
int firmware_files_map(const struct vmm_settings *settings, struct firmware_settings *firmware, struct error *err);
