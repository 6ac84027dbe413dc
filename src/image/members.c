/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "image/members.h"

#include <archive_entry.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/file.h"
#include "base/json.h"
#include "base/text.h"
#include "image/layer_root.h"

#define MEMBERS_MAX 100000
#define LINKS_MAX   8

struct members {
        struct adding *adding;
        const char *what;
        int folder;    /* -1: an archive */
        json_t *files; /* name: [file name, digest, size], or the name that a link leads to */
};

static int remember(struct members *members, const char *name, const struct blob_file *file, struct error *err)
{
        json_t *value = json_pack("[s, s, I]", file->name, file->digest.text, (json_int_t)file->size);
        return json_object_set_new(members->files, name, value) < 0 ? error_memory(err) : 0;
}

static int take_file(struct members *members, struct stream *stream, struct archive *tar, const char *name,
                     struct error *err)
{
        struct blob_writer writer;
        struct blob_file file;
        int r = blob_create(members->adding, &writer, err);
        while (!r) {
                char buffer[65536];
                la_ssize_t n = archive_read_data(tar, buffer, sizeof(buffer));
                if (n == 0)
                        break;
                r = n < 0 ? tar_error(stream, tar, name, err) : blob_write(&writer, buffer, (size_t)n, err);
        }
        if (!r)
                r = blob_seal(&writer, &file, err);
        blob_abandon(&writer);
        return r < 0 ? r : remember(members, name, &file, err);
}

/* docker's older archives say with links that two images have the same layer. */
static int take_link(struct members *members, const char *name, struct archive_entry *entry, struct error *err)
{
        const char *hard = archive_entry_hardlink(entry), *soft = archive_entry_symlink(entry);
        const char *slash = strrchr(name, '/');
        _cleanup_free_ char *joined = NULL;
        char target[PATH_MAX];
        if (hard)
                joined = strdup(hard);
        else if (soft && text_starts(soft, "../") && slash)
                /* "<id>/layer.tar" to "../<other id>/layer.tar": the only form there is */
                joined = strdup(soft + 3);
        else if (soft)
                joined = text_format("%.*s%s", slash ? (int)(slash - name) + 1 : 0, name, soft);
        if (!joined)
                return error_memory(err);
        int r = layer_name(joined, false, target, err);
        if (r < 0)
                return r;
        return json_object_set_new(members->files, name, json_string(target)) < 0 ? error_memory(err) : 0;
}

static int take_entry(struct members *members, struct stream *stream, struct archive *tar, struct archive_entry *entry,
                      struct error *err)
{
        const char *written = archive_entry_pathname(entry);
        char name[PATH_MAX];
        if (!written)
                return error_set(err, -EINVAL, "an entry's name cannot be read");
        int r = layer_name(written, false, name, err);
        if (r < 0)
                return err ? error_prefix(err, "entry \"%.200s\"", written) : r;
        if (archive_entry_hardlink(entry) || archive_entry_filetype(entry) == AE_IFLNK)
                return take_link(members, name, entry, err);
        if (archive_entry_filetype(entry) != AE_IFREG)
                return 0;
        if (json_object_size(members->files) >= MEMBERS_MAX)
                return error_set(err, -E2BIG, "it has more than %d files", MEMBERS_MAX);
        return take_file(members, stream, tar, name, err);
}

static int take_archive(struct members *members, struct stream *stream, struct error *err)
{
        _cleanup_archive_ struct archive *tar = NULL;
        int r = tar_open(stream, &tar, err);
        for (unsigned count = 0; !r; count++) {
                struct archive_entry *entry;
                int next = archive_read_next_header(tar, &entry);
                if (next == ARCHIVE_EOF)
                        break;
                if (next != ARCHIVE_OK && next != ARCHIVE_WARN)
                        return tar_error(stream, tar, NULL, err);
                r = take_entry(members, stream, tar, entry, err);
        }
        return r < 0 ? r : stream_finish(stream, NULL, NULL, err);
}

int members_open(struct adding *adding, int fd, const char *what, const struct stream_limits *limits,
                 struct members **members, struct error *err)
{
        _cleanup_members_ struct members *made = calloc(1, sizeof(*made));
        if (!made || !(made->files = json_object()))
                return error_memory(err);
        made->adding = adding;
        made->what = what;
        made->folder = -1;
        struct stat st;
        if (fstat(fd, &st) < 0)
                return error_errno(err, "cannot look at %s", what);
        if (S_ISDIR(st.st_mode)) {
                made->folder = fd;
        } else {
                _cleanup_stream_ struct stream *stream = NULL;
                int r = stream_open(fd, what, limits, NULL, &stream, err);
                if (!r)
                        r = take_archive(made, stream, err);
                if (r < 0)
                        return r;
        }
        *members = TAKE_PTR(made);
        return 0;
}

void members_free(struct members *members)
{
        if (!members)
                return;
        json_decref(members->files);
        free(members);
}

static int copy_file(struct members *members, const char *name, struct error *err)
{
        _cleanup_close_ int fd = open_in_root(members->folder, name, O_RDONLY | O_NONBLOCK, 0, err);
        struct stat st;
        if (fd < 0)
                return fd;
        if (fstat(fd, &st) < 0 || !S_ISREG(st.st_mode))
                return error_set(err, -EINVAL, "%s is not a file", name);
        struct blob_writer writer;
        struct blob_file file;
        int r = blob_create(members->adding, &writer, err);
        while (!r) {
                char buffer[65536];
                ssize_t n = read(fd, buffer, sizeof(buffer));
                if (n == 0)
                        break;
                r = n < 0 ? error_errno(err, "cannot read %s", name) : blob_write(&writer, buffer, (size_t)n, err);
        }
        if (!r)
                r = blob_seal(&writer, &file, err);
        blob_abandon(&writer);
        return r < 0 ? r : remember(members, name, &file, err);
}

static int missing(struct members *members, const char *name, struct error *err)
{
        return error_set(err, -ENOENT, "%s has no %.200s", members->what, name);
}

int members_get(struct members *members, const char *name, struct blob_file *file, struct error *err)
{
        if (members->folder >= 0 && !json_object_get(members->files, name)) {
                int r = copy_file(members, name, err);
                if (r < 0)
                        return r == -ENOENT ? missing(members, name, err) : r;
        }
        const json_t *value = json_object_get(members->files, name);
        for (unsigned links = 0; json_is_string(value) && links < LINKS_MAX; links++)
                value = json_object_get(members->files, json_string_value(value));
        if (!json_is_array(value))
                return missing(members, name, err);
        snprintf(file->name, sizeof(file->name), "%s", json_string_value(json_array_get(value, 0)));
        file->size = (uint64_t)json_integer_value(json_array_get(value, 2));
        return digest_parse(json_string_value(json_array_get(value, 1)), &file->digest, err);
}

int members_get_json(struct members *members, const char *name, json_t **document, struct error *err)
{
        struct blob_file file;
        int r = members_get(members, name, &file, err);
        if (r < 0)
                return r;
        _cleanup_free_ char *data = NULL;
        size_t length;
        _cleanup_close_ int fd = openat(members->adding->folder, file.name, O_RDONLY | O_CLOEXEC);
        if (fd < 0) /* it was kept meanwhile */
                fd = blob_open(members->adding->store, &file.digest, file.size, err);
        r = fd < 0 ? fd : file_read_fd(fd, name, JSON_BYTES_MAX, &data, &length, err);
        return r < 0 ? r : json_parse(data, length, name, document, err);
}

int members_get_blob(struct members *members, const struct digest *digest, uint64_t size, struct blob_file *file,
                     struct error *err)
{
        char name[sizeof("blobs/sha256/") + DIGEST_HEX_LENGTH];
        snprintf(name, sizeof(name), "blobs/sha256/%s", digest_hex(digest));
        int r = members_get(members, name, file, err);
        if (r < 0)
                return r;
        if (file->size != size)
                return error_set(err, -EBADMSG, "%s: blob %s is %" PRIu64 " bytes, but what refers to it says %" PRIu64,
                                 members->what, digest->text, file->size, size);
        if (!digest_equal(&file->digest, digest))
                return error_set(err, -EBADMSG, "%s: the content of blob %s is damaged: its digest is %s",
                                 members->what, digest->text, file->digest.text);
        return 0;
}
