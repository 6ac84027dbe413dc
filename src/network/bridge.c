/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "network/bridge.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "base/test_point.h"
#include "network/firewall.h"
#include "network/link.h"

/* The networks with leases, as firewall_apply() wants them. */
struct active {
        struct firewall_network *entries;
        struct network *definitions;
        struct leases *leases;
        size_t count;
};

static void active_clear(struct active *active)
{
        for (size_t i = 0; i < active->count; i++) {
                network_clear(&active->definitions[i]);
                leases_clear(&active->leases[i]);
        }
        free(active->entries);
        free(active->definitions);
        free(active->leases);
}

static int load_active(struct networks *networks, const char *name, struct active *active, struct error *err)
{
        size_t i = active->count;
        int r = network_load(networks, name, &active->definitions[i], err);
        if (r < 0)
                return r == -ENOENT ? 0 : r;
        r = leases_load(networks, name, &active->leases[i], err);
        if (r < 0) {
                network_clear(&active->definitions[i]);
                return r;
        }
        active->entries[i] = (struct firewall_network){ &active->definitions[i], &active->leases[i] };
        active->count++;
        return 0;
}

int bridge_refresh_firewall(struct networks *networks, const struct network *network, const struct leases *leases,
                            struct error *err)
{
        __attribute__((cleanup(active_clear))) struct active active = { 0 };
        _cleanup_list_ char **names = NULL;
        if (networks->rootless)
                return 0;
        int r = leases_networks(networks, &names, err);
        if (r < 0)
                return r;
        size_t room = list_length(names) + 1;
        active.entries = calloc(room, sizeof(*active.entries));
        active.definitions = calloc(room, sizeof(*active.definitions));
        active.leases = calloc(room, sizeof(*active.leases));
        if (!active.entries || !active.definitions || !active.leases)
                return error_memory(err);
        for (size_t i = 0; !r && names && names[i]; i++)
                if (!network || strcmp(names[i], network->name))
                        r = load_active(networks, names[i], &active, err);
        if (r < 0)
                return r;
        size_t count = active.count;
        if (network)
                active.entries[count++] = (struct firewall_network){ network, leases };
        return count ? firewall_apply(networks, active.entries, count, err) : firewall_remove(networks, err);
}

static int want_sysctl(const char *path, struct error *err)
{
        _cleanup_free_ char *value = NULL;
        int r = file_read(AT_FDCWD, path, 64, &value, NULL, err);
        if (r < 0)
                return r;
        return value[0] == '1' ? 0 : file_poke(AT_FDCWD, path, "1", err);
}

/* The host routes between the networks and outside; what may pass is up to the forward chain. */
static int allow_forwarding(const struct network *network, struct error *err)
{
        int r = want_sysctl("/proc/sys/net/ipv4/ip_forward", err);
        if (!r && network->subnet6.base.family)
                r = want_sysctl("/proc/sys/net/ipv6/conf/all/forwarding", err);
        return r < 0 ? error_prefix(err, "allowing the host to forward packets") : 0;
}

/* The host must not take router advertisements from an instance; without a subnet it needs no IPv6 there at all. */
static int guard_ipv6(const struct network *network, struct error *err)
{
        char path[80];
        snprintf(path, sizeof(path), "/proc/sys/net/ipv6/conf/%s/%s", network->bridge,
                 network->subnet6.base.family ? "accept_ra" : "disable_ipv6");
        int r = file_poke(AT_FDCWD, path, network->subnet6.base.family ? "0" : "1", err);
        return r == -ENOENT && !network->subnet6.base.family ? 0 : r;
}

struct overlap {
        const struct network *network;
        int own;
        int other; /* interface with a route that overlaps */
};

static int check_route(const struct subnet *destination, int index, void *data)
{
        struct overlap *overlap = data;
        if (destination->prefix && index != overlap->own &&
            (subnet_overlaps(destination, &overlap->network->subnet) ||
             subnet_overlaps(destination, &overlap->network->subnet6)))
                overlap->other = index;
        return 0;
}

static int check_routes(struct netlink *route, const struct network *network, int own, struct error *err)
{
        struct overlap overlap = { network, own, 0 };
        char name[IF_NAMESIZE], subnet[ADDRESS_TEXT + 4];
        int r = route_each(route, check_route, &overlap, err);
        if (r < 0 || !overlap.other)
                return r;
        return error_set(err, -EADDRINUSE,
                         "the subnet %s of the network %s overlaps a route of the host through %s; make "
                         "the network anew with another subnet",
                         subnet_format(&network->subnet, subnet), network->name,
                         if_indextoname((unsigned)overlap.other, name) ? name : "?");
}

static int furnish(struct networks *networks, const struct network *network, struct link *bridge, struct error *err)
{
        struct netlink *route = networks->route;
        /* Where an ordinary user's bridges are, nothing is routed, and nobody listens. */
        int r = networks->rootless ? 0 : check_routes(route, network, bridge->index, err);
        if (!r && !networks->rootless)
                r = allow_forwarding(network, err);
        if (!r && !networks->rootless)
                r = guard_ipv6(network, err);
        if (r < 0)
                return r;
        address_add_queue(route, bridge->index, &network->gateway, network->subnet.prefix);
        if (network->subnet6.base.family)
                address_add_queue(route, bridge->index, &network->gateway6, network->subnet6.prefix);
        link_up_queue(route, bridge->index);
        return netlink_commit(route, NULL, NULL, "setting up the bridge", err);
}

static int make_bridge(struct networks *networks, const struct network *network, struct link *bridge, struct error *err)
{
        uint8_t mac[6];
        address_mac(&network->gateway, mac);
        link_bridge_queue(networks->route, network->bridge, mac, network->mtu);
        int r = netlink_commit(networks->route, NULL, NULL, "making a bridge", err);
        if (!r)
                r = link_find(networks->route, network->bridge, bridge, err);
        test_point("network.bridge.made");
        return r;
}

static int find_or_make(struct networks *networks, const struct network *network, struct link *bridge,
                        struct error *err)
{
        int r = link_find(networks->route, network->bridge, bridge, err);
        if (r == -ENODEV)
                r = make_bridge(networks, network, bridge, err);
        if (r < 0)
                return r;
        if (strcmp(bridge->kind, "bridge"))
                return error_set(err, -EEXIST, "the host has an interface %s that is no bridge", network->bridge);
        if (bridge->up)
                return 0;
        r = furnish(networks, network, bridge, err);
        if (r < 0) {
                link_delete_queue(networks->route, bridge->index);
                netlink_commit(networks->route, NULL, NULL, "undoing", NULL);
        }
        return r;
}

/* A bridge that is up has its rules, unless somebody flushed all of the host's. */
static int raise_firewall(struct networks *networks, const struct network *network, const struct leases *leases,
                          const struct lease *added, struct error *err)
{
        struct link bridge;
        if (networks->rootless)
                return 0;
        int r = link_find(networks->route, network->bridge, &bridge, err);
        if (r < 0 && r != -ENODEV)
                return r;
        if (!r && bridge.up)
                r = firewall_present(networks, err);
        else
                r = 0;
        if (r < 0)
                return r;
        if (r > 0 && !firewall_open(networks, network, added, NULL))
                return 0;
        return bridge_refresh_firewall(networks, network, leases, err);
}

int bridge_raise(struct networks *networks, const struct network *network, const struct leases *leases,
                 const struct lease *added, int *index, struct error *err)
{
        struct netlink *route;
        struct link bridge;
        int r = networks_route(networks, &route, err);
        if (!r)
                r = raise_firewall(networks, network, leases, added, err);
        if (!r)
                test_point("network.firewall.made");
        if (!r)
                r = find_or_make(networks, network, &bridge, err);
        if (r < 0)
                return error_prefix(err, "the bridge %s of the network %s", network->bridge, network->name);
        *index = bridge.index;
        return 0;
}

int bridge_remove(struct networks *networks, const struct network *network, struct error *err)
{
        struct netlink *route;
        struct link bridge;
        int r = networks_route(networks, &route, err);
        if (!r)
                r = link_find(route, network->bridge, &bridge, err);
        if (r < 0)
                return r == -ENODEV ? 0 : r;
        if (strcmp(bridge.kind, "bridge"))
                return 0;
        link_delete_queue(route, bridge.index);
        r = netlink_commit(route, NULL, NULL, "deleting the bridge", err);
        return r == -ENODEV ? 0 : r;
}
