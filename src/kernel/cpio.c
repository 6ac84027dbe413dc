/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "kernel/cpio.h"

#include <string.h>
#include <sys/stat.h>

#define ALIGNMENT 4

static void fill(struct cpio *cpio, size_t alignment)
{
        while (!text_failed(&cpio->bytes) && cpio->bytes.length % alignment)
                text_append_bytes(&cpio->bytes, "", 1);
}

static void entry(struct cpio *cpio, const char *name, mode_t mode, const void *content, size_t length, unsigned major,
                  unsigned minor)
{
        const uint32_t fields[] = {
                ++cpio->entries,
                (uint32_t)mode,
                0,
                0,
                1 /* links */,
                0 /* time */,
                (uint32_t)length,
                0,
                0,
                major,
                minor,
                (uint32_t)strlen(name) + 1,
                0 /* no checksum in this form */
        };
        text_append(&cpio->bytes, "070701");
        for (size_t i = 0; i < ARRAY_SIZE(fields); i++)
                text_printf(&cpio->bytes, "%08x", fields[i]);
        text_append_bytes(&cpio->bytes, name, strlen(name) + 1);
        fill(cpio, ALIGNMENT);
        if (length)
                text_append_bytes(&cpio->bytes, content, length);
        fill(cpio, ALIGNMENT);
}

void cpio_folder(struct cpio *cpio, const char *name, mode_t mode)
{
        entry(cpio, name, S_IFDIR | mode, NULL, 0, 0, 0);
}

void cpio_file(struct cpio *cpio, const char *name, mode_t mode, const void *content, size_t length)
{
        entry(cpio, name, S_IFREG | mode, content, length, 0, 0);
}

void cpio_character_device(struct cpio *cpio, const char *name, mode_t mode, unsigned major, unsigned minor)
{
        entry(cpio, name, S_IFCHR | mode, NULL, 0, major, minor);
}

void cpio_end(struct cpio *cpio, size_t alignment)
{
        entry(cpio, "TRAILER!!!", 0, NULL, 0, 0, 0);
        fill(cpio, alignment);
}
