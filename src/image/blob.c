/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "image/blob.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/file.h"
#include "base/json.h"
#include "base/test_point.h"
#include "image/layout.h"

int blob_create(struct adding *adding, struct blob_writer *writer, struct error *err)
{
        *writer = (struct blob_writer){ .adding = adding, .fd = -1 };
        snprintf(writer->name, sizeof(writer->name), "blob-%u", adding->serial++);
        writer->fd = openat(adding->folder, writer->name, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
        if (writer->fd < 0)
                return error_errno(err, "cannot create a blob in the image store");
        digester_start(&writer->digester);
        return 0;
}

int blob_write(struct blob_writer *writer, const void *data, size_t length, struct error *err)
{
        digester_add(&writer->digester, data, length);
        int r = write_all(writer->fd, data, length);
        return r < 0 ? error_code(err, r, "cannot write a blob to the image store") : 0;
}

void blob_abandon(struct blob_writer *writer)
{
        if (writer->fd < 0)
                return;
        close(TAKE_FD(writer->fd));
        unlinkat(writer->adding->folder, writer->name, 0);
}

int blob_seal(struct blob_writer *writer, struct blob_file *file, struct error *err)
{
        memcpy(file->name, writer->name, sizeof(file->name));
        file->size = writer->digester.length;
        digester_finish(&writer->digester, &file->digest);
        /* Some file systems (NFS) tell only here that there is no room. */
        if (close(TAKE_FD(writer->fd)) < 0) {
                error_errno(err, "cannot write a blob to the image store");
                unlinkat(writer->adding->folder, writer->name, 0);
                return err ? err->code : -EIO;
        }
        return 0;
}

int blob_keep(struct adding *adding, const struct blob_file *file, struct error *err)
{
        _cleanup_close_ int fd = openat(adding->folder, file->name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
        if (fd < 0 && errno == ENOENT && !faccessat(adding->store->blobs, digest_hex(&file->digest), F_OK, 0))
                return 0;
        if (fd < 0 || fsync(fd) < 0)
                return error_errno(err, "cannot write a blob to the image store");
        test_point("image.blob.written");
        if (renameat(adding->folder, file->name, adding->store->blobs, digest_hex(&file->digest)) < 0)
                return error_errno(err, "cannot give blob %s its name", file->digest.text);
        test_point("image.blob.renamed");
        return 0;
}

int blob_finish(struct blob_writer *writer, const struct digest *expected, struct digest *digest, struct error *err)
{
        struct blob_file file;
        int r = blob_seal(writer, &file, err);
        if (r < 0)
                return r;
        if (expected && !digest_equal(expected, &file.digest))
                r = error_set(err, -EBADMSG, "the content of blob %s is damaged: its digest is %s", expected->text,
                              file.digest.text);
        else
                r = blob_keep(writer->adding, &file, err);
        if (r < 0)
                unlinkat(writer->adding->folder, file.name, 0);
        else
                *digest = file.digest;
        return r;
}

int blob_store(struct adding *adding, const void *data, size_t length, struct digest *digest, struct error *err)
{
        struct blob_writer writer;
        int r = blob_create(adding, &writer, err);
        if (r < 0)
                return r;
        r = blob_write(&writer, data, length, err);
        if (!r)
                r = blob_finish(&writer, NULL, digest, err);
        blob_abandon(&writer);
        return r;
}

int blob_open(struct store *store, const struct digest *digest, uint64_t size, struct error *err)
{
        _cleanup_close_ int fd = openat(store->blobs, digest_hex(digest), O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NOCTTY);
        if (fd < 0 && errno == ENOENT)
                return error_set(err, -ENOENT, "blob %s is missing from the image store in %s; load its image again",
                                 digest->text, store->path);
        struct stat st;
        if (fd < 0 || fstat(fd, &st) < 0)
                return error_errno(err, "cannot open blob %s of the image store in %s", digest->text, store->path);
        if (!S_ISREG(st.st_mode))
                return error_set(err, -EBADMSG, "blob %s of the image store in %s is not a file", digest->text,
                                 store->path);
        if (size != BLOB_SIZE_UNKNOWN && (uint64_t)st.st_size != size)
                return error_set(err, -EBADMSG,
                                 "blob %s is %lld bytes, but what refers to it says %" PRIu64 "; load its image again",
                                 digest->text, (long long)st.st_size, size);
        return TAKE_FD(fd);
}

int blob_read(struct store *store, const struct digest *digest, uint64_t size, const char *what, size_t limit,
              char **data, size_t *length, struct error *err)
{
        _cleanup_close_ int fd = blob_open(store, digest, size, err);
        if (fd < 0)
                return err ? error_prefix(err, "%s", what) : fd;
        _cleanup_free_ char *bytes = NULL;
        int r = file_read_fd(fd, what, limit, &bytes, length, err);
        if (r < 0)
                return r;
        struct digest found;
        digest_bytes(bytes, *length, &found);
        if (!digest_equal(&found, digest))
                return error_set(err, -EBADMSG, "%s: the content of blob %s is damaged; load its image again", what,
                                 digest->text);
        *data = TAKE_PTR(bytes);
        return 0;
}

int blob_read_json(struct store *store, const struct digest *digest, uint64_t size, const char *what, json_t **document,
                   struct error *err)
{
        _cleanup_free_ char *data = NULL;
        size_t length;
        int r = blob_read(store, digest, size, what, JSON_BYTES_MAX, &data, &length, err);
        return r < 0 ? r : json_parse(data, length, what, document, err);
}
