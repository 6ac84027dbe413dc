/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Network interfaces, their addresses and routes, as rtnetlink(7) requests.
 *
 * The functions named …_queue only queue a request on the socket; netlink_commit() carries out all that is queued, in
 * order. Interfaces are those of the network namespace that the socket was opened in.
 */
#pragma once

#include <net/if.h>
#include <stdbool.h>
#include <stdint.h>

#include "network/address.h"
#include "network/netlink.h"

struct link {
        int index;
        int master; /* index of the bridge that it is a port of, 0: none */
        bool up;    /* administratively */
        uint32_t mtu;
        char name[IFNAMSIZ];
        char kind[16]; /* "bridge", "veth", …; "" for hardware */
};

/* -ENODEV, without a text, where there is none of that name. */
int link_find(struct netlink *netlink, const char *name, struct link *link, struct error *err);

typedef int (*link_reader)(const struct link *link, void *data);
/* Calls `reader` with each interface; a negative return ends the walk and is passed on. */
int link_each(struct netlink *netlink, link_reader reader, void *data, struct error *err);

void link_bridge_queue(struct netlink *netlink, const char *name, const uint8_t mac[static 6], unsigned mtu);

/*
 * A pair of interfaces: `name` here, up, as a port of `master`; `peer`, down, in the namespace of descriptor
 * `peer_namespace`.
 */
struct veth {
        const char *name;
        int master;
        const char *peer; /* may be a pattern: "eth%d" */
        const uint8_t *peer_mac;
        int peer_namespace;
        unsigned mtu; /* 0: the kernel's */
};
void link_veth_queue(struct netlink *netlink, const struct veth *veth);

void link_up_queue(struct netlink *netlink, int index);
void link_delete_queue(struct netlink *netlink, int index);
/*
 * A bridge's port that takes and gives nothing any more: at once, where deleting it would wait for the kernel's
 * readers.
 */
void link_port_disable_queue(struct netlink *netlink, const char *name);
/* A port that also gives back what it took: for an instance that speaks to itself through a port that it publishes. */
void link_port_hairpin_queue(struct netlink *netlink, const char *name);

/* No duplicate address detection: the addresses are ours by lease. One that is there already is success. */
void address_add_queue(struct netlink *netlink, int index, const struct address *address, unsigned prefix);
/* Of several default routes the one with the least metric is taken. */
void default_route_queue(struct netlink *netlink, int index, const struct address *gateway, uint32_t metric);

/* Makes the kernel ask the neighbour for its hardware address now. */
void neighbour_probe_queue(struct netlink *netlink, int index, const struct address *neighbour);

typedef int (*route_reader)(const struct subnet *destination, int index, void *data);
/* Calls `reader` with each route of the main table that leads through an interface, default routes (prefix 0) too. */
int route_each(struct netlink *netlink, route_reader reader, void *data, struct error *err);
