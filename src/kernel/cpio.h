/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Writes a cpio archive of the form "newc", which the kernel unpacks as an initramfs: Linux
 * Documentation/driver-api/early-userspace/buffer-format.rst.
 *
 * Entries are appended to a text; folders are to come before what is in them. The same calls give the same bytes: times
 * are 0, owners are root. Running out of memory shows in the text (text_failed()).
 */
#pragma once

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/text.h"

struct cpio {
        struct text bytes;
        uint32_t entries; /* each has an inode number of its own */
};

void cpio_folder(struct cpio *cpio, const char *name, mode_t mode);
/* At most 4 GiB - 1 bytes. */
void cpio_file(struct cpio *cpio, const char *name, mode_t mode, const void *content, size_t length);
void cpio_character_device(struct cpio *cpio, const char *name, mode_t mode, unsigned major, unsigned minor);
/* The end of the archive, filled up to `alignment` bytes. Another one may follow. */
void cpio_end(struct cpio *cpio, size_t alignment);
