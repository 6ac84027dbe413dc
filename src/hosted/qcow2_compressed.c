/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Compressed clusters, which are read and never written: section "Compressed Clusters Descriptor".
 *
 * Few images need zstd, whose library is larger than all of us: it is loaded for those alone.
 */
#include <dlfcn.h>
#include <errno.h>
#include <stdlib.h>
#include <zlib.h>
#include <zstd.h>

#include "hosted/qcow2_private.h"

/* The stream may end before the sectors that are set aside for it do. */
static int inflate_cluster(const uint8_t *packed, size_t length, uint8_t *to, size_t room)
{
        z_stream stream = {
                .next_in = (uint8_t *)packed, .avail_in = (uInt)length, .next_out = to, .avail_out = (uInt)room
        };
        if (inflateInit2(&stream, -12) != Z_OK) /* raw, a window of 4 KiB */
                return -ENOMEM;
        int r = inflate(&stream, Z_FINISH);
        bool whole = (r == Z_STREAM_END || r == Z_BUF_ERROR) && !stream.avail_out;
        inflateEnd(&stream);
        return whole ? 0 : -EIO;
}

struct qcow2_zstd {
        void *library;
        __typeof__(&ZSTD_createDCtx) create;
        __typeof__(&ZSTD_decompressStream) decompress;
        __typeof__(&ZSTD_isError) is_error;
        __typeof__(&ZSTD_freeDCtx) release;
};

int qcow2_load_zstd(struct qcow2 *image, const char *name, struct error *err)
{
        if (!image->header.compression)
                return 0;
        struct qcow2_zstd *zstd = image->zstd = calloc(1, sizeof(*zstd));
        if (!zstd)
                return error_memory(err);
        zstd->library = dlopen("libzstd.so.1", RTLD_NOW | RTLD_LOCAL);
        if (zstd->library) {
                *(void **)&zstd->create = dlsym(zstd->library, "ZSTD_createDCtx");
                *(void **)&zstd->decompress = dlsym(zstd->library, "ZSTD_decompressStream");
                *(void **)&zstd->is_error = dlsym(zstd->library, "ZSTD_isError");
                *(void **)&zstd->release = dlsym(zstd->library, "ZSTD_freeDCtx");
        }
        return zstd->create && zstd->decompress && zstd->is_error && zstd->release
                       ? 0
                       : error_set(err, -ENOENT,
                                   "disk %s is compressed by zstd, which needs libzstd.so.1 (Debian: libzstd1)", name);
}

void qcow2_unload_zstd(struct qcow2 *image)
{
        if (image->zstd && image->zstd->library)
                dlclose(image->zstd->library);
        free(image->zstd);
}

static int zstd_cluster(const struct qcow2_zstd *zstd, const uint8_t *packed, size_t length, uint8_t *to, size_t room)
{
        ZSTD_DCtx *context = zstd->create();
        ZSTD_inBuffer in = { packed, length, 0 };
        ZSTD_outBuffer out = { to, room, 0 };
        if (!context)
                return -ENOMEM;
        size_t left;
        do
                left = zstd->decompress(context, &out, &in);
        while (!zstd->is_error(left) && left && in.pos < in.size && out.pos < out.size);
        zstd->release(context);
        return !zstd->is_error(left) && out.pos == out.size ? 0 : -EIO;
}

int qcow2_unpack(struct qcow2 *image, uint64_t entry, const uint8_t **bytes)
{
        uint64_t offset, length;
        if (image->unpacked_entry == entry) {
                *bytes = image->unpacked;
                return 0;
        }
        int r = qcow2_compressed_range(image, entry, &offset, &length);
        if (r < 0)
                return r;
        /* The last sectors of it may lie behind the end of the file. */
        if (length > image->storage->size - offset)
                length = image->storage->size - offset;
        if (!image->unpacked)
                image->unpacked = malloc(image->cluster_size);
        uint8_t *packed = malloc(length);
        image->unpacked_entry = 0;
        r = packed && image->unpacked ? disk_storage_read(image->storage, packed, length, offset) : -ENOMEM;
        if (!r)
                r = image->zstd ? zstd_cluster(image->zstd, packed, length, image->unpacked, image->cluster_size)
                                : inflate_cluster(packed, length, image->unpacked, image->cluster_size);
        free(packed);
        if (r < 0)
                return r;
        image->unpacked_entry = entry;
        *bytes = image->unpacked;
        return 0;
}

int qcow2_read_compressed(struct qcow2 *image, const struct qcow2_extent *extent, uint64_t offset,
                          const struct iovec *vector, unsigned count)
{
        const uint8_t *bytes;
        pthread_mutex_lock(&image->cache_lock);
        int r = qcow2_unpack(image, extent->host, &bytes);
        if (!r)
                vector_put(vector, count, bytes + (offset & (image->cluster_size - 1)));
        pthread_mutex_unlock(&image->cache_lock);
        return r;
}
