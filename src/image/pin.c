/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "image/pin.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "base/test_point.h"
#include "base/text.h"
#include "image/blob.h"
#include "image/layout.h"
#include "image/store.h"

static int check_holder(const char *holder, struct error *err)
{
        size_t length = strspn(holder, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_.-");
        if (!length || length > 200 || holder[length] || holder[0] == '.')
                return error_set(err, -EINVAL, "\"%.200s\" cannot be the name of an image's holder", holder);
        return 0;
}

static int read_pin(int pins, const char *holder, struct digest *digest)
{
        char target[sizeof(digest->text) + 1];
        ssize_t length = readlinkat(pins, holder, target, sizeof(target));
        if (length < 0)
                return -errno;
        if ((size_t)length >= sizeof(target))
                return -EINVAL;
        target[length] = 0;
        return digest_parse(target, digest, NULL);
}

/* A pin of the same holder for another image gives way. */
static int write_pin(int pins, const char *holder, const char *digest, struct error *err)
{
        for (unsigned tries = 0; tries < 2; tries++) {
                if (!symlinkat(digest, pins, holder))
                        return 0;
                struct digest there;
                if (errno == EEXIST && !read_pin(pins, holder, &there) && text_equal(there.text, digest))
                        return 0;
                if (errno == EEXIST && unlinkat(pins, holder, 0) < 0)
                        break;
        }
        return error_errno(err, "cannot pin image %s for %s", digest, holder);
}

static int check_still_there(struct store *store, const struct image *image, const struct digest *digest,
                             struct error *err)
{
        if (faccessat(store->blobs, digest_hex(digest), F_OK, 0) < 0)
                return error_set(err, -ENOENT, "image %s was removed meanwhile", image->digest);
        for (char **layer = image->layers; layer && *layer; layer++)
                if (access(*layer, F_OK) < 0)
                        return error_set(err, -ENOENT, "image %s was removed meanwhile", image->digest);
        return 0;
}

int store_pin(struct store *store, const struct image *image, const char *holder, struct error *err)
{
        struct digest digest;
        int r = check_holder(holder, err);
        if (!r)
                r = digest_parse(image->digest, &digest, err);
        if (r < 0)
                return r;
        _cleanup_close_ int lock = lock_take(store->images, "content.lock", false, err);
        if (lock < 0)
                return lock;
        r = check_still_there(store, image, &digest, err);
        if (r < 0)
                return r;
        _cleanup_close_ int pins = layout_folder(store->images, "pins", err);
        if (pins < 0)
                return pins;
        r = write_pin(pins, holder, digest.text, err);
        test_point("image.pin.written");
        return r;
}

int store_unpin(struct store *store, const char *holder, struct error *err)
{
        int r = check_holder(holder, err);
        if (r < 0)
                return r;
        _cleanup_close_ int pins = layout_folder(store->images, "pins", err);
        if (pins < 0)
                return pins;
        if (unlinkat(pins, holder, 0) < 0 && errno != ENOENT)
                return error_errno(err, "cannot unpin the image of %s", holder);
        return 0;
}

typedef int pin_visitor(void *context, const char *holder, const struct digest *digest);

static int each_pin(struct store *store, pin_visitor *visit, void *context, struct error *err)
{
        _cleanup_close_ int pins = layout_folder(store->images, "pins", err);
        if (pins < 0)
                return pins;
        _cleanup_closedir_ DIR *folder = fdopendir(pins);
        if (!folder)
                return error_errno(err, "cannot read the image store's pins");
        int own = TAKE_FD(pins);

        struct dirent *entry;
        while ((entry = readdir(folder))) {
                struct digest digest;
                if (entry->d_name[0] == '.' || read_pin(own, entry->d_name, &digest) < 0)
                        continue;
                int r = visit(context, entry->d_name, &digest);
                if (r < 0)
                        return error_memory(err);
                if (r > 0)
                        break;
        }
        return 0;
}

struct pin_array {
        struct digest *digests;
        size_t count;
};

static int append_pin(void *context, const char *holder, const struct digest *digest)
{
        (void)holder;
        struct pin_array *array = context;
        struct digest *grown = realloc(array->digests, (array->count + 1) * sizeof(*grown));
        if (!grown)
                return -ENOMEM;
        array->digests = grown;
        array->digests[array->count++] = *digest;
        return 0;
}

int pin_list(struct store *store, struct digest **digests, size_t *count, struct error *err)
{
        struct pin_array array = { 0 };
        int r = each_pin(store, append_pin, &array, err);
        if (r < 0) {
                free(array.digests);
                return r;
        }
        *digests = array.digests;
        *count = array.count;
        return 0;
}

struct holder_search {
        const struct digest *digest;
        char *holder;
};

static int note_holder(void *context, const char *holder, const struct digest *digest)
{
        struct holder_search *search = context;
        if (!digest_equal(digest, search->digest))
                return 0;
        search->holder = strdup(holder);
        return search->holder ? 1 : -ENOMEM;
}

int pin_holder(struct store *store, const struct digest *digest, char **holder, struct error *err)
{
        struct holder_search search = { .digest = digest };
        int r = each_pin(store, note_holder, &search, err);
        *holder = search.holder;
        return r;
}
