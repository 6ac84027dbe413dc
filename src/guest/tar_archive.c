/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "guest/tar_archive.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/text.h"

#define EXTENSION_MAX (64 * 1024) /* of a pax header, or a long name */
#define HEADERS_MAX   8           /* that extend one member */

/* POSIX.1-2017, pax, "ustar Header Block". */
struct header {
        char name[100], mode[8], uid[8], gid[8], size[12], time[12], checksum[8], kind, link[100];
        char magic[6], version[2], owner[32], group[32], major[8], minor[8], prefix[155], pad[12];
};
_Static_assert(sizeof(struct header) == TAR_BLOCK, "a header is a block");

enum {
        KIND_PAX = 'x',
        KIND_PAX_GLOBAL = 'g',
        KIND_GNU_NAME = 'L', /* GNU tar, tar.h: GNUTYPE_LONGNAME, GNUTYPE_LONGLINK */
        KIND_GNU_LINK = 'K',
};

/* What extended headers said of the member that follows them. */
struct extension {
        char *name, *link;
        bool has_size, has_uid, has_gid, has_time;
        uint64_t size, uid, gid;
        int64_t time;
};

/* ---- Reading ---- */

/* Octal digits, or a big-endian number with the first bit set (GNU tar). */
static int number(const char *field, size_t length, uint64_t *value)
{
        *value = 0;
        if (field[0] & 0x80) {
                for (size_t i = 1; i < length; i++) {
                        if (*value >> 55)
                                return -EBADMSG;
                        *value = *value << 8 | (uint8_t)field[i];
                }
                return (uint8_t)field[0] == 0x80 ? 0 : -EBADMSG;
        }
        size_t i = 0;
        while (i < length && field[i] == ' ')
                i++;
        for (; i < length && field[i] >= '0' && field[i] <= '7'; i++)
                *value = *value << 3 | (unsigned)(field[i] - '0');
        return i == length || !field[i] || field[i] == ' ' ? 0 : -EBADMSG;
}
#define NUMBER(header, field, value) number((header)->field, sizeof((header)->field), value)

static bool has_checksum(const struct header *header)
{
        const uint8_t *bytes = (const uint8_t *)header;
        uint64_t sum = 0, wanted;
        for (size_t i = 0; i < sizeof(*header); i++)
                sum += i >= offsetof(struct header, checksum) && i < offsetof(struct header, kind) ? ' ' : bytes[i];
        return !NUMBER(header, checksum, &wanted) && sum == wanted;
}

/* The content of a header that extends another; the caller frees it. */
static int read_extension(const struct tar_stream *stream, const struct header *header, char **text, size_t *length)
{
        uint64_t size;
        char rest[TAR_BLOCK];
        if (NUMBER(header, size, &size) < 0 || size > EXTENSION_MAX)
                return -EBADMSG;
        _cleanup_free_ char *data = calloc(1, size + 1);
        if (!data)
                return -ENOMEM;
        int r = stream->read(stream->owner, data, size);
        if (!r)
                r = stream->read(stream->owner, rest, tar_padding(size));
        if (r < 0)
                return r;
        *length = size;
        *text = TAKE_PTR(data);
        return 0;
}

static int keep(char **target, const char *value)
{
        free(*target);
        *target = strdup(value);
        return *target ? 0 : -ENOMEM;
}

static int take_record(struct extension *extension, const char *key, const char *value)
{
        char *end;
        if (!strcmp(key, "path"))
                return keep(&extension->name, value);
        if (!strcmp(key, "linkpath"))
                return keep(&extension->link, value);
        if (text_starts(key, "GNU.sparse"))
                return -EOPNOTSUPP;
        if (!strcmp(key, "size"))
                return (extension->has_size = true), parse_u64(value, &extension->size);
        if (!strcmp(key, "uid"))
                return (extension->has_uid = true), parse_u64(value, &extension->uid);
        if (!strcmp(key, "gid"))
                return (extension->has_gid = true), parse_u64(value, &extension->gid);
        if (!strcmp(key, "mtime")) {
                extension->has_time = true;
                extension->time = strtoll(value, &end, 10); /* a fraction may follow */
        }
        return 0;
}

/* Records "<length> <key>=<value>\n", the length counting all of it. */
static int take_records(struct extension *extension, char *text, size_t length)
{
        while (length) {
                char *end;
                unsigned long size = strtoul(text, &end, 10);
                if (end == text || *end != ' ' || size > length || size < (size_t)(end - text) + 3 ||
                    text[size - 1] != '\n')
                        return -EBADMSG;
                text[size - 1] = 0;
                char *value = strchr(end, '=');
                if (!value)
                        return -EBADMSG;
                *value = 0;
                int r = take_record(extension, end + 1, value + 1);
                if (r < 0)
                        return r;
                text += size;
                length -= size;
        }
        return 0;
}

static int take_extension(const struct tar_stream *stream, const struct header *header, struct extension *extension)
{
        _cleanup_free_ char *text = NULL;
        size_t length;
        int r = read_extension(stream, header, &text, &length);
        if (r < 0 || header->kind == KIND_PAX_GLOBAL)
                return r;
        if (header->kind == KIND_PAX)
                return take_records(extension, text, length);
        return keep(header->kind == KIND_GNU_NAME ? &extension->name : &extension->link, text);
}

static int take_names(const struct header *header, const struct extension *extension, struct tar_member *member)
{
        bool prefixed = !memcmp(header->magic, "ustar", sizeof(header->magic)) && *header->prefix;
        if ((extension->name && strlen(extension->name) > TAR_NAME_MAX) ||
            (extension->link && strlen(extension->link) > TAR_NAME_MAX))
                return -ENAMETOOLONG;
        if (extension->name)
                TEXT_COPY(member->name, extension->name);
        else
                snprintf(member->name, sizeof(member->name), "%.155s%s%.100s", prefixed ? header->prefix : "",
                         prefixed ? "/" : "", header->name);
        if (extension->link)
                TEXT_COPY(member->link, extension->link);
        else
                snprintf(member->link, sizeof(member->link), "%.100s", header->link);
        return 0;
}

static int take_numbers(const struct header *header, const struct extension *extension, struct tar_member *member)
{
        uint64_t mode, uid, gid, size, time, major, minor;
        if (NUMBER(header, mode, &mode) < 0 || NUMBER(header, uid, &uid) < 0 || NUMBER(header, gid, &gid) < 0 ||
            NUMBER(header, size, &size) < 0 || NUMBER(header, time, &time) < 0 || NUMBER(header, major, &major) < 0 ||
            NUMBER(header, minor, &minor) < 0)
                return -EBADMSG;
        uid = extension->has_uid ? extension->uid : uid;
        gid = extension->has_gid ? extension->gid : gid;
        if (uid > UINT32_MAX || gid > UINT32_MAX || major > UINT32_MAX || minor > UINT32_MAX || time > INT64_MAX)
                return -ERANGE;
        member->mode = (unsigned)mode & 07777;
        member->uid = (unsigned)uid;
        member->gid = (unsigned)gid;
        member->major = (unsigned)major;
        member->minor = (unsigned)minor;
        member->time = extension->has_time ? extension->time : (int64_t)time;
        member->size = extension->has_size ? extension->size : size;
        return 0;
}

static int take_member(const struct header *header, const struct extension *extension, struct tar_member *member)
{
        char kind = header->kind ? header->kind : TAR_FILE; /* as it was before POSIX */
        if (kind == '7')
                kind = TAR_FILE; /* "contiguous": the same to us */
        if (kind < TAR_FILE || kind > TAR_FIFO)
                return -EOPNOTSUPP;
        int r = take_names(header, extension, member);
        if (!r)
                r = take_numbers(header, extension, member);
        if (r < 0)
                return r;
        member->kind = (enum tar_kind)kind;
        if (kind == TAR_FILE && text_ends(member->name, "/"))
                member->kind = TAR_FOLDER;
        if (member->kind != TAR_FILE)
                member->size = 0;
        return *member->name ? 1 : -EBADMSG;
}

static int read_member(const struct tar_stream *stream, struct tar_member *member, struct extension *extension)
{
        static const struct header zeros;
        for (unsigned i = 0; i < HEADERS_MAX; i++) {
                struct header header;
                int r = stream->read(stream->owner, &header, sizeof(header));
                if (r < 0)
                        return r;
                if (!memcmp(&header, &zeros, sizeof(header)))
                        return 0;
                if (!has_checksum(&header))
                        return -EBADMSG;
                if (!strchr("xgLK", header.kind ? header.kind : '0'))
                        return take_member(&header, extension, member);
                r = take_extension(stream, &header, extension);
                if (r < 0)
                        return r;
        }
        return -EBADMSG;
}

int tar_read_header(const struct tar_stream *stream, struct tar_member *member, struct error *err)
{
        struct extension extension = { 0 };
        int r = read_member(stream, member, &extension);
        free(extension.name);
        free(extension.link);
        if (r == -EBADMSG)
                return error_set(err, r, "what was sent is no tar archive");
        if (r == -EOPNOTSUPP)
                return error_set(err, r, "the tar archive has a member of a kind that is not known here");
        return r < 0 ? error_code(err, r, "cannot read the tar archive") : r;
}

/* ---- Writing ---- */

static void put_octal(char *field, size_t length, uint64_t value)
{
        char digits[32];
        snprintf(digits, sizeof(digits), "%0*llo", (int)length - 1, (unsigned long long)value);
        memcpy(field, digits, length - 1);
}
#define PUT_OCTAL(header, field, value) put_octal((header)->field, sizeof((header)->field), value)

#define OCTAL_MAX(field) ((UINT64_C(1) << (3 * (sizeof(((struct header *)0)->field) - 1))) - 1)

static int write_block(const struct tar_stream *stream, struct header *header)
{
        unsigned sum = 0;
        memcpy(header->magic, "ustar", sizeof(header->magic));
        memcpy(header->version, "00", sizeof(header->version));
        memset(header->checksum, ' ', sizeof(header->checksum));
        for (size_t i = 0; i < sizeof(*header); i++)
                sum += ((const uint8_t *)header)[i];
        put_octal(header->checksum, 7, sum); /* six digits, a zero, a blank */
        header->checksum[6] = 0;
        return stream->write(stream->owner, header, sizeof(*header));
}

/* A record's length counts its own digits. */
static void add_record(struct text *text, const char *key, const char *value)
{
        size_t length = strlen(key) + strlen(value) + 3, digits = 1; /* blank, '=', line feed */
        for (size_t most = 10; length + digits >= most; most *= 10)
                digits++;
        text_printf(text, "%zu %s=%s\n", length + digits, key, value);
}

static void add_number(struct text *text, const char *key, uint64_t value, uint64_t most)
{
        char digits[24];
        if (value <= most)
                return;
        snprintf(digits, sizeof(digits), "%llu", (unsigned long long)value);
        add_record(text, key, digits);
}

static int write_extension(const struct tar_stream *stream, const struct text *text)
{
        static const char zeros[TAR_BLOCK];
        struct header header = { .kind = KIND_PAX };
        memcpy(header.name, "pax", 3);
        PUT_OCTAL(&header, mode, 0644);
        PUT_OCTAL(&header, uid, 0);
        PUT_OCTAL(&header, gid, 0);
        PUT_OCTAL(&header, time, 0);
        PUT_OCTAL(&header, size, text->length);
        int r = write_block(stream, &header);
        if (!r)
                r = stream->write(stream->owner, text->data, text->length);
        if (!r)
                r = stream->write(stream->owner, zeros, tar_padding(text->length));
        return r;
}

static int write_member(const struct tar_stream *stream, const struct tar_member *member)
{
        _cleanup_text_ struct text extension = { 0 };
        struct header header = { .kind = (char)member->kind };
        if (strlen(member->name) > sizeof(header.name))
                add_record(&extension, "path", member->name);
        if (strlen(member->link) > sizeof(header.link))
                add_record(&extension, "linkpath", member->link);
        add_number(&extension, "uid", member->uid, OCTAL_MAX(uid));
        add_number(&extension, "gid", member->gid, OCTAL_MAX(gid));
        add_number(&extension, "size", member->size, OCTAL_MAX(size));
        if (text_failed(&extension))
                return -ENOMEM;
        int r = extension.length ? write_extension(stream, &extension) : 0;
        if (r < 0)
                return r;
        memcpy(header.name, member->name, strnlen(member->name, sizeof(header.name)));
        memcpy(header.link, member->link, strnlen(member->link, sizeof(header.link)));
        PUT_OCTAL(&header, mode, member->mode);
        PUT_OCTAL(&header, uid, member->uid & OCTAL_MAX(uid));
        PUT_OCTAL(&header, gid, member->gid & OCTAL_MAX(gid));
        PUT_OCTAL(&header, size, member->size & OCTAL_MAX(size));
        PUT_OCTAL(&header, time, member->time < 0 ? 0 : (uint64_t)member->time & OCTAL_MAX(time));
        PUT_OCTAL(&header, major, member->major & OCTAL_MAX(major));
        PUT_OCTAL(&header, minor, member->minor & OCTAL_MAX(minor));
        return write_block(stream, &header);
}

int tar_write_header(const struct tar_stream *stream, const struct tar_member *member, struct error *err)
{
        int r = write_member(stream, member);
        return r < 0 ? error_code(err, r, "cannot write the tar archive") : 0;
}

int tar_write_end(const struct tar_stream *stream)
{
        static const char zeros[2 * TAR_BLOCK];
        return stream->write(stream->owner, zeros, sizeof(zeros));
}
