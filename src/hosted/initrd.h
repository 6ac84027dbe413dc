/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The initial RAM disk: several archives as one, each at a multiple of four bytes, which Linux unpacks one after the
 * other (Documentation/driver-api/early-userspace/buffer-format.rst).
 *
 * The first, which is the large one, is mapped and not read; the others, which say what is special about this machine,
 * are copied behind it. The mapping is the caller's.
 */
#pragma once

#include <stddef.h>

#include "base/error.h"

/* `paths` is a list as text.h has it; an empty one gives NULL and 0. */
int initrd_open(char *const *paths, const void **bytes, size_t *length, struct error *err);
void initrd_close(const void *bytes, size_t length);
