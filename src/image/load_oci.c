/* SPDX-License-Identifier: GPL-2.0-or-later */
/* OCI layouts, as an archive or a folder (image-spec image-layout.md). */
#include <errno.h>
#include <string.h>

#include "base/json.h"
#include "base/text.h"
#include "image/image_config.h"
#include "image/layout.h"
#include "image/loaded.h"
#include "image/lookup.h"
#include "image/unpack.h"

#define INDEX_DEPTH_MAX 3

static int keep_blob(struct loading *loading, const struct descriptor *descriptor, struct error *err)
{
        struct blob_file file;
        int r = members_get_blob(loading->members, &descriptor->digest, descriptor->size, &file, err);
        return r < 0 ? r : blob_keep(loading->adding, &file, err);
}

static int read_json(struct loading *loading, const struct descriptor *descriptor, const char *what, json_t **document,
                     struct error *err)
{
        int r = keep_blob(loading, descriptor, err);
        return r < 0 ? r
                     : blob_read_json(loading->adding->store, &descriptor->digest, descriptor->size, what, document,
                                      err);
}

static int load_layers(struct loading *loading, const struct manifest *manifest, struct error *err)
{
        _cleanup_json_ json_t *config = NULL;
        _cleanup_free_ struct digest *diff_ids = NULL;
        size_t count = 0;
        int r = read_json(loading, &manifest->config, "image configuration", &config, err);
        if (!r)
                r = image_config_check(config, "image configuration", &diff_ids, &count, err);
        if (!r && count != manifest->layer_count)
                r = error_set(err, -EINVAL, "the manifest has %zu layers, the configuration %zu diff_ids",
                              manifest->layer_count, count);
        for (size_t i = 0; !r && i < count; i++)
                r = keep_blob(loading, &manifest->layers[i], err);
        return r < 0 ? r : unpack_layers(loading->adding, manifest, diff_ids, true, &loading->limits, err);
}

static int load_manifest(struct loading *loading, const struct descriptor *from, const json_t *document,
                         struct loaded_image *image, struct error *err)
{
        struct manifest manifest;
        int r = manifest_parse(document, "image manifest", &manifest, err);
        if (r < 0)
                return r;
        bool docker = text_equal(manifest.media_type, MEDIA_TYPE_DOCKER_MANIFEST);
        image->manifest = *from;
        image->manifest.media_type = docker ? MEDIA_TYPE_DOCKER_MANIFEST : MEDIA_TYPE_MANIFEST;
        image->id = manifest.config.digest;
        r = load_layers(loading, &manifest, err);
        manifest_free(&manifest);
        return r;
}

/* Down to the manifest: `from` may lead to an index, of which the platform's manifest is taken. */
static int load_image(struct loading *loading, const struct descriptor *from, struct loaded_image *image,
                      struct error *err)
{
        struct descriptor at = *from;
        _cleanup_json_ json_t *document = NULL;
        for (unsigned depth = 0; depth < INDEX_DEPTH_MAX; depth++) {
                /* what the descriptor was borrowed from lives as long as it is used */
                _cleanup_json_ json_t *above __attribute__((unused)) = TAKE_PTR(document);
                enum document_kind kind;
                int r = read_json(loading, &at, "image manifest", &document, err);
                if (!r)
                        r = document_kind(document, "image manifest", at.media_type, &kind, err);
                if (r < 0)
                        return r;
                if (kind == DOCUMENT_MANIFEST)
                        return load_manifest(loading, &at, document, image, err);
                r = index_choose(document, "image index", &at, err);
                if (r < 0)
                        return r;
        }
        return error_set(err, -EINVAL, "indexes are nested more than %d deep", INDEX_DEPTH_MAX);
}

/* containerd and docker put only the tag into the specification's annotation, and the whole name into their own. */
static int add_names(struct loaded_image *image, const json_t *entry, struct error *err)
{
        const json_t *annotations = json_object_get(entry, "annotations");
        const char *name = json_string_value(json_object_get(annotations, "io.containerd.image.name"));
        if (!name)
                name = json_string_value(json_object_get(annotations, LAYOUT_NAME_ANNOTATION));
        return name ? loaded_add_name(image, name, err) : 0;
}

static bool is_of_other_platform(const json_t *entry)
{
        const json_t *platform = json_object_get(entry, "platform");
        const char *os = json_string_value(json_object_get(platform, "os"));
        const char *architecture = json_string_value(json_object_get(platform, "architecture"));
        return platform && !(text_equal(os, "linux") && text_equal(architecture, "amd64"));
}

int load_oci(struct loading *loading, struct error *err)
{
        _cleanup_json_ json_t *index = NULL;
        int r = members_get_json(loading->members, "index.json", &index, err);
        if (!r)
                r = index_check(index, "index.json", err);
        if (r < 0)
                return r;
        const json_t *manifests = json_object_get(index, "manifests");
        for (size_t i = 0; i < json_array_size(manifests); i++) {
                const json_t *entry = json_array_get(manifests, i);
                if (is_of_other_platform(entry))
                        continue;
                struct loaded_image *image = loading_append(loading);
                struct descriptor descriptor = lookup_descriptor(entry);
                r = image ? load_image(loading, &descriptor, image, err) : error_memory(err);
                if (!r)
                        r = add_names(image, entry, err);
                if (r < 0)
                        return r;
        }
        if (!loading->count) {
                struct descriptor none;
                r = index_choose(index, "index.json", &none, err);
                return r < 0 ? r : error_set(err, -EINVAL, "%s has no images in it", loading->what);
        }
        return 0;
}
