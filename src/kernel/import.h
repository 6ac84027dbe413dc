/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Takes a kernel into the store (kernel.h): from /boot, a file, or a Debian package. For onggi-kernel alone, which
 * links libarchive.
 */
#pragma once

#include <stdbool.h>

#include "base/error.h"
#include "kernel/kernel.h"

struct kernel_source {
        const char *file;    /* bzImage, ELF or .deb; NULL: the newest of /boot, Debian's cloud flavour first */
        const char *modules; /* its folder of modules; NULL: /lib/modules/<release>, or what the package holds */
        bool make_default;
};

/* *release is the caller's. One of the same release is replaced. */
int kernel_import(const char *root, const struct kernel_source *source, const struct kernel_programs *programs,
                  char **release, struct error *err);
