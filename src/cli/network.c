/* SPDX-License-Identifier: GPL-2.0-or-later */
/* network create, ls, rm, connect, disconnect. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/json.h"
#include "base/text.h"
#include "cli/describe.h"
#include "cli/filter.h"
#include "cli/output.h"
#include "cli/rooms.h"
#include "cli/verbs.h"
#include "instance/connect.h"

/* ---- create ---- */

struct create_options {
        bool ipv6, internal;
        const char *driver;
        char **subnets, **gateways, **labels, **driver_options;
};

static const struct option_spec create_option_table[] = {
        { "driver", 'd', OPTION_STRING, offsetof(struct create_options, driver), "DRIVER", "bridge" },
        { "subnet", 0, OPTION_LIST, offsetof(struct create_options, subnets), "ADDRESS/BITS",
          "its addresses; one IPv4 and one IPv6 subnet" },
        { "gateway", 0, OPTION_LIST, offsetof(struct create_options, gateways), "ADDRESS", "the host's address on it" },
        { "ipv6", 0, OPTION_FLAG, offsetof(struct create_options, ipv6), NULL, "give it an IPv6 subnet of its own" },
        { "internal", 0, OPTION_FLAG, offsetof(struct create_options, internal), NULL, "without a way to outside" },
        { "label", 0, OPTION_LIST, offsetof(struct create_options, labels), "KEY[=VALUE]", "attach a label" },
        { "opt", 'o', OPTION_LIST, offsetof(struct create_options, driver_options), "NAME=VALUE",
          "com.docker.network.driver.mtu, com.docker.network.bridge.name" },
        { 0 },
};
static const struct option_spec *const create_tables[] = { create_option_table, NULL };

/* Sorts addresses by their family: there is room for one of each. */
static int split(char *const *addresses, const char *option, const char **ipv4, const char **ipv6, struct error *err)
{
        for (; addresses && *addresses; addresses++) {
                const char **place = strchr(*addresses, ':') ? ipv6 : ipv4;
                if (*place)
                        return error_set(err, -EINVAL,
                                         "%s is given twice for %s; a network has one subnet of each family", option,
                                         place == ipv6 ? "IPv6" : "IPv4");
                *place = *addresses;
        }
        return 0;
}

static int read_driver_options(char *const *options, struct network_settings *settings, struct error *err)
{
        static const char mtu[] = "com.docker.network.driver.mtu=", bridge[] = "com.docker.network.bridge.name=";
        for (; options && *options; options++) {
                uint64_t number;
                if (text_starts(*options, bridge)) {
                        settings->bridge = *options + strlen(bridge);
                } else if (text_starts(*options, mtu)) {
                        if (parse_u64(*options + strlen(mtu), &number) < 0 || number < 68 || number > 65535)
                                return error_set(err, -EINVAL, "--opt %s: an MTU is a number from 68 to 65535",
                                                 *options);
                        settings->mtu = (unsigned)number;
                } else {
                        return error_set(err, -EINVAL, "--opt %s is not known; there are %s and %s", *options, mtu,
                                         bridge);
                }
        }
        return 0;
}

static int create(struct call *call, void *target, struct error *err)
{
        const struct create_options *options = target;
        struct network_settings settings = {
                .name = call->operands[0],
                .ipv6 = options->ipv6,
                .internal = options->internal,
                .labels = options->labels,
        };
        _cleanup_networks_ struct networks *networks = NULL;
        _cleanup_json_ json_t *network = NULL;
        if (options->driver && strcmp(options->driver, "bridge"))
                return error_set(err, -EINVAL, "there is no network driver \"%s\"; there is bridge", options->driver);
        int r = split(options->subnets, "--subnet", &settings.subnet, &settings.subnet6, err);
        if (!r)
                r = split(options->gateways, "--gateway", &settings.gateway, &settings.gateway6, err);
        if (!r)
                r = read_driver_options(options->driver_options, &settings, err);
        if (!r)
                r = call_networks(call, &networks, err);
        if (!r)
                r = network_create(networks, &settings, err);
        if (!r)
                r = network_inspect(networks, settings.name, &network, err);
        if (!r)
                puts(json_string_value(json_object_get(network, "id")));
        return r;
}

/* ---- ls ---- */

static const struct option_spec *const list_tables[] = { listing_option_table, NULL };

static const struct column columns[] = {
        { "ID", "NETWORK ID", SHORTEN_ID, false }, { "Name", NULL, SHORTEN_NOT, false },
        { "Driver", NULL, SHORTEN_NOT, false },    { "Scope", NULL, SHORTEN_NOT, false },
        { "Subnet", NULL, SHORTEN_NOT, false },    { 0 },
};
static const struct listing listing = { "ID", columns };

static const struct filter_key filter_keys[] = {
        { "name", "Name", FILTER_PART },
        { "id", "ID", FILTER_START },
        { "driver", "Driver", FILTER_EXACT },
        { "label", ".Labels", FILTER_LABEL },
        { "dangling", ".Dangling", FILTER_BOOL },
        { "type", ".Type", FILTER_EXACT },
        { 0 },
};

static json_t *row(const json_t *network)
{
        static const struct {
                const char *field, *member;
        } copied[] = {
                { "ID", "id" },          { "Name", "name" },         { "Driver", "driver" },
                { "Subnet", "subnet" },  { "Internal", "internal" }, { "CreatedAt", "created" },
                { ".Labels", "labels" },
        };
        json_t *row = json_object();
        for (size_t i = 0; i < ARRAY_SIZE(copied); i++)
                json_object_set(row, copied[i].field, json_object_get(network, copied[i].member));
        json_object_set_new(row, "Scope", json_string("local"));
        json_object_set_new(row, "Labels", labels_as_text(json_object_get(network, "labels")));
        bool builtin = text_equal(json_string_value(json_object_get(network, "name")), "default");
        json_object_set_new(row, ".Type", json_string(builtin ? "builtin" : "custom"));
        json_object_set_new(row, ".Dangling", json_boolean(!json_object_size(json_object_get(network, "instances"))));
        return row;
}

static int list(struct call *call, void *target, struct error *err)
{
        const struct listing_options *options = target;
        _cleanup_networks_ struct networks *networks = NULL;
        _cleanup_json_ json_t *all = NULL, *rows = json_array();
        int r = call_networks(call, &networks, err);
        if (!r)
                r = network_list(networks, &all, err);
        if (r < 0)
                return r;
        size_t i;
        json_t *network;
        json_array_foreach(all, i, network)
                if (json_array_append_new(rows, row(network)))
                        return error_memory(err);
        r = filter_apply(rows, options->filters, filter_keys, err);
        filter_forget(rows);
        return r < 0 ? r : listing_print(&listing, rows, options, stdout, err);
}

/* ---- rm ---- */

struct remove_options {
        bool force;
        struct networks *networks;
};

static const struct option_spec remove_option_table[] = {
        { "force", 'f', OPTION_FLAG, offsetof(struct remove_options, force), NULL,
          "take instances off it; one that is gone is no failure" },
        { 0 },
};
static const struct option_spec *const remove_tables[] = { remove_option_table, NULL };

/* So that their records say it too. What fails here, network_remove() does to the attachments that are left. */
static void disconnect_all(struct call *call, const struct remove_options *options, const char *name)
{
        struct host *host;
        const char *id;
        json_t *lease;
        _cleanup_json_ json_t *network = NULL;
        if (text_equal(name, "default") || call_host(call, &host, NULL) < 0 ||
            network_inspect(options->networks, name, &network, NULL) < 0)
                return;
        json_object_foreach(json_object_get(network, "instances"), id, lease) {
                struct instance *instance;
                if (instance_find(host, id, &instance, NULL) < 0)
                        continue;
                instance_disconnect(instance, name, NULL);
                instance_free(instance);
        }
}

static int remove_one(struct call *call, const char *name, void *context, struct error *err)
{
        const struct remove_options *options = context;
        if (options->force)
                disconnect_all(call, options, name);
        int r = network_remove(options->networks, name, options->force, err);
        if (r == -ENOENT && options->force) {
                report(err);
                return 0;
        }
        if (!r)
                puts(name);
        return r;
}

static int remove_all(struct call *call, void *target, struct error *err)
{
        struct remove_options *options = target;
        int r = call_networks(call, &options->networks, err);
        if (r < 0)
                return r;
        r = call_each(call, remove_one, options);
        networks_close(options->networks);
        return r;
}

/* ---- connect, disconnect ---- */

struct connect_options {
        const char *address, *address6;
        char **aliases;
        bool force;
};

static const struct option_spec connect_option_table[] = {
        { "ip", 0, OPTION_STRING, offsetof(struct connect_options, address), "ADDRESS", "its IPv4 address there" },
        { "ip6", 0, OPTION_STRING, offsetof(struct connect_options, address6), "ADDRESS", "its IPv6 address there" },
        { "alias", 0, OPTION_LIST, offsetof(struct connect_options, aliases), "NAME", "one more name there" },
        { 0 },
};
static const struct option_spec *const connect_tables[] = { connect_option_table, NULL };

static const struct option_spec disconnect_option_table[] = {
        { "force", 'f', OPTION_FLAG, offsetof(struct connect_options, force), NULL,
          "an instance that is not on it is no failure" },
        { 0 },
};
static const struct option_spec *const disconnect_tables[] = { disconnect_option_table, NULL };

static int find_instance(struct call *call, struct instance **instance, struct error *err)
{
        struct host *host;
        int r = call_host(call, &host, err);
        return r < 0 ? r : instance_find(host, call->operands[1], instance, err);
}

static int connect(struct call *call, void *target, struct error *err)
{
        const struct connect_options *options = target;
        const struct network_connection connection = {
                .network = call->operands[0],
                .address = options->address,
                .address6 = options->address6,
                .aliases = options->aliases,
        };
        struct instance *instance;
        int r = find_instance(call, &instance, err);
        if (r < 0)
                return r;
        r = instance_connect(instance, &connection, err);
        instance_free(instance);
        return r;
}

static int disconnect(struct call *call, void *target, struct error *err)
{
        const struct connect_options *options = target;
        struct instance *instance;
        int r = find_instance(call, &instance, err);
        if (r < 0)
                return r;
        r = instance_disconnect(instance, call->operands[0], err);
        instance_free(instance);
        if (r == -ENOENT && options->force) {
                report(err);
                return 0;
        }
        return r;
}

const struct command command_network_connect = {
        .summary = "Connect an instance to one more network",
        .usage = "NETWORK INSTANCE",
        .description = "At once if it runs, and at each later start.",
        .min = 2,
        .max = 2,
        .operands = OPERAND_NETWORK,
        .options = connect_tables,
        .options_size = sizeof(struct connect_options),
        .run = connect,
};

const struct command command_network_disconnect = {
        .summary = "Take an instance off a network",
        .usage = "NETWORK INSTANCE",
        .min = 2,
        .max = 2,
        .operands = OPERAND_NETWORK,
        .options = disconnect_tables,
        .options_size = sizeof(struct connect_options),
        .run = disconnect,
};

const struct command command_network_create = {
        .summary = "Create a network",
        .usage = "NETWORK",
        .description = "    onggi network create --subnet 10.10.0.0/24 backend",
        .min = 1,
        .max = 1,
        .options = create_tables,
        .options_size = sizeof(struct create_options),
        .run = create,
};

const struct command command_network_list = {
        .summary = "List networks",
        .usage = "",
        .description = "Filters: name, id, driver, label, dangling, type (custom or builtin).",
        .options = list_tables,
        .options_size = sizeof(struct listing_options),
        .run = list,
};

const struct command command_network_remove = {
        .summary = "Remove networks",
        .usage = "NETWORK [NETWORK...]",
        .min = 1,
        .max = OPERANDS_MAX,
        .operands = OPERAND_NETWORK,
        .options = remove_tables,
        .options_size = sizeof(struct remove_options),
        .run = remove_all,
};
