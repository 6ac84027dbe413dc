/* SPDX-License-Identifier: GPL-2.0-or-later */
/* images, tag, rmi. */
#include <errno.h>
#include <string.h>
#include <time.h>

#include "base/human.h"
#include "base/json.h"
#include "base/text.h"
#include "cli/filter.h"
#include "cli/output.h"
#include "cli/rooms.h"
#include "cli/verbs.h"
#include "image/reference.h"
#include "instance/timestamp.h"

struct images_options {
        struct listing_options listing; /* first */
        bool all, digests;
};

static const struct option_spec images_option_table[] = {
        { "digests", 0, OPTION_FLAG, offsetof(struct images_options, digests), NULL,
          "show the digests of their manifests" },
        { "all", 'a', OPTION_FLAG, offsetof(struct images_options, all), NULL,
          "all; they always are, there are no hidden ones" },
        { 0 },
};
static const struct option_spec *const images_tables[] = { images_option_table, listing_option_table, NULL };

static const struct filter_key filter_keys[] = {
        { "reference", ".References", FILTER_GLOB },
        { "label", ".Labels", FILTER_LABEL },
        { "dangling", ".Dangling", FILTER_BOOL },
        { "id", "ID", FILTER_START },
        { 0 },
};

static json_t *since(const char *created)
{
        struct timespec then, now;
        char ago[HUMAN_ROOM];
        if (!created || timestamp_parse(created, &then) < 0)
                return json_string("N/A");
        clock_gettime(CLOCK_REALTIME, &now);
        return json_sprintf("%s ago", human_duration(now.tv_sec - then.tv_sec, ago));
}

/* One line: an image under one of its names (NULL: it has none). */
static json_t *row(const struct image *image, const char *name)
{
        struct reference reference = { 0 };
        if (name && reference_parse(name, &reference, NULL) < 0)
                snprintf(reference.name, sizeof(reference.name), "%s", name);
        json_t *labels = json_object_get(json_object_get(image->config, "config"), "Labels");
        char size[HUMAN_ROOM];
        json_t *row = json_object();
        json_object_set_new(row, "Repository", json_string(name ? reference.name : "<none>"));
        json_object_set_new(row, "Tag", json_string(reference.tag[0] ? reference.tag : "<none>"));
        json_object_set_new(row, "Digest", json_string(image->digest));
        json_object_set_new(row, "ID", json_string(image->id ? image->id : "<broken>"));
        json_object_set_new(row, "CreatedSince", since(image->created));
        json_object_set_new(row, "CreatedAt", json_string(image->created ? image->created : "N/A"));
        json_object_set_new(row, "Size", json_string(human_size(image->size, size)));
        json_object_set_new(row, ".References", json_pack("[s, s]", reference.name, name ? name : ""));
        json_object_set_new(row, ".Labels", labels ? json_incref(labels) : json_object());
        json_object_set_new(row, ".Dangling", json_boolean(!name));
        return row;
}

/* "nginx" shows all its tags, "nginx:1.22" one, patterns too. */
static int keep_named(json_t *rows, const char *name, struct error *err)
{
        _cleanup_list_ char **filters = NULL;
        if (list_printf(&filters, "reference=%s", name) < 0)
                return error_memory(err);
        return filter_apply(rows, filters, filter_keys, err);
}

/* Removes the rows of images that were not created before (or since) the one that the filter names. */
static int keep_of_age(struct store *store, json_t *rows, const char *filter, bool before, struct error *err)
{
        _cleanup_image_ struct image *image = NULL;
        struct timespec limit, created;
        int r = store_find(store, strchr(filter, '=') + 1, &image, err);
        if (r < 0)
                return error_prefix(err, "--filter %s", filter);
        if (!image->created || timestamp_parse(image->created, &limit) < 0)
                return error_set(err, -EINVAL, "--filter %s: it is not known when that image was created", filter);
        for (size_t i = json_array_size(rows); i-- > 0;) {
                const char *text = json_string_value(json_object_get(json_array_get(rows, i), "CreatedAt"));
                int order = text && !timestamp_parse(text, &created) ? timestamp_compare(&created, &limit) : 0;
                if (before ? order >= 0 : order <= 0)
                        json_array_remove(rows, i);
        }
        return 0;
}

static int apply_filters(struct store *store, json_t *rows, char *const *filters, struct error *err)
{
        _cleanup_list_ char **others = NULL;
        int r = 0;
        for (; !r && filters && *filters; filters++) {
                bool before = text_starts(*filters, "before=");
                if (before || text_starts(*filters, "since="))
                        r = keep_of_age(store, rows, *filters, before, err);
                else if (list_append(&others, *filters) < 0)
                        r = error_memory(err);
        }
        return r < 0 ? r : filter_apply(rows, others, filter_keys, err);
}

static int collect(struct store *store, json_t *rows, struct error *err)
{
        struct image **list;
        size_t count;
        int r = store_list(store, &list, &count, err);
        if (r < 0)
                return r;
        for (size_t i = 0; i < count; i++) {
                char **name = list[i]->names;
                do
                        if (json_array_append_new(rows, row(list[i], name ? *name : NULL)))
                                r = error_memory(err);
                while (name && *name && *++name);
        }
        image_list_free(list, count);
        return r;
}

static int images(struct call *call, void *target, struct error *err)
{
        const struct images_options *options = target;
        const struct column columns[] = {
                { "Repository", NULL, SHORTEN_NOT, false },
                { "Tag", NULL, SHORTEN_NOT, false },
                { "Digest", NULL, SHORTEN_NOT, !options->digests },
                { "ID", "IMAGE ID", SHORTEN_ID, false },
                { "CreatedSince", "CREATED", SHORTEN_NOT, false },
                { "Size", NULL, SHORTEN_NOT, false },
                { 0 },
        };
        const struct listing listing = { "ID", columns };
        _cleanup_store_ struct store *store = NULL;
        _cleanup_json_ json_t *rows = json_array();
        int r = call_store(call, &store, err);
        if (!r)
                r = collect(store, rows, err);
        if (!r && call->operand_count)
                r = keep_named(rows, call->operands[0], err);
        if (!r)
                r = apply_filters(store, rows, options->listing.filters, err);
        filter_forget(rows);
        return r < 0 ? r : listing_print(&listing, rows, &options->listing, stdout, err);
}

static int tag(struct call *call, void *target, struct error *err)
{
        (void)target;
        _cleanup_store_ struct store *store = NULL;
        int r = call_store(call, &store, err);
        return r < 0 ? r : store_tag(store, call->operands[0], call->operands[1], err);
}

struct remove_options {
        bool force;
        struct store *store;
};

static const struct option_spec remove_option_table[] = {
        { "force", 'f', OPTION_FLAG, offsetof(struct remove_options, force), NULL,
          "take the names of an image that an instance uses, or that has several; one that is gone is no failure" },
        { 0 },
};
static const struct option_spec *const remove_tables[] = { remove_option_table, NULL };

static int remove_one(struct call *call, const char *name, void *context, struct error *err)
{
        (void)call;
        const struct remove_options *options = context;
        int r = store_untag(options->store, name, options->force, err);
        if (r == -ENOENT && options->force) {
                report(err);
                return 0;
        }
        if (!r)
                printf("Untagged: %s\n", name);
        return r;
}

static int remove_all(struct call *call, void *target, struct error *err)
{
        struct remove_options *options = target;
        int r = call_store(call, &options->store, err);
        if (r < 0)
                return r;
        r = call_each(call, remove_one, options);
        store_close(options->store);
        return r;
}

const struct command command_images = {
        .summary = "List images",
        .usage = "[NAME[:TAG]]",
        .description =
                "Filters: reference, label, dangling, id, before, since. NAME may be a pattern such as 'debian:*'.",
        .max = 1,
        .operands = OPERAND_IMAGE,
        .options = images_tables,
        .options_size = sizeof(struct images_options),
        .run = images,
};

const struct command command_tag = {
        .summary = "Give an image one more name",
        .usage = "IMAGE NAME[:TAG]",
        .min = 2,
        .max = 2,
        .operands = OPERAND_IMAGE,
        .run = tag,
};

const struct command command_rmi = {
        .summary = "Take names from images, and remove those without a name",
        .usage = "IMAGE [IMAGE...]",
        .min = 1,
        .max = OPERANDS_MAX,
        .operands = OPERAND_IMAGE,
        .options = remove_tables,
        .options_size = sizeof(struct remove_options),
        .run = remove_all,
};
