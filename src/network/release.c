/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "network/release.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/test_point.h"
#include "network/bridge.h"
#include "network/conntrack.h"
#include "network/describe.h"
#include "network/firewall.h"
#include "network/hosts.h"
#include "network/link.h"
#include "network/pasta.h"
#include "network/pin.h"
#include "network/publish.h"

/*
 * The instance may live on a while, in a namespace that somebody else holds: nothing of it shall answer for the
 * address.
 */
static int silence_port(struct networks *networks, const char *veth, struct error *err)
{
        struct netlink *route;
        int r = networks_route(networks, &route, err);
        if (r < 0)
                return r;
        link_port_disable_queue(route, veth);
        /* It goes by itself with its namespace, at any moment; or was never made. */
        netlink_commit(route, NULL, NULL, "disabling a port of a bridge", NULL);
        return 0;
}

int release_lease(struct networks *networks, const struct network *network, struct leases *leases, struct lease *lease,
                  struct error *err)
{
        _cleanup_free_ char *before = hosts_block(leases);
        bool published = lease->port_count, closed;
        networks->sweep = true;
        int r = silence_port(networks, lease->veth, err);
        if (r < 0)
                return r;
        closed = !published || networks->rootless || !firewall_close(networks, network, lease, NULL);
        if (published && !networks->rootless)
                conntrack_forget(lease);
        test_point("network.ports.withdrawn");
        leases_remove(leases, lease);
        /* Elements were missing, so the others of the same transaction are still there. */
        if (!closed)
                r = bridge_refresh_firewall(networks, network, leases, err);
        if (!r)
                r = leases_save(networks, network->name, leases, err);
        if (r < 0)
                return r;
        test_point("network.lease.removed");
        return hosts_update(networks, network, leases, before, NULL, err);
}

/* Called for every network on which the instance has a lease. */
typedef int (*lease_visitor)(struct networks *networks, const struct network *network, struct leases *leases,
                             struct lease *lease, void *data, struct error *err);

static int visit_network(struct networks *networks, const char *name, const char *instance, lease_visitor visitor,
                         void *data, struct error *err)
{
        _cleanup_network_ struct network network = { 0 };
        _cleanup_leases_ struct leases leases = { 0 };
        int r = leases_load(networks, name, &leases, err);
        struct lease *lease = r < 0 ? NULL : leases_find(&leases, instance);
        if (!lease)
                return r;
        r = network_load(networks, name, &network, err);
        return r < 0 ? r : visitor(networks, &network, &leases, lease, data, err);
}

static int visit_leases(struct networks *networks, const char *instance, lease_visitor visitor, void *data,
                        struct error *err)
{
        _cleanup_list_ char **names = NULL;
        int result = leases_networks(networks, &names, err);
        for (size_t i = 0; names && names[i]; i++) {
                int r = visit_network(networks, names[i], instance, visitor, data, err);
                if (r < 0)
                        result = r;
        }
        return result;
}

static int release_visitor(struct networks *networks, const struct network *network, struct leases *leases,
                           struct lease *lease, void *data, struct error *err)
{
        (void)data;
        return release_lease(networks, network, leases, lease, err);
}

int network_release(struct networks *networks, const char *instance, struct error *err)
{
        int ended = pasta_end(networks, instance, err);
        if (ended < 0)
                return ended;
        _cleanup_close_ int lock = networks_lock(networks, err);
        if (lock < 0)
                return lock;
        /* A lease without a pin is stale to everybody, so what dies after this line is finished by anybody's sweep. */
        int r = netns_remove(networks, instance, err);
        test_point("network.pin.removed");
        int released = visit_leases(networks, instance, release_visitor, NULL, err);
        return r < 0 ? r : released;
}

static int delete_veth(struct networks *networks, const char *veth, struct error *err)
{
        struct netlink *route;
        struct link link;
        int r = networks_route(networks, &route, err);
        if (!r)
                r = link_find(route, veth, &link, err);
        if (r < 0)
                return r == -ENODEV ? 0 : r;
        link_delete_queue(route, link.index);
        r = netlink_commit(route, NULL, NULL, "deleting a veth pair", err);
        return r == -ENODEV ? 0 : r;
}

static int rewrite_visitor(struct networks *networks, const struct network *network, struct leases *leases,
                           struct lease *lease, void *data, struct error *err)
{
        *(bool *)data = true;
        return hosts_update(networks, network, leases, NULL, lease->instance, err);
}

/* The file of an instance that goes on without the network. */
static int forget_names(struct networks *networks, const char *instance, const char *hosts_file,
                        const char *extra_hosts, struct error *err)
{
        bool elsewhere = false;
        int r = visit_leases(networks, instance, rewrite_visitor, &elsewhere, err);
        return r < 0 || elsewhere || !*hosts_file ? r : hosts_reset(hosts_file, extra_hosts, err);
}

static int count_visitor(struct networks *networks, const struct network *network, struct leases *leases,
                         struct lease *lease, void *data, struct error *err)
{
        (void)networks, (void)leases, (void)lease, (void)err;
        *(unsigned *)data += !network->internal;
        return 0;
}

/* An ordinary user's way out goes with the last network that has one. */
static int close_way_out(struct networks *networks, const char *instance, struct error *err)
{
        unsigned left = 0;
        if (!networks->rootless)
                return 0;
        int r = visit_leases(networks, instance, count_visitor, &left, err);
        return r < 0 || left ? r : pasta_end(networks, instance, err);
}

int detach_lease(struct networks *networks, const struct network *network, struct leases *leases, struct lease *lease,
                 struct error *err)
{
        const char *instance = lease->instance;
        _cleanup_free_ char *veth = strdup(lease->veth), *hosts_file = strdup(lease->hosts_file),
                            *extra_hosts = strdup(lease->extra_hosts);
        size_t port_count = lease->port_count;
        _cleanup_free_ struct published_port *ports = calloc(port_count + 1, sizeof(*ports));
        if (!veth || !hosts_file || !extra_hosts || !ports)
                return error_memory(err);
        if (port_count)
                memcpy(ports, lease->ports, port_count * sizeof(*ports));
        int r = delete_veth(networks, veth, err);
        test_point("network.veth.deleted");
        if (!r)
                r = release_lease(networks, network, leases, lease, err);
        if (!r)
                r = close_way_out(networks, instance, err);
        if (!r)
                r = publish_hand_over(networks, instance, ports, port_count, err);
        return r < 0 ? r : forget_names(networks, instance, hosts_file, extra_hosts, err);
}

int network_detach(struct networks *networks, const char *instance, const char *name, struct error *err)
{
        _cleanup_network_ struct network network = { 0 };
        _cleanup_leases_ struct leases leases = { 0 };
        _cleanup_close_ int lock = networks_lock(networks, err);
        if (lock < 0)
                return lock;
        int r = network_load(networks, name, &network, err);
        if (!r)
                r = leases_load(networks, name, &leases, err);
        if (r < 0)
                return r;
        struct lease *lease = leases_find(&leases, instance);
        if (!lease)
                return error_set(err, -ENOENT, "the instance %s is not on the network %s", instance, name);
        return detach_lease(networks, &network, &leases, lease, err);
}

static int rename_visitor(struct networks *networks, const struct network *network, struct leases *leases,
                          struct lease *lease, void *data, struct error *err)
{
        _cleanup_free_ char *before = hosts_block(leases);
        lease->names = data;
        int r = leases_save(networks, network->name, leases, err);
        return r < 0 ? r : hosts_update(networks, network, leases, before, NULL, err);
}

int network_rename(struct networks *networks, const char *instance, const char *const *names, struct error *err)
{
        struct error reason = { 0 };
        _cleanup_free_ char *joined = names_join(names, &reason);
        if (!joined)
                return error_set(err, reason.code, "%s", reason.text);
        _cleanup_close_ int lock = networks_lock(networks, err);
        return lock < 0 ? lock : visit_leases(networks, instance, rename_visitor, joined, err);
}
