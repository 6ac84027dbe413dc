/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "network/publish.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/test_point.h"
#include "base/text.h"
#include "network/bridge.h"
#include "network/conntrack.h"
#include "network/link.h"

/* Who publishes what, over all networks. */
struct publishers {
        const struct leases *leases; /* of the network that is asked for */
        const struct lease *own;
        struct leases *others; /* of the other networks */
        size_t count;
        char owner[LEASE_NAME];
};

static void publishers_clear(struct publishers *publishers)
{
        for (size_t i = 0; i < publishers->count; i++)
                leases_clear(&publishers->others[i]);
        free(publishers->others);
}

static const struct lease *lease_with(const struct leases *leases, const struct published_port *port)
{
        for (size_t i = 0; i < leases->count; i++)
                for (size_t j = 0; j < leases->entries[i].port_count; j++)
                        if (published_port_conflicts(&leases->entries[i].ports[j], port))
                                return &leases->entries[i];
        return NULL;
}

static const char *publisher(const struct published_port *port, void *data)
{
        struct publishers *publishers = data;
        const struct lease *own = publishers->own, *owner = lease_with(publishers->leases, port);
        for (size_t i = 0; !owner && i < publishers->count; i++)
                owner = lease_with(&publishers->others[i], port);
        if (owner)
                return lease_name(owner, publishers->owner);
        for (size_t i = 0; i < own->port_count; i++)
                if (published_port_conflicts(&own->ports[i], port))
                        return "another -p of the same instance";
        return NULL;
}

static int load_publishers(struct networks *networks, const char *network, struct publishers *publishers,
                           struct error *err)
{
        _cleanup_list_ char **names = NULL;
        int r = leases_networks(networks, &names, err);
        if (r < 0)
                return r;
        publishers->others = calloc(list_length(names) + 1, sizeof(*publishers->others));
        if (!publishers->others)
                return error_memory(err);
        for (size_t i = 0; !r && names && names[i]; i++)
                if (strcmp(names[i], network))
                        r = leases_load(networks, names[i], &publishers->others[publishers->count++], err);
        return r;
}

/* Without IPv6 on the network nothing answers there on an IPv6 address: such a port is not to be promised. */
static int fit_port(const struct network *network, struct published_port *port, struct error *err)
{
        char text[PUBLISHED_PORT_TEXT];
        if (network->subnet6.base.family)
                return 0;
        if (!published_port_serves(port, AF_INET))
                return error_set(err, -EINVAL,
                                 "port %s cannot be published: the network %s has no IPv6; make one with "
                                 "`onggi network create --ipv6 NAME` and use it with --network NAME",
                                 published_port_format(port, text), network->name);
        if (!port->host_address[0])
                TEXT_COPY(port->host_address, "0.0.0.0");
        return 0;
}

int publish_claim(struct networks *networks, const struct network *network, const struct leases *leases,
                  struct lease *lease, const struct published_port *ports, size_t count, struct error *err)
{
        __attribute__((cleanup(publishers_clear))) struct publishers publishers = { .leases = leases, .own = lease };
        if (!count)
                return 0;
        if (network->internal)
                return error_set(err, -EINVAL, "the network %s is internal: no port can be published from it",
                                 network->name);
        int r = load_publishers(networks, network->name, &publishers, err);
        if (r < 0)
                return r;
        lease->ports = calloc(count, sizeof(*lease->ports));
        if (!lease->ports)
                return error_memory(err);
        for (size_t i = 0; i < count; i++) {
                struct published_port port = ports[i];
                r = fit_port(network, &port, err);
                if (!r)
                        r = published_port_claim(&port, publisher, &publishers, err);
                if (r < 0) {
                        free(lease->ports);
                        lease->ports = NULL;
                        lease->port_count = 0;
                        return r;
                }
                lease->ports[lease->port_count++] = port;
        }
        return 0;
}

/* Ports on their way to another attachment. */
struct handover {
        struct networks *networks;
        const char *instance;
        struct published_port *ports; /* those that nobody has taken yet */
        size_t count;
};

/* The place of the attachment among the instance's: interfaces get rising numbers. 0: it has none on this network. */
static int place_of(const struct handover *handover, const char *name)
{
        struct netlink *route;
        struct link link;
        _cleanup_leases_ struct leases leases = { 0 };
        if (leases_load(handover->networks, name, &leases, NULL) < 0)
                return 0;
        const struct lease *lease = leases_find(&leases, handover->instance);
        if (!lease || networks_route(handover->networks, &route, NULL) < 0)
                return 0;
        return link_find(route, lease->veth, &link, NULL) < 0 ? 0 : link.index;
}

/* Moves what the network can carry into the lease. An ordinary user's ports are held by pasta, as they are. */
static int take_ports(struct handover *handover, const struct network *network, struct lease *lease, struct error *err)
{
        size_t left = 0;
        struct published_port *larger =
                reallocarray(lease->ports, lease->port_count + handover->count, sizeof(*larger));
        if (!larger)
                return error_memory(err);
        lease->ports = larger;
        for (size_t i = 0; i < handover->count; i++) {
                struct published_port *port = &handover->ports[i];
                if (handover->networks->rootless || !fit_port(network, port, NULL))
                        lease->ports[lease->port_count++] = *port;
                else
                        handover->ports[left++] = *port;
        }
        handover->count = left;
        return 0;
}

static int hand_over_to(struct handover *handover, const char *name, struct error *err)
{
        struct networks *networks = handover->networks;
        _cleanup_network_ struct network network = { 0 };
        _cleanup_leases_ struct leases leases = { 0 };
        int r = network_load(networks, name, &network, err);
        if (!r)
                r = leases_load(networks, name, &leases, err);
        struct lease *lease = r < 0 ? NULL : leases_find(&leases, handover->instance);
        if (!lease || network.internal)
                return r;
        size_t before = handover->count;
        r = take_ports(handover, &network, lease, err);
        if (r < 0 || handover->count == before)
                return r;
        r = leases_save(networks, name, &leases, err);
        test_point("network.ports.handed-over");
        if (r < 0 || networks->rootless)
                return r;
        link_port_hairpin_queue(networks->route, lease->veth);
        r = netlink_commit(networks->route, NULL, NULL, "setting up a port of a bridge", err);
        if (!r)
                r = bridge_refresh_firewall(networks, &network, &leases, err);
        if (!r)
                conntrack_forget(lease);
        return r;
}

int publish_hand_over(struct networks *networks, const char *instance, const struct published_port *ports, size_t count,
                      struct error *err)
{
        _cleanup_list_ char **names = NULL;
        int r = count ? leases_networks(networks, &names, err) : 0;
        if (r < 0 || !names)
                return r;
        _cleanup_free_ struct published_port *copy = calloc(count, sizeof(*copy));
        _cleanup_free_ int *places = calloc(list_length(names), sizeof(*places));
        if (!copy || !places)
                return error_memory(err);
        memcpy(copy, ports, count * sizeof(*copy));
        struct handover handover = { networks, instance, copy, count };
        for (size_t i = 0; names[i]; i++)
                places[i] = place_of(&handover, names[i]);
        while (!r && handover.count) {
                size_t earliest = SIZE_MAX;
                for (size_t i = 0; names[i]; i++)
                        if (places[i] && (earliest == SIZE_MAX || places[i] < places[earliest]))
                                earliest = i;
                if (earliest == SIZE_MAX)
                        break;
                places[earliest] = 0;
                r = hand_over_to(&handover, names[earliest], err);
        }
        return r;
}
