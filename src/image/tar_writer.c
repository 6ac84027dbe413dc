/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "image/tar_writer.h"

#include <errno.h>
#include <string.h>

/* libarchive forgets a buffer when a write fails; so it is never told, and what it goes on to write is dropped. */
static la_ssize_t pass_on(struct archive *archive, void *context, const void *data, size_t length)
{
        (void)archive;
        struct tar_writer *writer = context;
        if (!writer->failed)
                writer->failed = writer->write(writer->context, data, length, &writer->err) < 0;
        return (la_ssize_t)length;
}

static int outcome(struct tar_writer *writer, int r, struct error *err)
{
        if (writer->failed)
                return error_set(err, writer->err.code, "%s", writer->err.text);
        if (r == ARCHIVE_OK || r == ARCHIVE_WARN)
                return 0;
        const char *reason = archive_error_string(writer->archive);
        int code = archive_errno(writer->archive);
        return error_set(err, code > 0 ? -code : -EIO, "%s", reason ? reason : "cannot write the tar archive");
}

int tar_writer_open(struct tar_writer *writer, struct error *err)
{
        struct archive *archive = writer->archive = archive_write_new();
        if (!archive)
                return error_memory(err);
        int r = archive_write_set_format_pax_restricted(archive);
        if (r == ARCHIVE_OK)
                r = archive_write_set_options(archive, "hdrcharset=UTF-8");
        if (r == ARCHIVE_OK)
                r = archive_write_set_bytes_in_last_block(archive, 1);
        if (r == ARCHIVE_OK)
                r = archive_write_open(archive, writer, NULL, pass_on, NULL);
        return outcome(writer, r, err);
}

int tar_writer_header(struct tar_writer *writer, struct archive_entry *entry, struct error *err)
{
        return outcome(writer, archive_write_header(writer->archive, entry), err);
}

int tar_writer_data(struct tar_writer *writer, const void *data, size_t length, struct error *err)
{
        for (size_t done = 0; done < length;) {
                la_ssize_t n = archive_write_data(writer->archive, (const char *)data + done, length - done);
                int r = outcome(writer, n > 0 ? ARCHIVE_OK : ARCHIVE_FATAL, err);
                if (r < 0)
                        return r;
                done += (size_t)n;
        }
        return 0;
}

int tar_writer_member(struct tar_writer *writer, const char *name, uint64_t size, struct error *err)
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
        int r = tar_writer_header(writer, entry, err);
        archive_entry_free(entry);
        return r;
}

int tar_writer_close(struct tar_writer *writer, int code, struct error *err)
{
        if (!writer->archive)
                return code;
        writer->failed |= code < 0;
        int r = archive_write_close(writer->archive);
        if (code >= 0)
                code = outcome(writer, r, err);
        archive_write_free(writer->archive);
        writer->archive = NULL;
        return code;
}
