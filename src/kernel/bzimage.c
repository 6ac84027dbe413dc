/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "kernel/bzimage.h"

#include <asm/bootparam.h>
#include <ctype.h>
#include <errno.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>

/* boot.rst, "Details of Header Fields". */
enum {
        HEADER_OFFSET = 0x1f1,
        HEADER_MAGIC = 0x53726448, /* "HdrS" */
        SECTOR = 512,
        DEFAULT_SETUP_SECTORS = 4,
        VERSION_PAYLOAD = 0x0208,   /* the first with payload_offset */
        KERNEL_VERSION_BASE = 0x200 /* what kernel_version counts from */
};

/* A word that can be a folder's name. Reads no byte beyond `length`. */
static int take_release(const uint8_t *text, size_t length, char release[static BZIMAGE_RELEASE_MAX + 1])
{
        size_t n = 0;
        while (n < length && n < BZIMAGE_RELEASE_MAX && (isalnum(text[n]) || strchr("-_.+~", text[n] ? text[n] : '/')))
                n++;
        bool ends = n < length && (text[n] == ' ' || !text[n]);
        if (!n || !ends || !isdigit(text[0]))
                return -EBADMSG;
        memcpy(release, text, n);
        release[n] = 0;
        return 0;
}

int bzimage_parse(const void *bytes, size_t length, struct bzimage *image, struct error *err)
{
        const uint8_t *file = bytes;
        struct setup_header header;
        if (length < HEADER_OFFSET + sizeof(header))
                return error_set(err, -ENOEXEC, "it is too short to be a kernel");
        memcpy(&header, file + HEADER_OFFSET, sizeof(header));
        if (header.header != HEADER_MAGIC)
                return error_set(err, -ENOEXEC, "it is neither a bzImage nor an ELF kernel");
        if (header.version < VERSION_PAYLOAD || !(header.xloadflags & XLF_KERNEL_64))
                return error_set(err, -ENOEXEC, "it is no 64-bit kernel");

        uint64_t setup = ((header.setup_sects ? header.setup_sects : DEFAULT_SETUP_SECTORS) + 1) * (uint64_t)SECTOR;
        uint64_t start = setup + header.payload_offset, end = start + header.payload_length;
        if (!header.payload_length || end > length)
                return error_set(err, -EBADMSG, "its header says that the packed kernel ends at byte %llu; it has %zu",
                                 (unsigned long long)end, length);
        uint64_t version = header.kernel_version + (uint64_t)KERNEL_VERSION_BASE;
        if (!header.kernel_version || version >= setup ||
            take_release(file + version, (size_t)(setup - version), image->release) < 0)
                return error_set(err, -EBADMSG, "its header does not say which release it is");
        image->payload = (size_t)start;
        image->payload_length = header.payload_length;
        return 0;
}

int kernel_release_find(const void *bytes, size_t length, char release[static BZIMAGE_RELEASE_MAX + 1],
                        struct error *err)
{
        static const char before[] = "Linux version ";
        const uint8_t *at = bytes, *end = at + length;
        while ((at = memmem(at, (size_t)(end - at), before, strlen(before)))) {
                at += strlen(before);
                if (!take_release(at, (size_t)(end - at), release))
                        return 0;
        }
        return error_set(err, -EBADMSG, "it does not say which release of Linux it is");
}
