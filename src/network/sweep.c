/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "network/sweep.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/test_point.h"
#include "network/bridge.h"
#include "network/hosts.h"
#include "network/link.h"
#include "network/pasta.h"
#include "network/pin.h"
#include "network/release.h"

static int drop_stale_leases(struct networks *networks, const struct network *network, struct leases *leases,
                             struct error *err)
{
        int r = 0;
        for (size_t i = 0; !r && i < leases->count;) {
                struct lease *lease = &leases->entries[i];
                if (pin_exists(networks, lease->instance)) {
                        i++;
                        continue;
                }
                r = pasta_end(networks, lease->instance, err);
                if (!r)
                        r = release_lease(networks, network, leases, lease, err);
        }
        return r;
}

struct ports {
        int bridge;
        const struct leases *leases;
        int *stale; /* indices of interfaces */
        size_t count;
};

static int find_stale_port(const struct link *link, void *data)
{
        struct ports *ports = data;
        if (link->master != ports->bridge || strcmp(link->kind, "veth"))
                return 0;
        for (size_t i = 0; i < ports->leases->count; i++)
                if (!strcmp(ports->leases->entries[i].veth, link->name))
                        return 0;
        int *larger = reallocarray(ports->stale, ports->count + 1, sizeof(*larger));
        if (!larger)
                return -ENOMEM;
        ports->stale = larger;
        ports->stale[ports->count++] = link->index;
        return 0;
}

int sweep_ports(struct networks *networks, const struct network *network, const struct leases *leases,
                struct error *err)
{
        struct netlink *route;
        struct link bridge;
        int r = networks_route(networks, &route, err);
        if (!r)
                r = link_find(route, network->bridge, &bridge, err);
        if (r < 0)
                return r == -ENODEV ? 0 : r;
        struct ports ports = { bridge.index, leases, NULL, 0 };
        r = link_each(route, find_stale_port, &ports, err);
        for (size_t i = 0; i < ports.count; i++) {
                link_delete_queue(route, ports.stale[i]);
                /* Most are on their way out with their namespace. */
                netlink_commit(route, NULL, NULL, "deleting a veth pair", NULL);
        }
        free(ports.stale);
        return r;
}

static int sweep_network(const struct network *network, void *data)
{
        struct networks *networks = data;
        _cleanup_leases_ struct leases leases = { 0 };
        int r = leases_load(networks, network->name, &leases, NULL);
        if (!r)
                r = drop_stale_leases(networks, network, &leases, NULL);
        if (!r)
                r = sweep_ports(networks, network, &leases, NULL);
        if (!r)
                r = hosts_catch_up(networks, network, &leases, NULL);
        if (r < 0 || leases.count)
                return r;
        r = bridge_remove(networks, network, NULL);
        test_point("network.bridge.removed");
        return r < 0 ? r : leases_drop(networks, network->name, NULL);
}

/* The namespace of an ordinary user's bridges goes with the last of them. */
static int sweep_bridges(struct networks *networks, struct error *err)
{
        _cleanup_list_ char **names = NULL;
        int r = leases_networks(networks, &names, err);
        return r < 0 || list_length(names) ? r : pin_bridges_remove(networks, err);
}

int sweep_now(struct networks *networks, struct error *err)
{
        int r = network_each(networks, sweep_network, networks, err);
        if (networks->rootless)
                return r < 0 ? r : sweep_bridges(networks, err);
        /* Bridges without leases are gone, so this leaves the rules of those that have some, or nothing. */
        int refreshed = bridge_refresh_firewall(networks, NULL, NULL, err);
        if (!refreshed && r < 0)
                error_code(err, r, "tidying up the networks in %s", networks->state);
        return refreshed < 0 ? refreshed : r;
}
