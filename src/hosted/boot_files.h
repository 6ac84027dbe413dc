/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What a guest starts from, as files of the host: a kernel with its initial RAM disk and modules, or firmware.
 */
#pragma once

#include "base/error.h"
#include "hosted/vmm.h"
#include "machine/cpu_state.h"

struct boot_files;
struct vmm;

/*
 * Fills the guest's memory and *entry, the state in which its first CPU begins. *result is what the guest may still ask
 * for, to be closed behind it.
 */
int boot_files_load(struct vmm *vmm, const struct vmm_settings *settings, struct boot_files **result,
                    struct cpu_state *entry, struct error *err);
void boot_files_close(struct boot_files *files);
