/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "kernel/unpack.h"

#include <archive.h>
#include <archive_entry.h>
#include <elf.h>
#include <errno.h>
#include <string.h>

#include "base/text.h"

#define BLOCK            65536
#define KERNEL_BYTES_MAX ((size_t)256 << 20)
#define SIZE_AT_END      4 /* of what is unpacked: Linux scripts/Makefile.lib, size_append */

DEFINE_CLEANUP(archive, struct archive, archive_read_free)

static int fail(struct archive *archive, struct error *err)
{
        const char *reason = archive_error_string(archive);
        return error_set(err, -EBADMSG, "it cannot be unpacked: %s", reason ? reason : "it is damaged");
}

static int read_all(struct archive *archive, size_t limit, struct text *text, struct error *err)
{
        char block[BLOCK];
        la_ssize_t n;
        while ((n = archive_read_data(archive, block, sizeof(block))) > 0) {
                if (text->length + (size_t)n > limit)
                        return error_set(err, -EFBIG, "unpacked it is larger than %zu MiB", limit >> 20);
                text_append_bytes(text, block, (size_t)n);
                if (text_failed(text))
                        return error_memory(err);
        }
        return n < 0 ? fail(archive, err) : 0;
}

int unpack_filters(struct archive *archive)
{
        static int (*const filters[])(struct archive *) = {
                archive_read_support_filter_gzip, archive_read_support_filter_bzip2, archive_read_support_filter_xz,
                archive_read_support_filter_lzma, archive_read_support_filter_zstd,  archive_read_support_filter_lz4,
        };
        int r = ARCHIVE_OK;
        for (size_t i = 0; i < ARRAY_SIZE(filters) && r == ARCHIVE_OK; i++)
                r = filters[i](archive);
        return r;
}

int unpack_bytes(const void *bytes, size_t length, size_t limit, char **result, size_t *result_length,
                 struct error *err)
{
        _cleanup_(archive) struct archive *archive = archive_read_new();
        _cleanup_text_ struct text text = { 0 };
        struct archive_entry *entry;
        if (!archive)
                return error_memory(err);
        archive_read_support_format_raw(archive);
        if (unpack_filters(archive) != ARCHIVE_OK || archive_read_open_memory(archive, bytes, length) != ARCHIVE_OK ||
            archive_read_next_header(archive, &entry) != ARCHIVE_OK)
                return fail(archive, err);
        int r = read_all(archive, limit, &text, err);
        if (r < 0)
                return r;
        *result_length = text.length;
        *result = text_take(&text);
        return *result ? 0 : error_memory(err);
}

int unpack_kernel(const void *bytes, size_t length, char **result, size_t *result_length, struct error *err)
{
        _cleanup_free_ char *kernel = NULL;
        size_t size;
        if (length < SIZE_AT_END)
                return error_set(err, -EBADMSG, "it holds no packed kernel");
        int r = unpack_bytes(bytes, length - SIZE_AT_END, KERNEL_BYTES_MAX, &kernel, &size, err);
        if (r < 0)
                return r;
        Elf64_Ehdr elf = { 0 };
        memcpy(&elf, kernel, size < sizeof(elf) ? size : sizeof(elf));
        if (memcmp(elf.e_ident, ELFMAG, SELFMAG) || elf.e_ident[EI_CLASS] != ELFCLASS64 || elf.e_machine != EM_X86_64)
                return error_set(err, -EBADMSG, "what it holds is no ELF kernel for 64-bit x86");
        *result = TAKE_PTR(kernel);
        *result_length = size;
        return 0;
}
