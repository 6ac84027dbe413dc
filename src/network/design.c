/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * How a new network's definition is made of what the user asked for: the choice of subnets, addresses and names.
 */
#include <inttypes.h>
#include <string.h>
#include <sys/random.h>
#include <time.h>

#include "base/text.h"
#include "network/definition.h"
#include "network/link.h"

/* Subnets that are taken, by networks and by the host's routes. */
struct taken {
        struct {
                struct subnet subnet;
                char owner[80];
        } entries[1024];
        size_t count;
        struct networks *networks;
};

static void take(struct taken *taken, const struct subnet *subnet, const char *owner)
{
        if (!subnet->base.family || !subnet->prefix || taken->count == ARRAY_SIZE(taken->entries))
                return;
        taken->entries[taken->count].subnet = *subnet;
        snprintf(taken->entries[taken->count].owner, sizeof(taken->entries[0].owner), "%s", owner);
        taken->count++;
}

static int take_network(const struct network *network, void *data)
{
        char owner[80];
        snprintf(owner, sizeof(owner), "the network %s", network->name);
        take(data, &network->subnet, owner);
        take(data, &network->subnet6, owner);
        return 0;
}

static int take_route(const struct subnet *destination, int index, void *data)
{
        char name[IF_NAMESIZE], owner[80];
        snprintf(owner, sizeof(owner), "a route of the host through %s", if_indextoname(index, name) ? name : "?");
        take(data, destination, owner);
        return 0;
}

static const char *taken_by(const struct taken *taken, const struct subnet *subnet)
{
        for (size_t i = 0; i < taken->count; i++)
                if (subnet_overlaps(&taken->entries[i].subnet, subnet))
                        return taken->entries[i].owner;
        return NULL;
}

static int find_taken(struct networks *networks, struct taken *taken, struct error *err)
{
        struct netlink *route;
        int r = network_each(networks, take_network, taken, err);
        if (!r)
                r = networks_route(networks, &route, err);
        if (!r)
                r = route_each(route, take_route, taken, err);
        return r;
}

/* Another state folder's networks are not seen here while they are idle: each folder begins its search elsewhere. */
static unsigned first_second_byte(const struct networks *networks)
{
        return networks->realm[0] ? 96 + (unsigned)(networks_hash(networks, "subnets", NULL) % 128) : 88;
}

static int choose_subnet(struct networks *networks, const struct taken *taken, bool wide, struct subnet *subnet,
                         struct error *err)
{
        unsigned first = first_second_byte(networks), step = wide ? 256 : 1;
        for (unsigned n = wide ? 0 : 256; n < 256 * 256; n += step) {
                unsigned third = (first * 256 + n) % (256 * 256);
                *subnet = (struct subnet){ .base = { AF_INET, { 10, (uint8_t)(third >> 8), (uint8_t)third } },
                                           .prefix = wide ? 16 : 24 };
                if (!taken_by(taken, subnet))
                        return 0;
        }
        return error_set(err, -EADDRNOTAVAIL, "no free subnet is left in 10.0.0.0/8; choose one with --subnet");
}

/* RFC 4193: a random 40-bit global id makes collisions with other sites unlikely. */
static int choose_subnet6(const struct taken *taken, struct subnet *subnet, struct error *err)
{
        do {
                *subnet = (struct subnet){ .base = { AF_INET6, { 0xfd } }, .prefix = 64 };
                if (getrandom(subnet->base.bytes + 1, 7, 0) != 7)
                        return error_errno(err, "choosing an IPv6 subnet");
        } while (taken_by(taken, subnet));
        return 0;
}

/* What means something else to every host (RFC 6890), so that instances there could not be reached, or worse. */
static const struct {
        struct subnet subnet;
        const char *what;
} reserved[] = {
        { { { AF_INET, { 0 } }, 8 }, "\"this network\"" },
        { { { AF_INET, { 127 } }, 8 }, "loopback" },
        { { { AF_INET, { 169, 254 } }, 16 }, "link-local addresses" },
        { { { AF_INET, { 224 } }, 4 }, "multicast" },
        { { { AF_INET, { 240 } }, 4 }, "future use and broadcast" },
        { { { AF_INET6, { 0 } }, 8 }, "loopback, IPv4-mapped and other special addresses" },
        { { { AF_INET6, { 0xfe, 0x80 } }, 10 }, "link-local addresses" },
        { { { AF_INET6, { 0xff } }, 8 }, "multicast" },
};

/* Prefixes that leave room for a gateway and a host, and that do not take the address space of half the world. */
static const struct range {
        unsigned least, most;
} prefixes4 = { 8, 30 }, prefixes6 = { 32, 126 };

static int check_subnet(const struct subnet *subnet, const char *text, struct error *err)
{
        char other[ADDRESS_TEXT + 4];
        const struct range *prefixes = subnet->base.family == AF_INET ? &prefixes4 : &prefixes6;
        for (size_t i = 0; i < ARRAY_SIZE(reserved); i++)
                if (subnet_overlaps(&reserved[i].subnet, subnet))
                        return error_set(err, -EINVAL, "the subnet %s cannot be a network's: %s is reserved for %s",
                                         text, subnet_format(&reserved[i].subnet, other), reserved[i].what);
        if (subnet->prefix > prefixes->most)
                return error_set(err, -EINVAL, "the subnet %s has no room for a gateway and a host; at most /%u", text,
                                 prefixes->most);
        if (subnet->prefix < prefixes->least)
                return error_set(err, -EINVAL, "the subnet %s is too large for a network; at least /%u", text,
                                 prefixes->least);
        return 0;
}

static int read_subnet(const struct taken *taken, const char *text, int family, struct subnet *subnet,
                       struct error *err)
{
        if (subnet_parse(text, subnet) < 0 || subnet->base.family != family)
                return error_set(err, -EINVAL, "\"%s\" is not an %s subnet; for example %s", text,
                                 family == AF_INET ? "IPv4" : "IPv6",
                                 family == AF_INET ? "10.89.5.0/24" : "fd00:5::/64");
        int r = check_subnet(subnet, text, err);
        if (r < 0)
                return r;
        const char *owner = taken_by(taken, subnet);
        if (owner)
                return error_set(err, -EADDRINUSE, "the subnet %s overlaps that of %s; choose another", text, owner);
        return 0;
}

static int read_gateway(const char *text, const struct subnet *subnet, struct address *gateway, struct error *err)
{
        char subnet_text[ADDRESS_TEXT + 4];
        if (!text) {
                *gateway = subnet_host(subnet, 1);
                return 0;
        }
        if (!subnet->base.family || address_parse(text, gateway) < 0 || !subnet_contains(subnet, gateway) ||
            !subnet_number(subnet, gateway) || subnet_number(subnet, gateway) > subnet_last_host(subnet))
                return error_set(err, -EINVAL, "the gateway \"%s\" is not an address of a host in the subnet %s", text,
                                 subnet_format(subnet, subnet_text));
        return 0;
}

static int design_subnets(struct networks *networks, const struct network_settings *settings, struct network *network,
                          struct error *err)
{
        _cleanup_free_ struct taken *taken = calloc(1, sizeof(*taken));
        if (!taken)
                return error_memory(err);
        int r = find_taken(networks, taken, err);
        if (r < 0)
                return r;
        if (settings->subnet)
                r = read_subnet(taken, settings->subnet, AF_INET, &network->subnet, err);
        else
                r = choose_subnet(networks, taken, !strcmp(settings->name, DEFAULT_NETWORK), &network->subnet, err);
        if (!r && settings->subnet6)
                r = read_subnet(taken, settings->subnet6, AF_INET6, &network->subnet6, err);
        else if (!r && settings->ipv6)
                r = choose_subnet6(taken, &network->subnet6, err);
        if (!r)
                r = read_gateway(settings->gateway, &network->subnet, &network->gateway, err);
        if (!r && (network->subnet6.base.family || settings->gateway6))
                r = read_gateway(settings->gateway6, &network->subnet6, &network->gateway6, err);
        return r;
}

static int design_labels(char *const *labels, struct network *network, struct error *err)
{
        network->labels = json_object();
        for (size_t i = 0; labels && labels[i]; i++) {
                const char *equals = strchr(labels[i], '=');
                _cleanup_free_ char *key =
                        equals ? strndup(labels[i], (size_t)(equals - labels[i])) : strdup(labels[i]);
                if (!key)
                        return error_memory(err);
                if (!*key || json_object_set_new(network->labels, key, json_string(equals ? equals + 1 : "")) < 0)
                        return error_set(err, -EINVAL, "the label \"%s\" is not of the form key=value in UTF-8",
                                         labels[i]);
        }
        return network->labels ? 0 : error_memory(err);
}

static int design_bridge(struct networks *networks, const struct network_settings *settings, struct network *network,
                         struct error *err)
{
        if (settings->bridge) {
                if (strlen(settings->bridge) > 15 || !network_name_valid(settings->bridge))
                        return error_set(err, -EINVAL,
                                         "\"%s\" is no name for a bridge: at most 15 letters, digits, '_', "
                                         "'.' and '-'",
                                         settings->bridge);
                TEXT_COPY(network->bridge, settings->bridge);
        } else if (!strcmp(settings->name, DEFAULT_NETWORK)) {
                TEXT_COPY(network->bridge, networks->default_bridge);
        } else {
                snprintf(network->bridge, sizeof(network->bridge), "og-%08" PRIx32,
                         (uint32_t)networks_hash(networks, "bridge", settings->name, NULL));
        }
        return 0;
}

int network_design(struct networks *networks, const struct network_settings *settings, struct network *network,
                   struct error *err)
{
        _cleanup_network_ struct network made = { .internal = settings->internal, .mtu = settings->mtu };
        uint64_t id;
        if (!network_name_valid(settings->name))
                return error_set(err, -EINVAL,
                                 "\"%s\" is no name for a network: letters, digits, '_', '.' and '-', at "
                                 "most 63",
                                 settings->name);
        if (settings->mtu && (settings->mtu < 68 || settings->mtu > 65535))
                return error_set(err, -EINVAL, "an MTU of %u is out of range: 68 to 65535", settings->mtu);
        TEXT_COPY(made.name, settings->name);
        if (getrandom(&id, sizeof(id), 0) != sizeof(id))
                return error_errno(err, "choosing the network's id");
        snprintf(made.id, sizeof(made.id), "%016" PRIx64, id);
        strftime(made.created, sizeof(made.created), "%Y-%m-%dT%H:%M:%SZ", gmtime(&(time_t){ time(NULL) }));
        int r = design_bridge(networks, settings, &made, err);
        if (!r)
                r = design_labels(settings->labels, &made, err);
        if (!r)
                r = design_subnets(networks, settings, &made, err);
        if (r < 0)
                return r;
        *network = made;
        made.labels = NULL;
        return 0;
}
