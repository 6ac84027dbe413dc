/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "image/manifest.h"

#include <errno.h>
#include <string.h>

#include "base/json.h"
#include "base/text.h"

#define OUR_OS           "linux"
#define OUR_ARCHITECTURE "amd64"

static const char *const index_types[] = { MEDIA_TYPE_INDEX, MEDIA_TYPE_DOCKER_INDEX, NULL };
static const char *const manifest_types[] = { MEDIA_TYPE_MANIFEST, MEDIA_TYPE_DOCKER_MANIFEST, NULL };
static const char *const config_types[] = { MEDIA_TYPE_CONFIG, "application/vnd.docker.container.image.v1+json", NULL };
static const char *const layer_types[] = {
        MEDIA_TYPE_LAYER,
        MEDIA_TYPE_LAYER_GZIP,
        MEDIA_TYPE_LAYER_ZSTD,
        "application/vnd.oci.image.layer.nondistributable.v1.tar",
        "application/vnd.oci.image.layer.nondistributable.v1.tar+gzip",
        "application/vnd.oci.image.layer.nondistributable.v1.tar+zstd",
        "application/vnd.docker.image.rootfs.diff.tar",
        "application/vnd.docker.image.rootfs.diff.tar.gzip",
        "application/vnd.docker.image.rootfs.diff.tar.zstd",
        "application/vnd.docker.image.rootfs.foreign.diff.tar.gzip",
        NULL,
};

static bool is_one_of(const char *const *types, const char *type)
{
        for (; *types; types++)
                if (!strcmp(*types, type))
                        return true;
        return false;
}

static void check_annotations(const struct json_at *object)
{
        struct json_at annotations = json_get_object(object, "annotations");
        const char *key;
        json_t *value;
        json_object_foreach((json_t *)annotations.value, key, value) {
                const char *text;
                json_get_string(&annotations, key, &text);
        }
}

static void parse_descriptor(const struct json_at *at, struct descriptor *descriptor)
{
        if (!json_is_object(at->value)) {
                json_misfit(at, "must be an object");
                return;
        }
        const char *digest = NULL;
        int64_t size = -1;
        descriptor->media_type = NULL;
        json_need_string(at, "mediaType", &descriptor->media_type);
        struct error reason = { 0 };
        if (json_need_string(at, "digest", &digest) && digest_parse(digest, &descriptor->digest, &reason) < 0) {
                struct json_at where = json_get(at, "digest");
                json_misfit(&where, "is not acceptable: %s", reason.text);
        }
        if (!json_get_i64(at, "size", 0, INT64_MAX, &size) && !json_failed(at)) {
                struct json_at where = json_get(at, "size");
                json_misfit(&where, "is required");
        }
        descriptor->size = (uint64_t)size;
        check_annotations(at);
        struct json_at urls = json_get_array(at, "urls");
        for (size_t i = 0; i < json_count(&urls); i++) {
                struct json_at url = json_element(&urls, i);
                json_string_at(&url);
        }
        struct json_at platform = json_get_object(at, "platform");
        if (platform.value) {
                const char *text;
                json_get_string(&platform, "os", &text);
                json_get_string(&platform, "architecture", &text);
                json_get_string(&platform, "variant", &text);
        }
}

static void check_schema_version(const struct json_at *root)
{
        int64_t version = 0;
        struct json_at at = json_get(root, "schemaVersion");
        if (!json_get_i64(root, "schemaVersion", 1, 2, &version) && !json_failed(root))
                json_misfit(&at, "is required");
        if (version == 1)
                json_misfit(&at, "is 1: docker's first manifest format is not supported; push the image again with a "
                                 "current tool");
}

int document_kind(const json_t *document, const char *what, const char *expected, enum document_kind *kind,
                  struct error *err)
{
        struct json_reader reader = { .document = what, .err = err };
        struct json_at root = json_root(&reader, document);
        check_schema_version(&root);
        const char *type = NULL;
        json_get_string(&root, "mediaType", &type);
        bool lists = json_get(&root, "manifests").value;
        bool layers = json_get(&root, "layers").value || json_get(&root, "config").value;
        if (lists == layers)
                json_misfit(&root, lists ? "has both manifests and layers: it could be read as two different images"
                                         : "has neither manifests nor config and layers");
        if (type && expected && strcmp(type, expected))
                json_misfit(&root, "has the mediaType %.100s, but what led here says %.100s", type, expected);
        if (!type)
                type = expected;
        if (type && !is_one_of(lists ? index_types : manifest_types, type))
                json_misfit(&root, "has %s, but its mediaType is %.100s", lists ? "manifests" : "layers", type);
        *kind = lists ? DOCUMENT_INDEX : DOCUMENT_MANIFEST;
        return json_failed(&root);
}

static void parse_layers(const struct json_at *layers, struct manifest *manifest)
{
        for (size_t i = 0; i < manifest->layer_count; i++) {
                struct json_at at = json_element(layers, i);
                parse_descriptor(&at, &manifest->layers[i]);
                if (!json_failed(layers) && !is_one_of(layer_types, manifest->layers[i].media_type))
                        json_misfit(&at, "has the mediaType %.100s, which is not a file system layer",
                                    manifest->layers[i].media_type);
        }
}

int manifest_parse(const json_t *document, const char *what, struct manifest *manifest, struct error *err)
{
        memset(manifest, 0, sizeof(*manifest));
        struct json_reader reader = { .document = what, .err = err };
        struct json_at root = json_root(&reader, document);
        check_schema_version(&root);
        manifest->media_type = MEDIA_TYPE_MANIFEST;
        json_get_string(&root, "mediaType", &manifest->media_type);
        check_annotations(&root);

        struct json_at config = json_get(&root, "config");
        parse_descriptor(&config, &manifest->config);
        if (!json_failed(&root) && !is_one_of(config_types, manifest->config.media_type))
                json_misfit(&config, "has the mediaType %.100s: this is not a container image",
                            manifest->config.media_type);

        struct json_at layers = json_get_array(&root, "layers");
        if (!layers.value && !json_failed(&root))
                json_misfit(&layers, "is required");
        manifest->layer_count = json_count(&layers);
        if (manifest->layer_count > IMAGE_LAYERS_MAX)
                json_misfit(&layers, "has %zu entries; at most %d layers can be mounted", manifest->layer_count,
                            IMAGE_LAYERS_MAX);
        if (json_failed(&root))
                return json_failed(&root);
        manifest->layers = calloc(manifest->layer_count + 1, sizeof(*manifest->layers));
        if (!manifest->layers)
                return error_memory(err);
        parse_layers(&layers, manifest);
        if (json_failed(&root))
                manifest_free(manifest);
        return json_failed(&root);
}

void manifest_free(struct manifest *manifest)
{
        free(manifest->layers);
        memset(manifest, 0, sizeof(*manifest));
}

static int parse_index(const json_t *document, const char *what, struct json_reader *reader, struct json_at *root,
                       struct json_at *manifests)
{
        reader->document = what;
        *root = json_root(reader, document);
        check_schema_version(root);
        check_annotations(root);
        *manifests = json_get_array(root, "manifests");
        if (!manifests->value && !json_failed(root))
                json_misfit(manifests, "is required");
        return json_failed(root);
}

int index_check(const json_t *document, const char *what, struct error *err)
{
        struct json_reader reader = { .err = err };
        struct json_at root, manifests;
        int r = parse_index(document, what, &reader, &root, &manifests);
        for (size_t i = 0; !r && i < json_count(&manifests); i++) {
                struct json_at at = json_element(&manifests, i);
                struct descriptor descriptor;
                parse_descriptor(&at, &descriptor);
                r = json_failed(&root);
        }
        return r;
}

/* 0: does not suit; more is better. amd64 variants (v2, v3…) may need a newer processor than the plain one. */
static int suitability(const struct json_at *entry)
{
        struct json_at platform = json_get_object(entry, "platform");
        if (!platform.value)
                return 1;
        const char *os = "", *architecture = "", *variant = "";
        json_get_string(&platform, "os", &os);
        json_get_string(&platform, "architecture", &architecture);
        json_get_string(&platform, "variant", &variant);
        if (strcmp(os, OUR_OS) || strcmp(architecture, OUR_ARCHITECTURE))
                return 0;
        return !variant[0] || !strcmp(variant, "v1") ? 3 : 2;
}

static void note_platform(const struct json_at *entry, struct text *seen)
{
        struct json_at platform = json_get_object(entry, "platform");
        const char *os = "?", *architecture = "?";
        json_get_string(&platform, "os", &os);
        json_get_string(&platform, "architecture", &architecture);
        if (seen->length < 200)
                text_printf(seen, "%s%.30s/%.30s", seen->length ? ", " : "", os, architecture);
}

int index_choose(const json_t *document, const char *what, struct descriptor *chosen, struct error *err)
{
        struct json_reader reader = { .err = err };
        struct json_at root, manifests;
        int r = parse_index(document, what, &reader, &root, &manifests);
        int best = 0;
        _cleanup_text_ struct text seen = { 0 };
        for (size_t i = 0; !r && i < json_count(&manifests); i++) {
                struct json_at at = json_element(&manifests, i);
                struct descriptor descriptor;
                parse_descriptor(&at, &descriptor);
                int suits = suitability(&at);
                note_platform(&at, &seen);
                r = json_failed(&root);
                if (!r && suits > best) {
                        best = suits;
                        *chosen = descriptor;
                }
        }
        if (r < 0)
                return r;
        if (!best)
                return error_set(err, -ENOENT, "%s has no image for " OUR_OS "/" OUR_ARCHITECTURE "; it has: %s", what,
                                 seen.length ? seen.data : "nothing");
        return 0;
}
