/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "image/layout.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/file.h"
#include "base/json.h"
#include "base/test_point.h"
#include "base/text.h"
#include "image/manifest.h"
#include "image/store.h"

int layout_folder(int dir, const char *name, struct error *err)
{
        int fd = openat(dir, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
        if (fd < 0 && errno == ENOENT) {
                if (mkdirat(dir, name, 0700) < 0 && errno != EEXIST)
                        return error_errno(err, "cannot create the image store's folder %s", name);
                fd = openat(dir, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
        }
        if (fd < 0)
                return error_errno(err, "cannot open the image store's folder %s", name);
        return fd;
}

/* Written last when a store is made: a folder without it is a store in the making, and making it again does no harm. */
static int make_layout_file(struct store *store, struct error *err)
{
        static const char content[] = "{\"imageLayoutVersion\":\"1.0.0\"}\n";
        _cleanup_close_ int lock = lock_take(store->images, "content.lock", false, err);
        if (lock < 0)
                return lock;
        return file_replace(store->images, "oci-layout", content, sizeof(content) - 1, 0600, err);
}

static int check_layout_file(struct store *store, struct error *err)
{
        _cleanup_json_ json_t *document = NULL;
        int r = json_read(store->images, "oci-layout", &document, err);
        if (r < 0)
                return r;
        struct json_reader reader = { .document = "oci-layout", .err = err };
        struct json_at root = json_root(&reader, document);
        const char *version = NULL;
        json_need_string(&root, "imageLayoutVersion", &version);
        if (version && !text_starts(version, "1."))
                json_misfit(&root, "has imageLayoutVersion \"%.40s\"; this onggi knows version 1", version);
        return json_failed(&root);
}

static int open_folders(struct store *store, struct error *err)
{
        _cleanup_close_ int root = directory_make(store->path, 0700, err);
        if (root < 0)
                return root;
        store->images = layout_folder(root, "images", err);
        if (store->images < 0)
                return store->images;
        _cleanup_close_ int blobs = layout_folder(store->images, "blobs", err);
        if (blobs < 0)
                return blobs;
        store->blobs = layout_folder(blobs, "sha256", err);
        if (store->blobs < 0)
                return store->blobs;
        store->layers = layout_folder(root, "layers", err);
        if (store->layers < 0)
                return store->layers;
        if (!faccessat(store->images, "oci-layout", F_OK, 0))
                return check_layout_file(store, err);
        return make_layout_file(store, err);
}

int store_open(const char *root, struct store **store, struct error *err)
{
        if (root[0] != '/')
                return error_set(err, -EINVAL, "the store's root \"%.200s\" must be an absolute path", root);
        struct store *made = calloc(1, sizeof(*made));
        if (!made)
                return error_memory(err);
        *made = (struct store){ .path = strdup(root), .images = -1, .blobs = -1, .layers = -1 };
        int r = made->path ? open_folders(made, err) : error_memory(err);
        if (r < 0) {
                store_close(made);
                return err ? error_prefix(err, "image store in %s", root) : r;
        }
        *store = made;
        return 0;
}

void store_close(struct store *store)
{
        if (!store)
                return;
        cleanup_close(&store->images);
        cleanup_close(&store->blobs);
        cleanup_close(&store->layers);
        free(store->path);
        free(store);
}

static json_t *empty_index(void)
{
        return json_pack("{s:i, s:s, s:[]}", "schemaVersion", 2, "mediaType", MEDIA_TYPE_INDEX, "manifests");
}

int layout_read(struct store *store, json_t **index, struct error *err)
{
        if (faccessat(store->images, "index.json", F_OK, 0) < 0 && errno == ENOENT) {
                *index = empty_index();
                return *index ? 0 : error_memory(err);
        }
        _cleanup_json_ json_t *document = NULL;
        int r = json_read(store->images, "index.json", &document, err);
        if (!r)
                r = index_check(document, "index.json", err);
        if (r < 0)
                return err ? error_prefix(err, "image store in %s", store->path) : r;
        *index = TAKE_PTR(document);
        return 0;
}

int layout_lock(struct store *store, struct error *err)
{
        return lock_take(store->images, "lock", true, err);
}

int layout_write(struct store *store, const json_t *index, struct error *err)
{
        if (fsync(store->blobs) < 0 || fsync(store->layers) < 0)
                return error_errno(err, "cannot make the image store in %s durable", store->path);
        test_point("image.index.writing");
        int r = json_replace(store->images, "index.json", index, true, err);
        if (r < 0)
                return r;
        test_point("image.index.written");
        return 0;
}

void layout_entry(const json_t *entry, struct digest *digest, struct reference *reference)
{
        /* index_check() has seen both */
        if (digest)
                digest_parse(json_string_value(json_object_get(entry, "digest")), digest, NULL);
        if (!reference)
                return;
        memset(reference, 0, sizeof(*reference));
        const json_t *annotations = json_object_get(entry, "annotations");
        const char *name = json_string_value(json_object_get(annotations, LAYOUT_NAME_ANNOTATION));
        if (name && reference_parse(name, reference, NULL) < 0) {
                memset(reference, 0, sizeof(*reference));
                strncpy(reference->text, name, sizeof(reference->text) - 1);
        }
}

json_t *layout_new_entry(const char *media_type, const struct digest *digest, uint64_t size, const char *name)
{
        json_t *entry =
                json_pack("{s:s, s:s, s:I}", "mediaType", media_type, "digest", digest->text, "size", (json_int_t)size);
        if (!entry || !name)
                return entry;
        if (json_object_set_new(entry, "annotations", json_pack("{s:s}", LAYOUT_NAME_ANNOTATION, name)) < 0) {
                json_decref(entry);
                return NULL;
        }
        return entry;
}

static bool is_listed(const json_t *manifests, const struct digest *digest)
{
        for (size_t i = 0; i < json_array_size(manifests); i++) {
                struct digest other;
                layout_entry(json_array_get(manifests, i), &other, NULL);
                if (digest_equal(&other, digest))
                        return true;
        }
        return false;
}

/* Takes the name off the entry that has it; an image stays in the list when that was its last name. */
static int take_name(json_t *manifests, const char *name)
{
        for (size_t i = 0; i < json_array_size(manifests); i++) {
                struct digest digest;
                struct reference reference;
                json_t *entry = json_array_get(manifests, i);
                layout_entry(entry, &digest, &reference);
                if (!text_equal(reference.text, name))
                        continue;
                json_incref(entry);
                json_array_remove(manifests, i--);
                int r = 0;
                if (!is_listed(manifests, &digest)) {
                        json_object_del(entry, "annotations");
                        r = json_array_append(manifests, entry);
                }
                json_decref(entry);
                if (r < 0)
                        return -ENOMEM;
        }
        return 0;
}

/* An entry without a name is of no use beside one that has a name. */
static void drop_nameless(json_t *manifests, const struct digest *digest)
{
        for (size_t i = 0; i < json_array_size(manifests); i++) {
                struct digest other;
                struct reference reference;
                layout_entry(json_array_get(manifests, i), &other, &reference);
                if (digest_equal(&other, digest) && !reference.text[0])
                        json_array_remove(manifests, i--);
        }
}

int layout_name(struct store *store, const char *media_type, const struct digest *digest, uint64_t size,
                const char *name, struct error *err)
{
        _cleanup_close_ int lock = layout_lock(store, err);
        if (lock < 0)
                return lock;
        _cleanup_json_ json_t *index = NULL;
        int r = layout_read(store, &index, err);
        if (r < 0)
                return r;
        json_t *manifests = json_object_get(index, "manifests");
        if (!name && is_listed(manifests, digest))
                return 0;
        if (name && take_name(manifests, name) < 0)
                return error_memory(err);
        if (name)
                drop_nameless(manifests, digest);
        if (json_array_append_new(manifests, layout_new_entry(media_type, digest, size, name)) < 0)
                return error_memory(err);
        return layout_write(store, index, err);
}
