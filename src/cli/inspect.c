/* SPDX-License-Identifier: GPL-2.0-or-later */
/* inspect, for instances, images, volumes and networks. */
#include <errno.h>
#include <string.h>

#include "base/json.h"
#include "base/text.h"
#include "cli/describe.h"
#include "cli/output.h"
#include "cli/rooms.h"
#include "cli/verbs.h"
#include "instance/instance.h"
#include "instance/volume.h"

struct inspect_options {
        const char *format, *type;
        bool size;
};

static const struct option_spec inspect_option_table[] = {
        { "format", 'f', OPTION_STRING, offsetof(struct inspect_options, format), "FORMAT",
          "json, or a template such as {{.State.Status}}" },
        { 0 },
};
static const struct option_spec size_option_table[] = {
        { "size", 's', OPTION_FLAG, offsetof(struct inspect_options, size), NULL, "how much an instance has written" },
        { 0 },
};
static const struct option_spec type_option_table[] = {
        { "type", 0, OPTION_STRING, offsetof(struct inspect_options, type), "TYPE",
          "container, image, volume or network" },
        { 0 },
};
static const struct option_spec *const inspect_tables[] = { inspect_option_table, size_option_table, type_option_table,
                                                            NULL };
static const struct option_spec *const instance_tables[] = { inspect_option_table, size_option_table, NULL };
static const struct option_spec *const plain_tables[] = { inspect_option_table, NULL };

static int inspect_instance(struct call *call, const char *name, const struct inspect_options *options, json_t **object,
                            struct error *err)
{
        struct host *host;
        struct instance *instance;
        int r = call_host(call, &host, err);
        if (!r)
                r = instance_find(host, name, &instance, err);
        if (r < 0)
                return r;
        r = instance_inspect(instance, options->size, object, err);
        instance_free(instance);
        return r;
}

static int inspect_image(struct call *call, const char *name, const struct inspect_options *options, json_t **object,
                         struct error *err)
{
        (void)options;
        _cleanup_store_ struct store *store = NULL;
        _cleanup_image_ struct image *image = NULL;
        int r = call_store(call, &store, err);
        if (!r)
                r = store_find(store, name, &image, err);
        if (r < 0)
                return r;
        *object = describe_image(image);
        return *object ? 0 : error_memory(err);
}

static int inspect_volume(struct call *call, const char *name, const struct inspect_options *options, json_t **object,
                          struct error *err)
{
        (void)options;
        struct host *host;
        int r = call_host(call, &host, err);
        return r < 0 ? r : volume_inspect(host, name, object, err);
}

static int inspect_network(struct call *call, const char *name, const struct inspect_options *options, json_t **object,
                           struct error *err)
{
        (void)options;
        _cleanup_networks_ struct networks *networks = NULL;
        _cleanup_json_ json_t *network = NULL;
        int r = call_networks(call, &networks, err);
        if (!r)
                r = network_inspect(networks, name, &network, err);
        if (r < 0)
                return r;
        *object = describe_network_as_docker(network);
        return *object ? 0 : error_memory(err);
}

struct kind {
        const char *name;
        int (*inspect)(struct call *call, const char *name, const struct inspect_options *options, json_t **object,
                       struct error *err);
};

/* In the order in which `onggi inspect NAME` tries them. */
static const struct kind kinds[] = {
        { "container", inspect_instance },
        { "image", inspect_image },
        { "volume", inspect_volume },
        { "network", inspect_network },
        { 0 },
};

/* A name that is no valid one for a kind is none of that kind: EINVAL. */
static int inspect_any(struct call *call, const char *name, const struct inspect_options *options, json_t **object,
                       struct error *err)
{
        for (const struct kind *kind = kinds; kind->name; kind++) {
                int r = kind->inspect(call, name, options, object, err);
                if (r != -ENOENT && r != -EINVAL)
                        return r;
        }
        return error_set(err, -ENOENT, "there is no instance, image, volume or network \"%s\"", name);
}

struct inspection {
        const struct inspect_options *options;
        const struct kind *kind;
        json_t *objects;
};

static int inspect_one(struct call *call, const char *name, void *context, struct error *err)
{
        const struct inspection *inspection = context;
        json_t *object = NULL;
        int r = inspection->kind->inspect(call, name, inspection->options, &object, err);
        if (!r && json_array_append_new(inspection->objects, object))
                r = error_memory(err);
        return r;
}

/* What is there is shown, what is not there is reported. */
static int inspect_all(struct call *call, const struct inspect_options *options, const struct kind *kind,
                       struct error *err)
{
        _cleanup_json_ json_t *objects = json_array();
        struct inspection inspection = { options, kind, objects };
        if (!objects)
                return error_memory(err);
        int status = call_each(call, inspect_one, &inspection);
        int r = objects_print(objects, options->format, stdout, err);
        return r < 0 ? r : status;
}

static int inspect(struct call *call, void *target, struct error *err)
{
        static const struct kind any = { "any", inspect_any };
        const struct inspect_options *options = target;
        const struct kind *kind = kinds;
        if (!options->type)
                return inspect_all(call, options, &any, err);
        while (kind->name && strcmp(kind->name, options->type))
                kind++;
        if (!kind->name)
                return error_set(err, -EINVAL, "--type is container, image, volume or network, not \"%s\"",
                                 options->type);
        return inspect_all(call, options, kind, err);
}

static int inspect_instances(struct call *call, void *target, struct error *err)
{
        return inspect_all(call, target, &kinds[0], err);
}

static int inspect_images(struct call *call, void *target, struct error *err)
{
        return inspect_all(call, target, &kinds[1], err);
}

static int inspect_volumes(struct call *call, void *target, struct error *err)
{
        return inspect_all(call, target, &kinds[2], err);
}

static int inspect_networks(struct call *call, void *target, struct error *err)
{
        return inspect_all(call, target, &kinds[3], err);
}

const struct command command_inspect = {
        .summary = "Show all about instances, images, volumes or networks",
        .usage = "NAME [NAME...]",
        .description = "Prints a JSON array, or what --format asks for:\n\n"
                       "    onggi inspect --format '{{.State.Status}} {{.NetworkSettings.IPAddress}}' web",
        .min = 1,
        .max = OPERANDS_MAX,
        .operands = OPERAND_INSTANCE,
        .options = inspect_tables,
        .options_size = sizeof(struct inspect_options),
        .run = inspect,
};

const struct command command_instance_inspect = {
        .summary = "Show all about instances",
        .usage = "INSTANCE [INSTANCE...]",
        .min = 1,
        .max = OPERANDS_MAX,
        .operands = OPERAND_INSTANCE,
        .options = instance_tables,
        .options_size = sizeof(struct inspect_options),
        .run = inspect_instances,
};

const struct command command_image_inspect = {
        .summary = "Show all about images",
        .usage = "IMAGE [IMAGE...]",
        .min = 1,
        .max = OPERANDS_MAX,
        .operands = OPERAND_IMAGE,
        .options = plain_tables,
        .options_size = sizeof(struct inspect_options),
        .run = inspect_images,
};

const struct command command_volume_inspect = {
        .summary = "Show all about volumes",
        .usage = "VOLUME [VOLUME...]",
        .min = 1,
        .max = OPERANDS_MAX,
        .operands = OPERAND_VOLUME,
        .options = plain_tables,
        .options_size = sizeof(struct inspect_options),
        .run = inspect_volumes,
};

const struct command command_network_inspect = {
        .summary = "Show all about networks",
        .usage = "NETWORK [NETWORK...]",
        .min = 1,
        .max = OPERANDS_MAX,
        .operands = OPERAND_NETWORK,
        .options = plain_tables,
        .options_size = sizeof(struct inspect_options),
        .run = inspect_networks,
};
