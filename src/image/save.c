/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "image/save.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/file.h"
#include "base/json.h"
#include "base/text.h"
#include "image/blob.h"
#include "image/image_config.h"
#include "image/layout.h"
#include "image/lookup.h"
#include "image/package.h"
#include "image/stream.h"

struct saved_image {
        char **names;
        json_t *document; /* the manifest's; `manifest` borrows from it */
        struct descriptor descriptor;
        struct manifest manifest;
        struct digest *diff_ids;
};

struct saving {
        struct store *store;
        struct package *package;
        struct saved_image *images;
        size_t count;
        json_t *written; /* names of files that are there: images share layers */
};

static void free_images(struct saving *saving)
{
        for (size_t i = 0; i < saving->count; i++) {
                struct saved_image *image = &saving->images[i];
                list_free(image->names);
                manifest_free(&image->manifest);
                json_decref(image->document);
                free(image->diff_ids);
        }
        free(saving->images);
}

static int read_image(struct saving *saving, const struct descriptor *entry, struct saved_image *image,
                      struct error *err)
{
        _cleanup_json_ json_t *config = NULL;
        size_t count = 0;
        int r = lookup_manifest(saving->store, entry, "image manifest", &image->document, &image->descriptor, err);
        if (!r)
                r = manifest_parse(image->document, "image manifest", &image->manifest, err);
        if (!r)
                r = blob_read_json(saving->store, &image->manifest.config.digest, image->manifest.config.size,
                                   "image configuration", &config, err);
        if (!r)
                r = image_config_check(config, "image configuration", &image->diff_ids, &count, err);
        if (!r && count != image->manifest.layer_count)
                r = error_set(err, -EINVAL, "the manifest has %zu layers, the configuration %zu diff_ids",
                              image->manifest.layer_count, count);
        return r;
}

static int add_image(struct saving *saving, const json_t *index, const char *reference, struct error *err)
{
        struct match match;
        int r = lookup_entry(saving->store, index, reference, &match, err);
        if (r < 0)
                return r;
        struct saved_image *image = NULL;
        for (size_t i = 0; i < saving->count; i++)
                if (digest_equal(&saving->images[i].descriptor.digest, &match.digest))
                        image = &saving->images[i];
        if (!image) {
                image = &saving->images[saving->count++];
                struct descriptor entry = lookup_descriptor(match.entry);
                r = read_image(saving, &entry, image, err);
                if (r < 0)
                        return err ? error_prefix(err, "image %s", reference) : r;
        }
        if (match.by_name && match.name[0] && !list_contains(image->names, match.name) &&
            list_append(&image->names, match.name) < 0)
                return error_memory(err);
        return 0;
}

static int add_images(struct saving *saving, char *const *references, struct error *err)
{
        _cleanup_json_ json_t *index = NULL;
        int r = layout_read(saving->store, &index, err);
        if (r < 0)
                return r;
        saving->images = calloc(list_length(references) + 1, sizeof(*saving->images));
        if (!saving->images)
                return error_memory(err);
        for (; !r && *references; references++)
                r = add_image(saving, index, *references, err);
        return r;
}

/* True the first time. */
static bool is_new(struct saving *saving, const char *name)
{
        return !json_object_get(saving->written, name) && !json_object_set_new(saving->written, name, json_true());
}

static int copy_stream(struct saving *saving, struct stream *stream, struct error *err)
{
        const void *data;
        size_t length;
        do {
                int r = stream_read(stream, &data, &length, err);
                if (!r && length)
                        r = package_data(saving->package, data, length, err);
                if (r < 0)
                        return r;
        } while (length);
        return 0;
}

/* Copies a blob as it is; its content is checked on the way. */
static int copy_blob(struct saving *saving, const struct descriptor *blob, const char *name, struct error *err)
{
        if (!is_new(saving, name))
                return 0;
        _cleanup_close_ int fd = blob_open(saving->store, &blob->digest, blob->size, err);
        int r = fd < 0 ? fd : package_begin(saving->package, name, blob->size, err);
        struct digester digester;
        digester_start(&digester);
        while (!r) {
                char buffer[65536];
                ssize_t n = read(fd, buffer, sizeof(buffer));
                if (n == 0)
                        break;
                if (n < 0)
                        return error_errno(err, "cannot read blob %s", blob->digest.text);
                digester_add(&digester, buffer, (size_t)n);
                r = package_data(saving->package, buffer, (size_t)n, err);
        }
        struct digest found;
        digester_finish(&digester, &found);
        if (!r && !digest_equal(&found, &blob->digest))
                return error_set(err, -EBADMSG, "the content of blob %s is damaged; load its image again",
                                 blob->digest.text);
        return r;
}

static int open_layer(struct saving *saving, const struct descriptor *layer, int *fd, struct stream **stream,
                      struct error *err)
{
        static const struct stream_limits none = { .bytes = INT64_MAX, .any_ratio = true };
        *fd = blob_open(saving->store, &layer->digest, layer->size, err);
        return *fd < 0 ? *fd : stream_open(*fd, layer->digest.text, &none, NULL, stream, err);
}

static int measure_layer(struct saving *saving, const struct descriptor *layer, uint64_t *size, struct error *err)
{
        _cleanup_close_ int fd = -1;
        _cleanup_stream_ struct stream *stream = NULL;
        struct digest diff_id;
        int r = open_layer(saving, layer, &fd, &stream, err);
        const void *data;
        for (size_t length = 1; !r && length;)
                r = stream_read(stream, &data, &length, err);
        if (!r)
                *size = stream_length(stream);
        return r < 0 ? r : stream_finish(stream, NULL, &diff_id, err);
}

/* docker's archives have layers as plain tar archives, whose size must be known before the first byte. */
static int copy_plain_layer(struct saving *saving, const struct descriptor *layer, const struct digest *diff_id,
                            const char *name, struct error *err)
{
        if (digest_equal(&layer->digest, diff_id))
                return copy_blob(saving, layer, name, err);
        if (!is_new(saving, name))
                return 0;
        uint64_t size = 0;
        int r = measure_layer(saving, layer, &size, err);
        if (r < 0)
                return r;
        _cleanup_close_ int fd = -1;
        _cleanup_stream_ struct stream *stream = NULL;
        struct digest found;
        r = open_layer(saving, layer, &fd, &stream, err);
        if (!r)
                r = package_begin(saving->package, name, size, err);
        if (!r)
                r = copy_stream(saving, stream, err);
        if (!r)
                r = stream_finish(stream, NULL, &found, err);
        if (!r && !digest_equal(&found, diff_id))
                r = error_set(err, -EBADMSG, "the content of layer %s is damaged; load its image again", diff_id->text);
        return r;
}

static json_t *names_array(char *const *names)
{
        json_t *array = json_array();
        for (; array && names && *names; names++)
                json_array_append_new(array, json_string(*names));
        return array;
}

static int save_docker_image(struct saving *saving, const struct saved_image *image, json_t *list, struct error *err)
{
        char name[DIGEST_HEX_LENGTH + sizeof(".json")];
        _cleanup_json_ json_t *layers = json_array();
        for (size_t i = 0; layers && i < image->manifest.layer_count; i++) {
                snprintf(name, sizeof(name), "%s.tar", digest_hex(&image->diff_ids[i]));
                int r = copy_plain_layer(saving, &image->manifest.layers[i], &image->diff_ids[i], name, err);
                if (r < 0)
                        return r;
                json_array_append_new(layers, json_string(name));
        }
        snprintf(name, sizeof(name), "%s.json", digest_hex(&image->manifest.config.digest));
        int r = copy_blob(saving, &image->manifest.config, name, err);
        if (r < 0)
                return r;
        json_t *entry =
                json_pack("{s:s, s:o, s:O}", "Config", name, "RepoTags", names_array(image->names), "Layers", layers);
        return json_array_append_new(list, entry) < 0 ? error_memory(err) : 0;
}

static int write_json(struct saving *saving, const char *name, const json_t *document, struct error *err)
{
        _cleanup_free_ char *text = json_dumps(document, JSON_COMPACT);
        return text ? package_file(saving->package, name, text, strlen(text), err) : error_memory(err);
}

static int save_docker(struct saving *saving, struct error *err)
{
        _cleanup_json_ json_t *list = json_array();
        int r = list ? 0 : error_memory(err);
        for (size_t i = 0; !r && i < saving->count; i++)
                r = save_docker_image(saving, &saving->images[i], list, err);
        return r < 0 ? r : write_json(saving, "manifest.json", list, err);
}

static int copy_named_blob(struct saving *saving, const struct descriptor *blob, struct error *err)
{
        char name[sizeof("blobs/sha256/") + DIGEST_HEX_LENGTH];
        snprintf(name, sizeof(name), "blobs/sha256/%s", digest_hex(&blob->digest));
        return copy_blob(saving, blob, name, err);
}

static int save_oci_image(struct saving *saving, const struct saved_image *image, json_t *list, struct error *err)
{
        int r = copy_named_blob(saving, &image->descriptor, err);
        if (!r)
                r = copy_named_blob(saving, &image->manifest.config, err);
        for (size_t i = 0; !r && i < image->manifest.layer_count; i++)
                r = copy_named_blob(saving, &image->manifest.layers[i], err);
        char *const none[] = { NULL, NULL };
        char *const *names = image->names ? image->names : none;
        for (size_t i = 0; !r && (i == 0 || names[i]); i++)
                if (json_array_append_new(list,
                                          layout_new_entry(image->descriptor.media_type, &image->descriptor.digest,
                                                           image->descriptor.size, names[i])) < 0)
                        r = error_memory(err);
        return r;
}

static int save_oci(struct saving *saving, struct error *err)
{
        static const char layout[] = "{\"imageLayoutVersion\":\"1.0.0\"}";
        _cleanup_json_ json_t *index =
                json_pack("{s:i, s:s, s:[]}", "schemaVersion", 2, "mediaType", MEDIA_TYPE_INDEX, "manifests");
        int r = index ? package_file(saving->package, "oci-layout", layout, sizeof(layout) - 1, err)
                      : error_memory(err);
        if (!r)
                r = package_begin(saving->package, "blobs/", 0, err);
        if (!r)
                r = package_begin(saving->package, "blobs/sha256/", 0, err);
        for (size_t i = 0; !r && i < saving->count; i++)
                r = save_oci_image(saving, &saving->images[i], json_object_get(index, "manifests"), err);
        return r < 0 ? r : write_json(saving, "index.json", index, err);
}

static int save(struct saving *saving, char *const *references, bool folder,
                int (*write)(struct saving *, struct error *), const char *output, struct error *err)
{
        int r = add_images(saving, references, err);
        if (r < 0)
                return r;
        _cleanup_package_ struct package *package = NULL;
        r = package_open(output, folder, &package, err);
        saving->package = package;
        if (!r)
                r = write(saving, err);
        return r < 0 ? r : package_finish(package, err);
}

int image_save(struct store *store, char *const *references, const char *format, const char *output, struct error *err)
{
        static const struct {
                const char *name;
                bool folder;
                int (*write)(struct saving *saving, struct error *err);
        } formats[] = {
                { "docker-archive", false, save_docker },
                { "oci-archive", false, save_oci },
                { "oci-dir", true, save_oci },
        };
        for (size_t i = 0; i < ARRAY_SIZE(formats); i++) {
                if (!text_equal(formats[i].name, format))
                        continue;
                _cleanup_close_ int content = lock_take(store->images, "content.lock", false, err);
                _cleanup_json_ json_t *written = json_object();
                struct saving saving = { .store = store, .written = written };
                int r = content < 0 ? content : written ? 0 : error_memory(err);
                if (!r)
                        r = save(&saving, references, formats[i].folder, formats[i].write, output, err);
                free_images(&saving);
                return r;
        }
        return error_set(err, -EINVAL, "unknown format \"%.40s\"; expected docker-archive, oci-archive or oci-dir",
                         format);
}
