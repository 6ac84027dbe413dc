/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "image/stream.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "image/manifest.h"

#define INPUT_BYTES (256 * 1024)
/* Up to here nobody asks for the ratio; file systems shrink to a tenth, zeros to a thousandth. */
#define RATIO_FREE_BYTES (UINT64_C(256) << 20)
#define RATIO_MAX        250

struct stream {
        int fd;
        const char *what;
        struct stream_limits limits;
        struct archive *archive;
        struct digester input, output;
        struct blob_writer *copy;
        const char *media_type; /* by the first bytes */
        bool copy_input;        /* else what comes out is copied */
        bool ended;
        struct error err; /* of a callback that libarchive called */
        size_t head;      /* bytes in buffer that stream_open() has read ahead */
        char buffer[INPUT_BYTES];
};

static ssize_t read_some(int fd, void *data, size_t length)
{
        ssize_t n;
        do
                n = read(fd, data, length);
        while (n < 0 && errno == EINTR);
        return n;
}

static int take_input(struct stream *stream, size_t *length)
{
        *length = stream->head;
        stream->head = 0;
        if (!*length) {
                ssize_t n = read_some(stream->fd, stream->buffer, sizeof(stream->buffer));
                if (n < 0)
                        return error_errno(&stream->err, "cannot read %s", stream->what);
                *length = (size_t)n;
        }
        digester_add(&stream->input, stream->buffer, *length);
        return stream->copy_input ? blob_write(stream->copy, stream->buffer, *length, &stream->err) : 0;
}

static la_ssize_t read_input(struct archive *archive, void *context, const void **data)
{
        struct stream *stream = context;
        size_t length;
        int r = take_input(stream, &length);
        if (r < 0) {
                archive_set_error(archive, -r, "%s", stream->err.text);
                return -1;
        }
        *data = stream->buffer;
        return (la_ssize_t)length;
}

/* Layers may be compressed with gzip and zstd only (image-spec layer.md). */
static int sniff(struct stream *stream, struct error *err)
{
        static const struct {
                const char *magic, *media_type;
                size_t length;
        } kinds[] = {
                { "\x1f\x8b", MEDIA_TYPE_LAYER_GZIP, 2 },
                { "\x28\xb5\x2f\xfd", MEDIA_TYPE_LAYER_ZSTD, 4 },
        };
        for (ssize_t n = 1; n > 0 && stream->head < 4; stream->head += (size_t)n) {
                n = read_some(stream->fd, stream->buffer + stream->head, 4 - stream->head);
                if (n < 0)
                        return error_errno(err, "cannot read %s", stream->what);
        }
        stream->media_type = MEDIA_TYPE_LAYER;
        for (size_t i = 0; i < ARRAY_SIZE(kinds); i++)
                if (stream->head >= kinds[i].length && !memcmp(stream->buffer, kinds[i].magic, kinds[i].length))
                        stream->media_type = kinds[i].media_type;
        stream->copy_input = stream->copy && strcmp(stream->media_type, MEDIA_TYPE_LAYER);
        return 0;
}

const char *stream_media_type(const struct stream *stream)
{
        return stream->media_type;
}

static int archive_failure(struct stream *stream, struct archive *archive, const char *doing, struct error *err)
{
        if (stream->err.code)
                return error_set(err, stream->err.code, "%s", stream->err.text);
        const char *reason = archive_error_string(archive);
        return error_set(err, archive_errno(archive) == ENOMEM ? -ENOMEM : -EBADMSG, "%s: %s: %s", stream->what, doing,
                         reason ? reason : "damaged data");
}

static int open_decompressor(struct stream *stream, struct error *err)
{
        struct archive *archive = stream->archive = archive_read_new();
        if (!archive)
                return error_memory(err);
        /* Only what is done in this process: libarchive would start other programs for some formats. */
        static int (*const filters[])(struct archive *) = {
                archive_read_support_filter_gzip, archive_read_support_filter_bzip2, archive_read_support_filter_xz,
                archive_read_support_filter_lzma, archive_read_support_filter_zstd,  archive_read_support_filter_lz4,
                archive_read_support_format_raw,  archive_read_support_format_empty,
        };
        for (size_t i = 0; i < ARRAY_SIZE(filters); i++)
                if (filters[i](archive) != ARCHIVE_OK)
                        return archive_failure(stream, archive, "libarchive cannot decompress", err);
        struct archive_entry *entry;
        if (archive_read_open(archive, stream, NULL, read_input, NULL) != ARCHIVE_OK)
                return archive_failure(stream, archive, "cannot be read", err);
        int r = archive_read_next_header(archive, &entry);
        if (r == ARCHIVE_EOF)
                stream->ended = true;
        else if (r != ARCHIVE_OK)
                return archive_failure(stream, archive, "cannot be read", err);
        /* one filter, and the file itself */
        if (stream->copy_input && archive_filter_count(archive) > 2)
                return error_set(err, -EINVAL, "%s is compressed more than once", stream->what);
        return 0;
}

int stream_open(int fd, const char *what, const struct stream_limits *limits, struct blob_writer *copy,
                struct stream **stream, struct error *err)
{
        struct stream *made = malloc(sizeof(*made));
        if (!made)
                return error_memory(err);
        made->fd = fd;
        made->what = what;
        made->limits = *limits;
        made->copy = copy;
        made->ended = false;
        made->err.code = 0;
        made->head = 0;
        made->archive = NULL;
        digester_start(&made->input);
        digester_start(&made->output);
        int r = sniff(made, err);
        if (!r)
                r = open_decompressor(made, err);
        if (r < 0) {
                stream_close(made);
                return r;
        }
        *stream = made;
        return 0;
}

void stream_close(struct stream *stream)
{
        if (!stream)
                return;
        archive_free(stream->archive);
        free(stream);
}

static int check_limits(struct stream *stream, struct error *err)
{
        uint64_t in = stream->input.length, out = stream->output.length;
        if (out > stream->limits.bytes)
                return error_set(err, -EFBIG,
                                 "%s unpacks to more than the %" PRIu64 " bytes that are accepted; "
                                 "--max-size allows more",
                                 stream->what, stream->limits.bytes);
        if (!stream->limits.any_ratio && out > RATIO_FREE_BYTES && out / RATIO_MAX > in)
                return error_set(err, -EFBIG,
                                 "%s unpacks to more than %d times its size, as if made to fill the disk; "
                                 "where that is meant, --max-size says how much is accepted",
                                 stream->what, RATIO_MAX);
        return 0;
}

int stream_read(struct stream *stream, const void **data, size_t *length, struct error *err)
{
        *length = 0;
        while (!stream->ended && !*length) {
                la_int64_t offset;
                int r = archive_read_data_block(stream->archive, data, length, &offset);
                if (r == ARCHIVE_EOF) {
                        stream->ended = true;
                        *length = 0;
                } else if (r != ARCHIVE_OK) {
                        return archive_failure(stream, stream->archive, "cannot be decompressed", err);
                }
        }
        digester_add(&stream->output, *data, *length);
        int r = check_limits(stream, err);
        if (!r && stream->copy && !stream->copy_input && *length)
                r = blob_write(stream->copy, *data, *length, err);
        return r;
}

int stream_finish(struct stream *stream, struct digest *input, struct digest *output, struct error *err)
{
        const void *data;
        size_t length = 1;
        while (length) {
                int r = stream_read(stream, &data, &length, err);
                if (r < 0)
                        return r;
        }
        /* What follows the compressed data belongs to the file all the same. */
        do {
                int r = take_input(stream, &length);
                if (r < 0)
                        return error_set(err, r, "%s", stream->err.text);
        } while (length);
        if (input)
                digester_finish(&stream->input, input);
        if (output)
                digester_finish(&stream->output, output);
        return 0;
}

uint64_t stream_length(const struct stream *stream)
{
        return stream->output.length;
}

static la_ssize_t read_tar(struct archive *tar, void *context, const void **data)
{
        struct stream *stream = context;
        size_t length;
        int r = stream_read(stream, data, &length, &stream->err);
        if (r < 0) {
                archive_set_error(tar, -r, "%s", stream->err.text);
                return -1;
        }
        return (la_ssize_t)length;
}

int tar_open(struct stream *stream, struct archive **tar, struct error *err)
{
        _cleanup_archive_ struct archive *archive = archive_read_new();
        if (!archive)
                return error_memory(err);
        if (archive_read_support_format_tar(archive) != ARCHIVE_OK ||
            archive_read_support_format_empty(archive) != ARCHIVE_OK ||
            archive_read_open(archive, stream, NULL, read_tar, NULL) != ARCHIVE_OK) {
                if (stream->err.code)
                        return error_set(err, stream->err.code, "%s", stream->err.text);
                return error_set(err, -EBADMSG, "%s is not a tar archive", stream->what);
        }
        *tar = TAKE_PTR(archive);
        return 0;
}

int tar_error(struct stream *stream, struct archive *tar, const char *entry, struct error *err)
{
        if (stream->err.code)
                return error_set(err, stream->err.code, "%s", stream->err.text);
        const char *reason = archive_error_string(tar);
        return error_set(err, -EBADMSG, "%s%s%s: %s", stream->what, entry ? ": after the entry " : "",
                         entry ? entry : "", reason ? reason : "damaged tar archive");
}
