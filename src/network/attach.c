/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Attaching an instance to a network: the lease first, saved as the intent; then rules, bridge, names and the veth
 * pair.
 *
 * Whatever dies on the way leaves a lease, from which network_release() or network_repair() can tell what there may
 * be to undo.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#include "base/test_point.h"
#include "network/bridge.h"
#include "network/conntrack.h"
#include "network/describe.h"
#include "network/hosts.h"
#include "network/link.h"
#include "network/pasta.h"
#include "network/pin.h"
#include "network/publish.h"
#include "network/release.h"

/* What one network_attach() works on. */
struct attach {
        struct networks *networks;
        const struct network_request *request;
        struct network network;
        struct leases leases;
        struct lease lease; /* its strings borrow from the fields below */
        char veth[16];
        char *names;
        char *extra_hosts;
        char *hosts_before;
        int namespace;
        int lock;
        int bridge; /* index */
        bool saved; /* the lease is in the file: a failure has to take it out */
};

static void attach_clear(struct attach *attach)
{
        network_clear(&attach->network);
        leases_clear(&attach->leases);
        free(attach->names);
        free(attach->extra_hosts);
        free(attach->hosts_before);
        if (attach->namespace >= 0)
                close(attach->namespace);
        if (attach->lock >= 0)
                close(attach->lock);
}

static int read_addresses(const struct network_request *request, struct lease *lease, struct error *err)
{
        if (request->address &&
            (address_parse(request->address, &lease->address) < 0 || lease->address.family != AF_INET))
                return error_set(err, -EINVAL, "\"%s\" is not an IPv4 address", request->address);
        if (request->address6 &&
            (address_parse(request->address6, &lease->address6) < 0 || lease->address6.family != AF_INET6))
                return error_set(err, -EINVAL, "\"%s\" is not an IPv6 address", request->address6);
        if (request->mac && mac_parse(request->mac, lease->mac) < 0)
                return error_set(err, -EINVAL, "\"%s\" is not a hardware address of one station, as 02:42:0a:58:00:02",
                                 request->mac);
        return 0;
}

/* All that can be refused without looking at what others have. */
static int read_request(struct attach *attach, struct error *err)
{
        const struct network_request *request = attach->request;
        struct lease *lease = &attach->lease;
        uint8_t random[6];
        int r = read_addresses(request, lease, err);
        if (r < 0)
                return r;
        attach->names = names_join(request->names, err);
        if (!attach->names)
                return err && err->code ? err->code : -EINVAL;
        r = extra_hosts_join(request->extra_hosts, &attach->extra_hosts, err);
        if (r < 0)
                return r;
        if (getrandom(random, sizeof(random), 0) != sizeof(random))
                return error_errno(err, "choosing an interface's name");
        snprintf(attach->veth, sizeof(attach->veth), "ov%02x%02x%02x%02x%02x%02x", random[0], random[1], random[2],
                 random[3], random[4], random[5]);
        lease->instance = request->instance;
        lease->veth = attach->veth;
        lease->hosts_file = request->hosts_file ? request->hosts_file : "";
        lease->names = attach->names;
        lease->extra_hosts = attach->extra_hosts;
        return 0;
}

/* A lease that is there already is in use, or was left by an attach that died: then it is undone here. */
static int settle_earlier(struct attach *attach, struct error *err)
{
        struct netlink *route;
        struct link link;
        struct lease *earlier = leases_find(&attach->leases, attach->request->instance);
        if (!earlier)
                return 0;
        int r = networks_route(attach->networks, &route, err);
        if (!r)
                r = link_find(route, earlier->veth, &link, err);
        if (!r)
                return error_set(err, -EEXIST, "the instance %s is on the network %s already",
                                 attach->request->instance, attach->network.name);
        if (r != -ENODEV)
                return r;
        r = pasta_end(attach->networks, attach->request->instance, err);
        return r < 0 ? r : release_lease(attach->networks, &attach->network, &attach->leases, earlier, err);
}

static int take_lease(struct attach *attach, struct error *err)
{
        static const uint8_t none[6];
        int r = leases_assign(&attach->leases, &attach->network, &attach->lease, err);
        if (r < 0)
                return r;
        if (!memcmp(attach->lease.mac, none, sizeof(none)))
                address_mac(&attach->lease.address, attach->lease.mac);
        r = publish_claim(attach->networks, &attach->network, &attach->leases, &attach->lease, attach->request->ports,
                          attach->request->port_count, err);
        if (!r)
                r = leases_add(&attach->leases, &attach->lease, err);
        if (r < 0) {
                free(attach->lease.ports);
                return r;
        }
        attach->saved = true;
        return leases_save(attach->networks, attach->network.name, &attach->leases, err);
}

/* Under the lock: everything but the veth pair. */
static int reserve(struct attach *attach, struct error *err)
{
        struct networks *networks = attach->networks;
        int r = network_load(networks, attach->request->network, &attach->network, err);
        if (!r)
                r = leases_load(networks, attach->network.name, &attach->leases, err);
        if (!r)
                r = settle_earlier(attach, err);
        if (r < 0)
                return r;
        attach->hosts_before = hosts_block(&attach->leases);
        r = take_lease(attach, err);
        if (r < 0)
                return r;
        test_point("network.lease.saved");
        r = bridge_raise(networks, &attach->network, &attach->leases, &attach->lease, &attach->bridge, err);
        if (r < 0)
                return r;
        test_point("network.bridge.raised");
        if (!networks->rootless)
                conntrack_forget(&attach->lease);
        r = hosts_update(networks, &attach->network, &attach->leases, attach->hosts_before, attach->request->instance,
                         err);
        test_point("network.hosts.written");
        return r;
}

static int newest_link(const struct link *link, void *data)
{
        struct link *newest = data;
        if (!strcmp(link->kind, "veth") && link->index > newest->index)
                *newest = *link;
        return 0;
}

/* Addresses and routes of the instance's end. *interface is that end. */
static int furnish_inside(struct attach *attach, struct link *interface, struct error *err)
{
        const struct lease *lease = &attach->lease;
        const struct network *network = &attach->network;
        _cleanup_netlink_ struct netlink *inside = NULL;
        *interface = (struct link){ 0 };
        int r = pin_route(attach->namespace, &inside, err);
        if (!r)
                r = link_each(inside, newest_link, interface, err);
        if (r < 0)
                return r;
        /* The network that was attached first is the way out; the next one takes over when it is detached. */
        uint32_t metric = (uint32_t)interface->index;
        link_up_queue(inside, interface->index);
        address_add_queue(inside, interface->index, &lease->address, network->subnet.prefix);
        bool way_out = !network->internal && !attach->networks->rootless;
        if (way_out)
                default_route_queue(inside, interface->index, &network->gateway, metric);
        if (lease->address6.family) {
                address_add_queue(inside, interface->index, &lease->address6, network->subnet6.prefix);
                if (way_out)
                        default_route_queue(inside, interface->index, &network->gateway6, metric);
        }
        return netlink_commit(inside, NULL, NULL, "giving the instance its address", err);
}

static int connect_veth(struct attach *attach, struct link *interface, struct error *err)
{
        const struct veth veth = { .name = attach->veth,
                                   .master = attach->bridge,
                                   .peer = "eth%d",
                                   .peer_mac = attach->lease.mac,
                                   .peer_namespace = attach->namespace,
                                   .mtu = attach->network.mtu };
        struct netlink *route = attach->networks->route;
        link_veth_queue(route, &veth);
        if (attach->lease.port_count)
                link_port_hairpin_queue(route, attach->veth);
        int r = netlink_commit(route, NULL, NULL, "making a veth pair", err);
        if (r == -EXFULL)
                return error_set(err, r, "the network %s is full: a bridge has at most 1023 ports",
                                 attach->network.name);
        if (r < 0)
                return r;
        test_point("network.veth.made");
        r = furnish_inside(attach, interface, err);
        test_point("network.veth.furnished");
        return r;
}

/* After a failure: the lease goes, and with it what was made for it. The first error is the one to be told. */
static void undo(struct attach *attach)
{
        _cleanup_close_ int lock = -1;
        _cleanup_leases_ struct leases leases = { 0 };
        if (!attach->saved)
                return;
        if (attach->lock < 0)
                lock = networks_lock(attach->networks, NULL);
        if (leases_load(attach->networks, attach->network.name, &leases, NULL) < 0)
                return;
        struct lease *lease = leases_find(&leases, attach->request->instance);
        if (lease)
                release_lease(attach->networks, &attach->network, &leases, lease, NULL);
        attach->networks->sweep = true;
}

static int attach_instance(struct attach *attach, struct link *interface, struct error *err)
{
        attach->namespace = pin_open(attach->networks, attach->request->instance, err);
        if (attach->namespace < 0)
                return attach->namespace;
        int r = read_request(attach, err);
        if (r < 0)
                return r;
        attach->lock = networks_lock(attach->networks, err);
        if (attach->lock < 0)
                return attach->lock;
        r = reserve(attach, err);
        if (r < 0)
                return r;
        /* The lease keeps the bridge up; the kernel's slow work on the pair need not hold up others. */
        close(TAKE_FD(attach->lock));
        r = connect_veth(attach, interface, err);
        if (!r && attach->networks->rootless && !attach->network.internal)
                r = pasta_start(attach->networks, &attach->lease, err);
        return r;
}

int network_attach(struct networks *networks, const struct network_request *request, json_t **attachment,
                   struct error *err)
{
        __attribute__((cleanup(attach_clear))) struct attach attach = {
                .networks = networks, .request = request, .namespace = -1, .lock = -1
        };
        struct link interface;
        int r = attach_instance(&attach, &interface, err);
        if (!r) {
                *attachment = describe_lease(&attach.network, &attach.lease, interface.name);
                r = *attachment ? 0 : error_memory(err);
        }
        if (r < 0) {
                undo(&attach);
                return r;
        }
        return 0;
}
