/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "image/load.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>

#include "base/json.h"
#include "base/text.h"
#include "image/image_config.h"
#include "image/layout.h"
#include "image/loaded.h"
#include "image/lookup.h"
#include "image/unpack.h"

struct loaded_image *loading_append(struct loading *loading)
{
        struct loaded_image *grown = realloc(loading->images, (loading->count + 1) * sizeof(*grown));
        if (!grown)
                return NULL;
        loading->images = grown;
        grown[loading->count] = (struct loaded_image){ 0 };
        return &grown[loading->count++];
}

int loaded_add_name(struct loaded_image *image, const char *name, struct error *err)
{
        struct reference reference;
        struct error why = { 0 };
        if (reference_parse(name, &reference, &why) < 0 || !reference.tag[0]) {
                fprintf(stderr, "%s: an image comes without its name: %s\n", program_invocation_short_name,
                        why.code ? why.text : name);
                return 0;
        }
        return list_append(&image->names, reference.text) < 0 ? error_memory(err) : 0;
}

static int name_image(struct loading *loading, const struct loaded_image *image, char ***loaded, struct error *err)
{
        struct store *store = loading->adding->store;
        const struct descriptor *manifest = &image->manifest;
        if (!image->names) {
                int r = layout_name(store, manifest->media_type, &manifest->digest, manifest->size, NULL, err);
                return r < 0 ? r : list_append(loaded, image->id.text) < 0 ? error_memory(err) : 0;
        }
        for (char **name = image->names; *name; name++) {
                int r = layout_name(store, manifest->media_type, &manifest->digest, manifest->size, *name, err);
                if (r < 0)
                        return r;
                if (list_append(loaded, *name) < 0)
                        return error_memory(err);
        }
        return 0;
}

static bool has_member(struct members *members, const char *name)
{
        struct blob_file file;
        return !members_get(members, name, &file, NULL);
}

static int load_members(struct loading *loading, char ***loaded, struct error *err)
{
        int r;
        if (has_member(loading->members, "index.json"))
                r = load_oci(loading, err);
        else if (has_member(loading->members, "manifest.json"))
                r = load_docker(loading, err);
        else
                return error_set(err, -EINVAL,
                                 "%s is neither a docker archive (it has no manifest.json) nor an OCI image (no "
                                 "index.json); a root file system is for `import`",
                                 loading->what);
        for (size_t i = 0; !r && i < loading->count; i++)
                r = name_image(loading, &loading->images[i], loaded, err);
        return r;
}

static void free_images(struct loading *loading)
{
        for (size_t i = 0; i < loading->count; i++)
                list_free(loading->images[i].names);
        free(loading->images);
}

static int open_source(const char *path, struct error *err)
{
        bool input = text_equal(path, "-");
        _cleanup_close_ int fd = input ? dup(STDIN_FILENO) : open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY);
        if (fd < 0)
                return error_errno(err, "cannot open %s", input ? "standard input" : path);
        if (input && isatty(fd))
                return error_set(err, -EINVAL,
                                 "standard input is a terminal; give an archive to it, or name one with --input");
        return TAKE_FD(fd);
}

int image_load(struct store *store, const char *path, const struct load_options *options, char ***loaded,
               struct error *err)
{
        _cleanup_close_ int fd = open_source(path, err);
        if (fd < 0)
                return fd;
        _cleanup_adding_ struct adding *adding = NULL;
        _cleanup_members_ struct members *members = NULL;
        struct loading loading = { .what = text_equal(path, "-") ? "standard input" : path, .limits = options->limits };
        int r = adding_begin(store, &adding, err);
        if (!r)
                r = members_open(adding, fd, loading.what, &options->limits, &members, err);
        if (r < 0)
                return r;
        loading.adding = adding;
        loading.members = members;
        _cleanup_list_ char **lines = NULL;
        r = load_members(&loading, &lines, err);
        free_images(&loading);
        if (r < 0)
                return r;
        adding->done = true;
        *loaded = TAKE_PTR(lines);
        return 0;
}

static int unpack_found(struct adding *adding, const struct descriptor *entry, const struct stream_limits *limits,
                        struct error *err)
{
        _cleanup_json_ json_t *document = NULL, *config = NULL;
        _cleanup_free_ struct digest *diff_ids = NULL;
        struct descriptor found;
        struct manifest manifest;
        size_t count = 0;
        int r = lookup_manifest(adding->store, entry, "image manifest", &document, &found, err);
        if (!r)
                r = manifest_parse(document, "image manifest", &manifest, err);
        if (r < 0)
                return r;
        r = blob_read_json(adding->store, &manifest.config.digest, manifest.config.size, "image configuration", &config,
                           err);
        if (!r)
                r = image_config_check(config, "image configuration", &diff_ids, &count, err);
        if (!r && count != manifest.layer_count)
                r = error_set(err, -EINVAL, "the manifest has %zu layers, the configuration %zu diff_ids",
                              manifest.layer_count, count);
        if (!r)
                r = unpack_layers(adding, &manifest, diff_ids, false, limits, err);
        manifest_free(&manifest);
        return r;
}

int image_unpack(struct store *store, const char *reference, const struct stream_limits *limits, struct error *err)
{
        _cleanup_adding_ struct adding *adding = NULL;
        _cleanup_json_ json_t *index = NULL;
        struct match match;
        int r = adding_begin(store, &adding, err);
        if (!r)
                r = layout_read(store, &index, err);
        if (!r)
                r = lookup_entry(store, index, reference, &match, err);
        if (r < 0)
                return r;
        struct descriptor entry = lookup_descriptor(match.entry);
        r = unpack_found(adding, &entry, limits, err);
        adding->done = !r;
        return r < 0 && err ? error_prefix(err, "image %s", reference) : r;
}
