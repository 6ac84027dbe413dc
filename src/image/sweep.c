/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "image/sweep.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "base/json.h"
#include "base/test_point.h"
#include "base/text.h"
#include "image/blob.h"
#include "image/erofs.h"
#include "image/image_config.h"
#include "image/layout.h"
#include "image/lookup.h"
#include "image/pin.h"
#include "image/unpacked.h"

/* What is in use: digests of blobs, diff ids and chain ids. One set will do, for a digest names its content. */
struct marks {
        json_t *set;
};

static int mark(struct marks *marks, const struct digest *digest, struct error *err)
{
        return json_object_set_new(marks->set, digest_hex(digest), json_true()) < 0 ? error_memory(err) : 0;
}

static bool is_marked(const struct marks *marks, const char *hex)
{
        return json_object_get(marks->set, hex);
}

static bool is_marked_file(const void *marks, const char *hex)
{
        return is_marked(marks, hex);
}

static int mark_layers(struct store *store, struct marks *marks, const struct descriptor *config, struct error *err)
{
        _cleanup_json_ json_t *document = NULL;
        _cleanup_free_ struct digest *diff_ids = NULL;
        size_t count = 0;
        int r = blob_read_json(store, &config->digest, config->size, "image configuration", &document, err);
        if (!r)
                r = image_config_check(document, "image configuration", &diff_ids, &count, err);
        for (size_t i = 0; !r && i < count; i++) {
                struct digest name;
                if (!unpacked_find(store, diff_ids, i, &name))
                        r = mark(marks, &name, err);
        }
        if (!r && count) { /* the EROFS file of all of them */
                struct digest chain;
                chain_id(diff_ids, count, &chain);
                r = mark(marks, &chain, err);
        }
        return r;
}

static int mark_manifest(struct store *store, struct marks *marks, const json_t *document, struct error *err)
{
        struct manifest manifest;
        int r = manifest_parse(document, "image manifest", &manifest, err);
        if (r < 0)
                return r;
        r = mark(marks, &manifest.config.digest, err);
        for (size_t i = 0; !r && i < manifest.layer_count; i++)
                r = mark(marks, &manifest.layers[i].digest, err);
        if (!r)
                r = mark_layers(store, marks, &manifest.config, err);
        manifest_free(&manifest);
        return r;
}

/* An index that another tool wrote into the store: of all its manifests those that are there are kept. */
static int mark_image(struct store *store, struct marks *marks, const struct digest *digest, unsigned depth,
                      struct error *err)
{
        _cleanup_json_ json_t *document = NULL;
        enum document_kind kind;
        int r = blob_read_json(store, digest, BLOB_SIZE_UNKNOWN, "image manifest", &document, err);
        if (!r)
                r = document_kind(document, "image manifest", NULL, &kind, err);
        if (!r)
                r = mark(marks, digest, err);
        if (r < 0 || kind == DOCUMENT_MANIFEST)
                return r < 0 ? r : mark_manifest(store, marks, document, err);

        r = index_check(document, "image index", err);
        const json_t *manifests = json_object_get(document, "manifests");
        for (size_t i = 0; !r && depth < 3 && i < json_array_size(manifests); i++) {
                struct digest below;
                layout_entry(json_array_get(manifests, i), &below, NULL);
                if (!faccessat(store->blobs, digest_hex(&below), F_OK, 0))
                        r = mark_image(store, marks, &below, depth + 1, err);
        }
        return r;
}

static int mark_root(struct store *store, struct marks *marks, const struct digest *digest, struct error *err)
{
        struct error why = { 0 };
        int r = mark_image(store, marks, digest, 0, &why);
        if (r == -ENOMEM)
                return error_memory(err);
        if (r < 0)
                return error_set(err, -EBADMSG,
                                 "image %s is broken, so nobody knows what it needs and nothing is removed; "
                                 "remove it first (%s)",
                                 digest->text, why.text);
        return 0;
}

static int mark_all(struct store *store, struct marks *marks, const json_t *index, struct error *err)
{
        const json_t *manifests = json_object_get(index, "manifests");
        for (size_t i = 0; i < json_array_size(manifests); i++) {
                struct digest digest;
                layout_entry(json_array_get(manifests, i), &digest, NULL);
                int r = mark_root(store, marks, &digest, err);
                if (r < 0)
                        return r;
        }
        _cleanup_free_ struct digest *pinned = NULL;
        size_t count = 0;
        int r = pin_list(store, &pinned, &count, err);
        for (size_t i = 0; !r && i < count; i++)
                if (!faccessat(store->blobs, digest_hex(&pinned[i]), F_OK, 0))
                        r = mark_root(store, marks, &pinned[i], err);
        return r;
}

static uint64_t file_size(int dir, const char *name)
{
        struct stat st;
        return fstatat(dir, name, &st, AT_SYMLINK_NOFOLLOW) || !S_ISREG(st.st_mode) ? 0 : (uint64_t)st.st_size;
}

static DIR *open_folder(int dir, const char *name)
{
        _cleanup_close_ int fd = openat(dir, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        DIR *folder = fd < 0 ? NULL : fdopendir(fd);
        if (folder)
                TAKE_FD(fd);
        return folder;
}

static int sweep_blobs(struct store *store, const struct marks *marks, uint64_t *freed, struct error *err)
{
        _cleanup_closedir_ DIR *folder = open_folder(store->blobs, ".");
        if (!folder)
                return error_errno(err, "cannot read the image store's blobs");
        struct dirent *entry;
        while ((entry = readdir(folder))) {
                if (entry->d_name[0] == '.' || is_marked(marks, entry->d_name))
                        continue;
                uint64_t size = file_size(store->blobs, entry->d_name);
                if (unlinkat(store->blobs, entry->d_name, 0) < 0 && errno != ENOENT)
                        return error_errno(err, "cannot remove blob %s", entry->d_name);
                *freed += size;
                test_point("image.sweep.blob");
        }
        return 0;
}

/* Out of sight in one step first: a layer under its final name is whole. */
static int remove_layer(struct store *store, int temporary, const char *hex, uint64_t *freed, struct error *err)
{
        struct digest name;
        _cleanup_free_ char *text = text_format(DIGEST_PREFIX "%s", hex);
        if (!text)
                return error_memory(err);
        uint64_t size = digest_parse(text, &name, NULL) < 0 ? 0 : unpacked_size(store, &name);
        if (renameat(store->layers, hex, temporary, hex) < 0)
                return error_errno(err, "cannot move layer %s out of the store", hex);
        test_point("image.sweep.layer");
        int r = tree_remove(temporary, hex, err);
        if (!r)
                *freed += size;
        return r;
}

static int sweep_layers(struct store *store, const struct marks *marks, uint64_t *freed, struct error *err)
{
        _cleanup_close_ int temporary = layout_folder(store->layers, "tmp", err);
        if (temporary < 0)
                return temporary;
        _cleanup_closedir_ DIR *folder = open_folder(store->layers, ".");
        if (!folder)
                return error_errno(err, "cannot read the image store's layers");
        struct dirent *entry;
        while ((entry = readdir(folder))) {
                if (entry->d_name[0] == '.' || text_equal(entry->d_name, "tmp") || is_marked(marks, entry->d_name))
                        continue;
                int r = remove_layer(store, temporary, entry->d_name, freed, err);
                if (r < 0)
                        return r;
        }
        return 0;
}

int sweep(struct store *store, const json_t *index, uint64_t *freed, struct error *err)
{
        uint64_t ignored = 0;
        _cleanup_json_ json_t *set = json_object();
        if (!set)
                return error_memory(err);
        struct marks marks = { .set = set };
        int r = mark_all(store, &marks, index, err);
        if (!r)
                r = sweep_layers(store, &marks, freed ? freed : &ignored, err);
        if (!r)
                r = erofs_sweep(store, is_marked_file, &marks, freed ? freed : &ignored, err);
        if (!r)
                r = sweep_blobs(store, &marks, freed ? freed : &ignored, err);
        return r;
}

static int empty_folder(int dir, uint64_t *freed, struct error *err)
{
        _cleanup_close_ int temporary = openat(dir, "tmp", O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
        if (temporary < 0)
                return errno == ENOENT ? 0 : error_errno(err, "cannot open the image store's folder tmp");
        _cleanup_closedir_ DIR *folder = open_folder(temporary, ".");
        struct dirent *entry;
        while (folder && (entry = readdir(folder))) {
                if (!strcmp(entry->d_name, ".") || !strcmp(entry->d_name, ".."))
                        continue;
                _cleanup_closedir_ DIR *below = open_folder(temporary, entry->d_name);
                struct dirent *file;
                while (below && (file = readdir(below)))
                        *freed += file_size(dirfd(below), file->d_name);
                int r = tree_remove(temporary, entry->d_name, err);
                if (r < 0)
                        return r;
        }
        return 0;
}

/*
 * file_replace() leaves ".<name>.<pid>.tmp" beside the file when it is killed; whoever writes one holds content.lock.
 */
static void remove_replacements(struct store *store, uint64_t *freed)
{
        _cleanup_closedir_ DIR *folder = open_folder(store->images, ".");
        struct dirent *entry;
        while (folder && (entry = readdir(folder))) {
                if (entry->d_name[0] != '.' || !text_ends(entry->d_name, ".tmp"))
                        continue;
                uint64_t size = file_size(store->images, entry->d_name);
                if (!unlinkat(store->images, entry->d_name, 0))
                        *freed += size;
        }
}

int sweep_temporary(struct store *store, uint64_t *freed, struct error *err)
{
        uint64_t ignored = 0;
        uint64_t *count = freed ? freed : &ignored;
        int r = empty_folder(store->images, count, err);
        if (!r)
                r = empty_folder(store->layers, count, err);
        remove_replacements(store, count);
        return r;
}
