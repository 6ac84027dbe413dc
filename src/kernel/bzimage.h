/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The header of a bzImage: Linux Documentation/arch/x86/boot.rst, "The Real-Mode Kernel Header". Every field is a
 * stranger's and is checked against the file's length.
 */
#pragma once

#include <stddef.h>

#include "base/error.h"

#define BZIMAGE_RELEASE_MAX 64

struct bzimage {
        size_t payload, payload_length;        /* the packed ELF kernel, a range of the file */
        char release[BZIMAGE_RELEASE_MAX + 1]; /* "6.1.0-56-cloud-amd64" */
};

/* -ENOEXEC: it is no bzImage for 64-bit x86; -EBADMSG: it contradicts itself. */
int bzimage_parse(const void *bytes, size_t length, struct bzimage *image, struct error *err);
/*
 * The release in the text "Linux version <release> …" of an unpacked kernel. -EBADMSG where there is none that can be a
 * name.
 */
int kernel_release_find(const void *bytes, size_t length, char release[static BZIMAGE_RELEASE_MAX + 1],
                        struct error *err);
