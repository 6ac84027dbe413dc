/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A kernel module's file (.ko) as bytes: an ELF object whose section .modinfo holds "key=value" texts, and behind it,
 * where it is signed, a signature (Linux Documentation/admin-guide/module-signing.rst).
 */
#pragma once

#include <stddef.h>

#include "base/error.h"

/*
 * Appends the names of the modules that it needs to the list: "depends=", and "softdep=pre:", which may be missing.
 * -EBADMSG where the bytes are no module; -ENOMEM.
 */
int module_file_needs(const void *bytes, size_t length, char ***needs, char ***wishes, struct error *err);
/*
 * The length without the signature: checking it takes longer than all else, and the cache holds what root has put
 * there.
 */
size_t module_file_unsigned(const void *bytes, size_t length);
