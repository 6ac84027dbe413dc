/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The modules that a guest needs, taken from a kernel's folder (/lib/modules/<release>): unpacked, without signatures,
 * in one folder, with a modules.dep for guest/module_loader.h.
 *
 * What needs what is read from the modules themselves: packages come without the index that depmod(8) makes.
 */
#pragma once

#include "base/error.h"

/*
 * Copies what is needed from the folder `source` (a descriptor) to `target`; *modules (a list, the caller's) gets their
 * names. -ENOENT for one that is neither there nor built into the kernel.
 */
int module_set_copy(int source, int target, char ***modules, struct error *err);
