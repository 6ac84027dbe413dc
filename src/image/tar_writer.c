/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "image/tar_writer.h"

#include <errno.h>
#include <stdbool.h>
#include <string.h>

static la_ssize_t pass_on(struct archive *tar, void *context, const void *data, size_t length)
{
        struct tar_sink *sink = context;
        int r = sink->write(sink->context, data, length, &sink->err);
        if (r < 0) {
                archive_set_error(tar, -r, "%s", sink->err.text);
                return -1;
        }
        return (la_ssize_t)length;
}

static int failure(struct archive *tar, struct error *err)
{
        const char *reason = archive_error_string(tar);
        int code = archive_errno(tar);
        return error_set(err, code > 0 ? -code : -EIO, "%s", reason ? reason : "cannot write the tar archive");
}

int tar_writer_open(struct tar_sink *sink, struct archive **tar, struct error *err)
{
        sink->err.code = 0;
        *tar = archive_write_new();
        if (!*tar)
                return error_memory(err);
        if (archive_write_set_format_pax_restricted(*tar) != ARCHIVE_OK ||
            archive_write_set_options(*tar, "hdrcharset=UTF-8") < ARCHIVE_WARN ||
            archive_write_set_bytes_in_last_block(*tar, 1) != ARCHIVE_OK ||
            archive_write_open(*tar, sink, NULL, pass_on, NULL) != ARCHIVE_OK)
                return failure(*tar, err);
        return 0;
}

int tar_writer_header(struct archive *tar, struct archive_entry *entry, struct error *err)
{
        int r = archive_write_header(tar, entry);
        return r == ARCHIVE_OK || r == ARCHIVE_WARN ? 0 : failure(tar, err);
}

int tar_writer_data(struct archive *tar, const void *data, size_t length, struct error *err)
{
        for (size_t done = 0; done < length;) {
                la_ssize_t n = archive_write_data(tar, (const char *)data + done, length - done);
                if (n <= 0)
                        return failure(tar, err);
                done += (size_t)n;
        }
        return 0;
}

int tar_writer_member(struct archive *tar, const char *name, uint64_t size, struct error *err)
{
        struct archive_entry *entry = archive_entry_new();
        if (!entry)
                return error_memory(err);
        bool folder = name[0] && name[strlen(name) - 1] == '/';
        archive_entry_set_pathname(entry, name);
        archive_entry_set_filetype(entry, folder ? AE_IFDIR : AE_IFREG);
        archive_entry_set_perm(entry, folder ? 0755 : 0644);
        archive_entry_set_size(entry, folder ? 0 : (int64_t)size);
        archive_entry_set_mtime(entry, 0, 0);
        int r = tar_writer_header(tar, entry, err);
        archive_entry_free(entry);
        return r;
}

int tar_writer_close(struct archive *tar, struct tar_sink *sink, int code, struct error *err)
{
        if (code < 0)
                archive_write_fail(tar);
        else if (archive_write_close(tar) != ARCHIVE_OK)
                code = sink->err.code ? error_set(err, sink->err.code, "%s", sink->err.text) : failure(tar, err);
        archive_write_free(tar);
        return code;
}
