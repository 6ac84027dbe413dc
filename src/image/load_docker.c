/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * docker archives (`docker save`, `podman save`): manifest.json lists images, each a configuration and its layers as
 * tar archives. The configuration is kept as it is, for its digest is docker's image ID; the manifest is made here.
 */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <string.h>
#include <unistd.h>

#include "base/file.h"
#include "base/json.h"
#include "base/text.h"
#include "image/compose.h"
#include "image/image_config.h"
#include "image/layer_root.h"
#include "image/layout.h"
#include "image/loaded.h"
#include "image/unpack.h"

/* A file that is named by its digest must have it. */
static int check_name(const char *name, const struct digest *digest, struct error *err)
{
        const char *slash = strrchr(name, '/');
        const char *base = slash ? slash + 1 : name;
        size_t length = strspn(base, "0123456789abcdef");
        bool named = length == DIGEST_HEX_LENGTH && (!base[length] || !strcmp(base + length, ".json"));
        if (named && strncmp(base, digest_hex(digest), length))
                return error_set(err, -EBADMSG, "the content of %s is damaged: its digest is %s", name, digest->text);
        return 0;
}

static int get_member(struct loading *loading, const char *written, struct blob_file *file, struct error *err)
{
        char name[PATH_MAX];
        int r = layer_name(written, false, name, err);
        if (!r)
                r = members_get(loading->members, name, file, err);
        return r < 0 ? r : check_name(name, &file->digest, err);
}

static int sniff(struct loading *loading, const struct blob_file *file, const char **media_type, struct error *err)
{
        static const struct {
                const char *magic, *media_type;
                size_t length;
        } kinds[] = {
                { "\x1f\x8b", MEDIA_TYPE_LAYER_GZIP, 2 },
                { "\x28\xb5\x2f\xfd", MEDIA_TYPE_LAYER_ZSTD, 4 },
                { "BZh", NULL, 3 },
                { "\xfd"
                  "7zXZ",
                  NULL, 5 },
        };
        char head[8] = { 0 };
        _cleanup_close_ int fd = openat(loading->adding->folder, file->name, O_RDONLY | O_CLOEXEC);
        if (fd < 0) /* kept for an earlier image */
                fd = blob_open(loading->adding->store, &file->digest, file->size, err);
        if (fd < 0)
                return fd;
        if (read(fd, head, sizeof(head)) < 0)
                return error_errno(err, "cannot read a layer");
        *media_type = MEDIA_TYPE_LAYER;
        for (size_t i = 0; i < ARRAY_SIZE(kinds); i++)
                if (!memcmp(head, kinds[i].magic, kinds[i].length))
                        *media_type = kinds[i].media_type;
        if (!*media_type)
                return error_set(err, -EINVAL,
                                 "a layer is compressed in a way that images must not be; expected none, gzip or "
                                 "zstd");
        return 0;
}

static int keep_layers(struct loading *loading, const struct json_at *list, struct descriptor *layers,
                       struct error *err)
{
        for (size_t i = 0; i < json_count(list); i++) {
                struct json_at at = json_element(list, i);
                const char *name = json_string_at(&at);
                struct blob_file file;
                int r = name ? get_member(loading, name, &file, err) : json_failed(list);
                if (!r)
                        r = sniff(loading, &file, &layers[i].media_type, err);
                if (!r)
                        r = blob_keep(loading->adding, &file, err);
                if (r < 0)
                        return r;
                layers[i].digest = file.digest;
                layers[i].size = file.size;
        }
        return 0;
}

static int keep_config(struct loading *loading, const char *name, struct descriptor *config, struct digest **diff_ids,
                       size_t *count, struct error *err)
{
        struct blob_file file;
        int r = get_member(loading, name, &file, err);
        if (!r)
                r = blob_keep(loading->adding, &file, err);
        if (r < 0)
                return r;
        *config = (struct descriptor){ .digest = file.digest, .size = file.size, .media_type = MEDIA_TYPE_CONFIG };
        _cleanup_json_ json_t *document = NULL;
        r = blob_read_json(loading->adding->store, &file.digest, file.size, "image configuration", &document, err);
        return r < 0 ? r : image_config_check(document, "image configuration", diff_ids, count, err);
}

static int load_image(struct loading *loading, const struct json_at *item, struct loaded_image *image,
                      struct error *err)
{
        const char *name = NULL;
        json_need_string(item, "Config", &name);
        struct json_at list = json_get_array(item, "Layers");
        if (json_failed(item))
                return json_failed(item);

        struct descriptor config;
        _cleanup_free_ struct digest *diff_ids = NULL;
        size_t count = 0;
        int r = keep_config(loading, name, &config, &diff_ids, &count, err);
        if (r < 0)
                return r;
        if (count != json_count(&list))
                return error_set(err, -EINVAL, "manifest.json lists %zu layers, the configuration %zu diff_ids",
                                 json_count(&list), count);
        _cleanup_free_ struct descriptor *layers = calloc(count + 1, sizeof(*layers));
        if (!layers)
                return error_memory(err);
        r = keep_layers(loading, &list, layers, err);
        struct manifest manifest = { .layers = layers, .layer_count = count };
        if (!r)
                r = unpack_layers(loading->adding, &manifest, diff_ids, true, &loading->limits, err);
        if (!r)
                r = compose_manifest(loading->adding, &config, layers, count, &image->manifest, err);
        image->id = config.digest;
        return r;
}

static int add_names(const struct json_at *item, struct loaded_image *image, struct error *err)
{
        _cleanup_list_ char **names = NULL;
        json_get_strings(item, "RepoTags", &names);
        int r = json_failed(item);
        for (char **name = names; !r && name && *name; name++)
                r = loaded_add_name(image, *name, err);
        return r;
}

int load_docker(struct loading *loading, struct error *err)
{
        _cleanup_json_ json_t *document = NULL;
        int r = members_get_json(loading->members, "manifest.json", &document, err);
        if (r < 0)
                return r;
        if (!json_is_array(document) || !json_array_size(document))
                return error_set(err, -EINVAL, "manifest.json: the document must be a list of images");
        for (size_t i = 0; i < json_array_size(document); i++) {
                struct json_reader reader = { .document = "manifest.json", .err = err };
                struct json_at item = json_root(&reader, json_array_get(document, i));
                struct loaded_image *image = loading_append(loading);
                r = image ? json_failed(&item) : error_memory(err);
                if (!r)
                        r = load_image(loading, &item, image, err);
                if (!r)
                        r = add_names(&item, image, err);
                if (r < 0)
                        return r;
        }
        return 0;
}
