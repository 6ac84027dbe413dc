/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "hosted/disk_image.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/text.h"
#include "hosted/qcow2.h"

/* Images one behind the other. */
#define DEPTH_MAX 32

/* ---- Reading through the chain ---- */

static int map_layer(struct disk_image *image, uint64_t offset, uint64_t length, struct qcow2_extent *extent)
{
        *extent = (struct qcow2_extent){ .kind = QCOW2_ZERO, .length = length };
        if (offset >= image->size)
                return 0;
        if (length > image->size - offset)
                length = image->size - offset;
        if (image->qcow2)
                return qcow2_map(image->qcow2, offset, length, extent);
        *extent = (struct qcow2_extent){ .kind = QCOW2_DATA, .host = offset, .length = length };
        return 0;
}

/* The first image that has the bytes, and how it has them; NULL: none, they are zeroes. */
static int find_layer(struct disk_image *image, uint64_t offset, uint64_t length, struct disk_image **layer,
                      struct qcow2_extent *extent)
{
        extent->kind = QCOW2_BELOW;
        extent->length = length;
        for (*layer = image; *layer; *layer = (*layer)->backing) {
                int r = map_layer(*layer, offset, extent->length, extent);
                if (r < 0 || extent->kind != QCOW2_BELOW)
                        return r;
        }
        return 0;
}

static int read_extent(struct disk_image *layer, const struct qcow2_extent *extent, uint64_t offset,
                       struct iovec *vector, unsigned count)
{
        if (!layer || extent->kind == QCOW2_ZERO) {
                vector_fill(vector, count, 0);
                return 0;
        }
        if (extent->kind == QCOW2_COMPRESSED)
                return qcow2_read_compressed(layer->qcow2, extent, offset, vector, count);
        uint64_t size = layer->storage.size;
        if (extent->host + extent->length <= size)
                return disk_storage_readv(&layer->storage, vector, count, extent->host);
        /* The last cluster of an image need not be there wholly. */
        uint64_t there = extent->host < size ? size - extent->host : 0;
        struct iovec part[STORAGE_PARTS_MAX];
        vector_fill(part, vector_slice(vector, count, there, extent->length, part), 0);
        unsigned parts = vector_slice(vector, count, 0, there, part);
        return parts ? disk_storage_readv(&layer->storage, part, parts, extent->host) : 0;
}

static int read_chain(struct disk_image *image, const struct iovec *vector, unsigned count, uint64_t offset)
{
        uint64_t length = vector_length(vector, count);
        struct iovec slice[STORAGE_PARTS_MAX];
        for (uint64_t done = 0; done < length;) {
                struct qcow2_extent extent;
                struct disk_image *layer;
                int r = find_layer(image, offset + done, length - done, &layer, &extent);
                if (!r)
                        r = read_extent(layer, &extent, offset + done, slice,
                                        vector_slice(vector, count, done, extent.length, slice));
                if (r < 0)
                        return r;
                done += extent.length;
        }
        return 0;
}

static int read_below(void *owner, void *bytes, size_t length, uint64_t offset)
{
        struct disk_image *image = owner;
        return read_chain(image->backing, &(struct iovec){ bytes, length }, 1, offset);
}

/* ---- Requests ---- */

static unsigned vector_of(const struct block_request *request, struct iovec *vector)
{
        for (unsigned i = 0; i < request->part_count; i++)
                vector[i] = (struct iovec){ request->parts[i].host, request->parts[i].length };
        return request->part_count;
}

static int run_read(struct disk_image *image, const struct block_request *request)
{
        struct iovec vector[STORAGE_PARTS_MAX];
        unsigned count = vector_of(request, vector);
        if (image->qcow2)
                qcow2_hold(image->qcow2);
        int r = read_chain(image, vector, count, request->offset);
        if (image->qcow2)
                qcow2_release(image->qcow2);
        return r;
}

static int run_flush(struct disk_image *image, const struct block_request *request)
{
        (void)request;
        return image->qcow2 ? qcow2_flush(image->qcow2) : disk_storage_sync(&image->storage);
}

/*
 * A raw disk that was not said to be one must not become something else for whoever looks at it next. Its first sector
 * is copied before it is looked at: the guest can change its buffer meanwhile.
 */
static int write_start(struct disk_image *image, const struct block_request *request, const struct iovec *vector,
                       unsigned count)
{
        uint8_t start[VIRTIO_BLOCK_SECTOR];
        struct iovec slice[STORAGE_PARTS_MAX];
        size_t length = 0;
        unsigned parts = vector_slice(vector, count, 0, sizeof(start), slice);
        for (unsigned i = 0; i < parts; length += slice[i++].iov_len)
                memcpy(start + length, slice[i].iov_base, slice[i].iov_len);
        if (qcow2_recognise(start, length))
                return -EPERM;
        int r = disk_storage_writev(&image->storage, &(struct iovec){ start, length }, 1, 0, request->durable);
        parts = vector_slice(vector, count, length, UINT64_MAX, slice);
        return r || !parts ? r : disk_storage_writev(&image->storage, slice, parts, length, request->durable);
}

static int run_write(struct disk_image *image, const struct block_request *request)
{
        struct iovec vector[STORAGE_PARTS_MAX];
        unsigned count = vector_of(request, vector);
        if (image->probed && !image->qcow2 && !request->offset)
                return write_start(image, request, vector, count);
        if (!image->qcow2)
                return disk_storage_writev(&image->storage, vector, count, request->offset, request->durable);
        int r = qcow2_write(image->qcow2, vector, count, request->offset);
        return !r && request->durable ? qcow2_flush(image->qcow2) : r;
}

static int run_discard(struct disk_image *image, const struct block_request *request)
{
        return image->qcow2 ? qcow2_discard(image->qcow2, request->offset, request->length)
                            : disk_storage_zero(&image->storage, request->offset, request->length, STORAGE_DISCARD);
}

static int run_zeroes(struct disk_image *image, const struct block_request *request)
{
        int r = image->qcow2 ? qcow2_zero(image->qcow2, request->offset, request->length, request->may_unmap)
                             : disk_storage_zero(&image->storage, request->offset, request->length,
                                                 request->may_unmap ? STORAGE_ZERO_DISCARD : STORAGE_ZERO);
        return !r && request->durable ? run_flush(image, request) : r;
}

int disk_image_run(struct disk_image *image, const struct block_request *request)
{
        static int (*const operations[])(struct disk_image *, const struct block_request *) = {
                [BLOCK_READ] = run_read,       [BLOCK_WRITE] = run_write,         [BLOCK_FLUSH] = run_flush,
                [BLOCK_DISCARD] = run_discard, [BLOCK_WRITE_ZEROES] = run_zeroes,
        };
        return operations[request->operation](image, request);
}

/* ---- Opening ---- */

int disk_format_parse(const char *name, enum disk_format *format)
{
        if (!strcmp(name, "raw"))
                *format = DISK_FORMAT_RAW;
        else if (!strcmp(name, "qcow2"))
                *format = DISK_FORMAT_QCOW2;
        else
                return -EINVAL;
        return 0;
}

static int open_format(struct disk_image *image, const char *path, enum disk_format format, bool read_only,
                       struct error *err)
{
        uint8_t start[4];
        image->probed = format == DISK_FORMAT_PROBED;
        if (image->probed) {
                format = DISK_FORMAT_RAW;
                if (image->storage.size >= sizeof(start)) {
                        int r = disk_storage_read(&image->storage, start, sizeof(start), 0);
                        if (r < 0)
                                return error_code(err, r, "cannot read disk %s", path);
                        if (qcow2_recognise(start, sizeof(start)))
                                format = DISK_FORMAT_QCOW2;
                }
        }
        image->size = image->storage.size;
        if (format == DISK_FORMAT_RAW)
                return 0;
        int r = qcow2_open(&image->storage, path, read_only, &image->qcow2, err);
        if (!r)
                image->size = qcow2_size(image->qcow2);
        return r;
}

/* The folder (or file) that images behind the first may be in, without links. */
static char *allowed_place(const struct disk_image_settings *settings, struct error *err)
{
        _cleanup_free_ char *folder = strdup(settings->backing ? settings->backing : settings->path);
        if (!folder) {
                error_memory(err);
                return NULL;
        }
        char *slash = settings->backing ? NULL : strrchr(folder, '/');
        if (slash)
                slash[slash == folder] = '\0';
        char *place = realpath(settings->backing || slash ? folder : ".", NULL);
        if (!place)
                error_errno(err, "cannot find %s, where the images behind disk %s may be", folder, settings->path);
        return place;
}

/* Where an image's header says that the one behind it is; relative names start at the image. */
static char *backing_path(const char *image, const char *name, struct error *err)
{
        const char *slash = strrchr(image, '/');
        _cleanup_free_ char *joined =
                *name == '/' || !slash ? strdup(name) : text_format("%.*s/%s", (int)(slash - image), image, name);
        char *path = joined ? realpath(joined, NULL) : NULL;
        if (!path)
                error_errno(err, "cannot find %s, which is behind disk %s", name, image);
        return path;
}

static int open_backing_storage(struct disk_storage *storage, const char *path, const char *place, struct error *err)
{
        size_t length = strlen(place);
        if (!strcmp(path, place))
                return disk_storage_open(storage, AT_FDCWD, path, true, false, err);
        bool inside = !strcmp(place, "/") || (text_starts(path, place) && path[length] == '/');
        if (!inside)
                return error_set(err, -EACCES, "%s is outside of %s; backing=FOLDER allows another folder", path,
                                 place);
        _cleanup_close_ int dir = open(place, O_PATH | O_DIRECTORY | O_CLOEXEC);
        if (dir < 0)
                return error_errno(err, "cannot open %s", place);
        path += length;
        return disk_storage_open(storage, dir, path + strspn(path, "/"), true, true, err);
}

static int open_behind(struct disk_image *top, struct disk_image *image, const char *path, const char *place,
                       char **backing_name, struct error *err)
{
        const char *name = qcow2_backing_file(image->qcow2), *format_name = qcow2_backing_format(image->qcow2);
        enum disk_format format;
        if (!format_name || disk_format_parse(format_name, &format) < 0)
                return error_set(err, -ENOTSUP,
                                 "disk %s does not say that the format of its backing file is raw or "
                                 "qcow2; `qemu-img rebase -u -b FILE -F FORMAT` writes it down",
                                 path);
        _cleanup_free_ char *found = backing_path(path, name, err);
        if (!found)
                return -ENOENT;
        struct disk_image *behind = calloc(1, sizeof(*behind));
        if (!behind)
                return error_memory(err);
        behind->storage.fd = -1;
        image->backing = behind; /* closed with it, however this ends */
        int r = open_backing_storage(&behind->storage, found, place, err);
        for (const struct disk_image *other = top; !r && other != behind; other = other->backing)
                if (disk_storage_same(&other->storage, &behind->storage))
                        r = error_set(err, -ELOOP, "%s is behind itself", found);
        if (!r)
                r = open_format(behind, found, format, true, err);
        if (r < 0)
                return error_prefix(err, "disk %s", path);
        qcow2_set_below(image->qcow2, read_below, image);
        *backing_name = TAKE_PTR(found);
        return 0;
}

static int open_chain(struct disk_image *top, const struct disk_image_settings *settings, struct error *err)
{
        _cleanup_free_ char *path = strdup(settings->path), *place = NULL;
        if (!path)
                return error_memory(err);
        struct disk_image *image = top;
        for (unsigned depth = 0; image->qcow2 && qcow2_backing_file(image->qcow2); depth++) {
                char *next = NULL;
                if (!place && !(place = allowed_place(settings, err)))
                        return -ENOENT;
                int r = depth == DEPTH_MAX ? error_set(err, -ELOOP, "disk %s has more than %d images behind it",
                                                       settings->path, DEPTH_MAX)
                                           : open_behind(top, image, path, place, &next, err);
                if (r < 0)
                        return r;
                free(path);
                path = next;
                image = image->backing;
        }
        return 0;
}

int disk_image_close(struct disk_image *image)
{
        int r = 0;
        for (struct disk_image *backing; image; image = backing) {
                int closed = image->qcow2 ? qcow2_close(image->qcow2) : 0;
                if (!r)
                        r = closed;
                disk_storage_close(&image->storage);
                backing = image->backing;
                free(image);
        }
        return r;
}

static void drop(struct disk_image *image)
{
        (void)disk_image_close(image);
}

DEFINE_CLEANUP(image, struct disk_image, drop)

int disk_image_open(const struct disk_image_settings *settings, struct disk_image **result, struct error *err)
{
        _cleanup_(image) struct disk_image *image = calloc(1, sizeof(*image));
        if (!image)
                return error_memory(err);
        image->storage.fd = -1;
        int r = disk_storage_open(&image->storage, AT_FDCWD, settings->path, settings->read_only, false, err);
        if (!r)
                r = open_format(image, settings->path, settings->format, settings->read_only, err);
        if (!r && (!image->size || image->size % VIRTIO_BLOCK_SECTOR))
                r = error_set(err, -EINVAL, "disk %s is not a whole number of sectors of %d bytes", settings->path,
                              VIRTIO_BLOCK_SECTOR);
        if (!r)
                r = open_chain(image, settings, err);
        if (r < 0)
                return r;
        *result = TAKE_PTR(image);
        return 0;
}
