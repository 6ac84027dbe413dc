/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/json.h"
#include "base/text.h"
#include "image/blob.h"
#include "image/image_config.h"
#include "image/layout.h"
#include "image/lookup.h"
#include "image/store.h"
#include "image/unpacked.h"

void image_free(struct image *image)
{
        if (!image)
                return;
        free(image->digest);
        free(image->id);
        list_free(image->names);
        free(image->created);
        free(image->architecture);
        free(image->os);
        list_free(image->layers);
        json_decref(image->config);
        json_decref(image->manifest);
        free(image->problem);
        free(image);
}

static int copy_string(char **copy, const json_t *object, const char *key)
{
        const char *text = json_string_value(json_object_get(object, key));
        *copy = text ? strdup(text) : NULL;
        return text && !*copy ? -ENOMEM : 0;
}

static int find_layers(struct store *store, struct image *image, const struct digest *diff_ids, size_t count,
                       struct error *err)
{
        for (size_t i = 0; i < count; i++) {
                struct digest name;
                if (unpacked_find(store, diff_ids, i, &name) < 0)
                        return error_set(err, -EUCLEAN,
                                         "layer %s is not unpacked; load its image again, or run "
                                         "`onggi-image unpack`",
                                         diff_ids[i].text);
                _cleanup_free_ char *path = unpacked_path(store, &name);
                if (path && unpacked_hides_lower(path))
                        list_free(TAKE_PTR(image->layers));
                if (!path || list_append(&image->layers, path) < 0)
                        return error_memory(err);
                image->size += unpacked_size(store, &name);
        }
        return 0;
}

static int fill_from_config(struct store *store, struct image *image, size_t layer_count, struct error *err)
{
        _cleanup_free_ struct digest *diff_ids = NULL;
        size_t count = 0;
        int r = image_config_check(image->config, "image configuration", &diff_ids, &count, err);
        if (r < 0)
                return r;
        if (count != layer_count)
                return error_set(err, -EINVAL, "the manifest has %zu layers, the configuration %zu diff_ids",
                                 layer_count, count);
        if (copy_string(&image->created, image->config, "created") < 0 ||
            copy_string(&image->architecture, image->config, "architecture") < 0 ||
            copy_string(&image->os, image->config, "os") < 0)
                return error_memory(err);
        return find_layers(store, image, diff_ids, count, err);
}

static int fill_from_manifest(struct store *store, struct image *image, const struct descriptor *entry,
                              struct error *err)
{
        struct descriptor found;
        int r = lookup_manifest(store, entry, "image manifest", &image->manifest, &found, err);
        if (r < 0)
                return r;
        struct manifest manifest;
        r = manifest_parse(image->manifest, "image manifest", &manifest, err);
        if (r < 0)
                return r;
        size_t layer_count = manifest.layer_count;
        struct descriptor config = manifest.config;
        manifest_free(&manifest);

        image->id = strdup(config.digest.text);
        if (!image->id)
                return error_memory(err);
        r = blob_read_json(store, &config.digest, config.size, "image configuration", &image->config, err);
        return r < 0 ? r : fill_from_config(store, image, layer_count, err);
}

static int gather_names(struct image *image, const json_t *index, const struct digest *digest)
{
        const json_t *manifests = json_object_get(index, "manifests");
        for (size_t i = 0; i < json_array_size(manifests); i++) {
                struct digest other;
                struct reference reference;
                layout_entry(json_array_get(manifests, i), &other, &reference);
                if (digest_equal(&other, digest) && reference.text[0] && list_append(&image->names, reference.text) < 0)
                        return -ENOMEM;
        }
        return 0;
}

static int open_image(struct store *store, const json_t *index, const json_t *entry, struct image **image,
                      struct error *err)
{
        struct descriptor descriptor = lookup_descriptor(entry);
        struct image *made = calloc(1, sizeof(*made));
        *image = made;
        if (!made || !(made->digest = strdup(descriptor.digest.text)) ||
            gather_names(made, index, &descriptor.digest) < 0)
                return error_memory(err);
        return fill_from_manifest(store, made, &descriptor, err);
}

int store_find(struct store *store, const char *reference, struct image **image, struct error *err)
{
        _cleanup_json_ json_t *index = NULL;
        int r = layout_read(store, &index, err);
        if (r < 0)
                return r;
        struct match match;
        r = lookup_entry(store, index, reference, &match, err);
        if (r < 0)
                return r;
        _cleanup_image_ struct image *found = NULL;
        r = open_image(store, index, match.entry, &found, err);
        if (r < 0)
                return err ? error_prefix(err, "image %s", reference) : r;
        *image = TAKE_PTR(found);
        return 0;
}

static int newest_first(const void *a, const void *b)
{
        const struct image *left = *(struct image *const *)a, *right = *(struct image *const *)b;
        int order = strcmp(right->created ? right->created : "", left->created ? left->created : "");
        return order ? order : strcmp(left->digest, right->digest);
}

static bool is_in(struct image *const *images, size_t count, const json_t *entry)
{
        struct digest digest;
        layout_entry(entry, &digest, NULL);
        for (size_t i = 0; i < count; i++)
                if (text_equal(images[i]->digest, digest.text))
                        return true;
        return false;
}

/* What of a broken image could be read is not to be trusted by halves. */
static int mark_broken(struct image *image, const struct error *why)
{
        json_decref(image->config);
        image->config = NULL;
        image->problem = strdup(why->text);
        return image->problem ? 0 : -ENOMEM;
}

int store_list(struct store *store, struct image ***images, size_t *count, struct error *err)
{
        _cleanup_json_ json_t *index = NULL;
        int r = layout_read(store, &index, err);
        if (r < 0)
                return r;
        const json_t *manifests = json_object_get(index, "manifests");
        struct image **list = calloc(json_array_size(manifests) + 1, sizeof(*list));
        size_t used = 0;
        if (!list)
                return error_memory(err);
        for (size_t i = 0; i < json_array_size(manifests); i++) {
                const json_t *entry = json_array_get(manifests, i);
                if (is_in(list, used, entry))
                        continue;
                struct error why = { 0 };
                r = open_image(store, index, entry, &list[used], &why);
                if (list[used])
                        used++;
                if (r == -ENOMEM || (r < 0 && mark_broken(list[used - 1], &why) < 0)) {
                        image_list_free(list, used);
                        return error_memory(err);
                }
        }
        qsort(list, used, sizeof(*list), newest_first);
        *images = list;
        *count = used;
        return 0;
}

void image_list_free(struct image **images, size_t count)
{
        for (size_t i = 0; images && i < count; i++)
                image_free(images[i]);
        free(images);
}

const char *store_embedded_archive(const char *reference)
{
        struct reference parsed;
        if (reference_parse(reference, &parsed, NULL) < 0)
                return NULL;
        return text_equal(parsed.text, "onggi/base:latest") ? "base.tar" : NULL;
}
