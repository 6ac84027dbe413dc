/* SPDX-License-Identifier: GPL-2.0-or-later */
/* volume create, ls, rm. */
#include "instance/volume.h"

#include <errno.h>
#include <stdio.h>

#include "base/json.h"
#include "base/text.h"
#include "cli/describe.h"
#include "cli/output.h"
#include "cli/verbs.h"

struct create_options {
        const char *name, *driver;
        char **labels, **driver_options;
};

static const struct option_spec create_option_table[] = {
        { "driver", 'd', OPTION_STRING, offsetof(struct create_options, driver), "DRIVER", "local" },
        { "label", 0, OPTION_LIST, offsetof(struct create_options, labels), "KEY[=VALUE]", "attach a label" },
        { "name", 0, OPTION_STRING, offsetof(struct create_options, name), "NAME", NULL },
        { "opt", 'o', OPTION_LIST, offsetof(struct create_options, driver_options), "NAME=VALUE",
          "type=none|tmpfs, device=…, o=MOUNT OPTIONS" },
        { 0 },
};
static const struct option_spec *const create_tables[] = { create_option_table, NULL };

static int create(struct call *call, void *target, struct error *err)
{
        const struct create_options *options = target;
        struct host *host;
        _cleanup_free_ char *name = NULL;
        if (options->driver && !text_equal(options->driver, "local"))
                return error_set(err, -EINVAL, "there is no volume driver \"%s\"; there is local", options->driver);
        int r = call_host(call, &host, err);
        if (!r)
                r = volume_create(host, call->operand_count ? call->operands[0] : options->name, options->labels,
                                  options->driver_options, &name, NULL, err);
        if (!r)
                puts(name);
        return r;
}

static const struct option_spec *const list_tables[] = { listing_option_table, NULL };

static const struct column columns[] = {
        { "Driver", NULL, SHORTEN_NOT, false },
        { "Name", "VOLUME NAME", SHORTEN_NOT, false },
        { 0 },
};
static const struct listing listing = { "Name", columns };

static int list(struct call *call, void *target, struct error *err)
{
        const struct listing_options *options = target;
        struct host *host;
        _cleanup_json_ json_t *volumes = NULL;
        int r = call_host(call, &host, err);
        if (!r)
                r = volume_list(host, options->filters, &volumes, err);
        if (r < 0)
                return r;
        size_t i;
        json_t *volume;
        json_array_foreach(volumes, i, volume)
                json_object_set_new(volume, "Labels", labels_as_text(json_object_get(volume, "Labels")));
        return listing_print(&listing, volumes, options, stdout, err);
}

struct remove_options {
        bool force;
};

static const struct option_spec remove_option_table[] = {
        { "force", 'f', OPTION_FLAG, offsetof(struct remove_options, force), NULL, "one that is gone is no failure" },
        { 0 },
};
static const struct option_spec *const remove_tables[] = { remove_option_table, NULL };

static int remove_one(struct call *call, const char *name, void *context, struct error *err)
{
        const struct remove_options *options = context;
        struct host *host;
        int r = call_host(call, &host, err);
        if (!r)
                r = volume_remove(host, name, options->force, err);
        if (!r)
                puts(name);
        return r;
}

static int remove_all(struct call *call, void *target, struct error *err)
{
        (void)err;
        return call_each(call, remove_one, target);
}

const struct command command_volume_create = {
        .summary = "Create a volume",
        .usage = "[VOLUME]",
        .description = "Without a name one is made up. Prints the name.",
        .max = 1,
        .options = create_tables,
        .options_size = sizeof(struct create_options),
        .run = create,
};

const struct command command_volume_list = {
        .summary = "List volumes",
        .usage = "",
        .description = "Filters: name, label, dangling, driver.",
        .options = list_tables,
        .options_size = sizeof(struct listing_options),
        .run = list,
};

const struct command command_volume_remove = {
        .summary = "Remove volumes",
        .usage = "VOLUME [VOLUME...]",
        .min = 1,
        .max = OPERANDS_MAX,
        .operands = OPERAND_VOLUME,
        .options = remove_tables,
        .options_size = sizeof(struct remove_options),
        .run = remove_all,
};
