/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Networks and the attachment of instances to them; the same for containers and VMs.
 *
 * A network is a bridge on the host with an IPv4 and optionally an IPv6 subnet, NAT to outside, and names. What
 * exists is described in <root>/networks/<name>.json and, for its attachments, in <state>/networks/<name>.leases;
 * kernel objects are made from these files and removed with them, so any later command can finish or undo what a
 * killed one began. Everything goes through rtnetlink (libmnl) and nftables (libnftnl), nothing through other
 * commands. A lock in <state>/networks guards changes.
 *
 * The network "default" makes itself on first use: 10.88.0.0/16 where that is free. A bridge is up only while
 * something is attached, and a second longer. Names of kernel objects: bridge "onggi0" for "default" and "og-<8 hex>"
 * for others, "ov<12 hex>" for host ends of veth pairs, nftables table "inet onggi". A state folder other than
 * /run/onggi has names of its own ("onggi<8 hex>", "inet onggi-<8 hex>"), so that tests do not meddle with the host's
 * instances.
 *
 * Deleting interfaces is slow in the kernel, so network_release() only cuts them off; networks_close() leaves a
 * process behind that deletes them a second later.
 */
#pragma once

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/error.h"

struct networks;

/* `root` and `state` are onggi's folders. `rootless`: no bridge can be made; attachments go through pasta. */
int networks_open(const char *root, const char *state, bool rootless, struct networks **networks, struct error *err);
void networks_close(struct networks *networks);

struct network_settings {
        const char *name;
        const char *subnet,
                *gateway; /* IPv4 CIDR and address; NULL: the next free /24 from 10.89.0.0 on, its first address */
        const char *subnet6, *gateway6; /* NULL: none unless `ipv6` */
        bool ipv6;                      /* an fd00::/8 /64 of its own */
        bool internal;                  /* no way to outside */
        const char *bridge;             /* its interface's name; NULL: chosen */
        unsigned mtu;                   /* 0: the kernel's */
        char *const *labels;            /* "key=value" */
};
int network_create(struct networks *networks, const struct network_settings *settings, struct error *err);
/* -EBUSY with the instances' names while some are attached (unless `force`, which detaches them). */
int network_remove(struct networks *networks, const char *name, bool force, struct error *err);
/* An array of objects: name, id, driver, subnets, gateway, internal, labels, created, instances {…}; the caller's. */
int network_list(struct networks *networks, json_t **list, struct error *err);
int network_inspect(struct networks *networks, const char *name, json_t **object, struct error *err);
/* Removes networks that no instance is attached to, but not "default". */
int network_prune(struct networks *networks, char ***removed, struct error *err);

/* A published port as docker's -p writes it: [host address:][host port or range:]port or range[/tcp|/udp]. */
struct published_port {
        char host_address[48];    /* "": all that the network has: IPv4, and IPv6 where it has a subnet of it */
        uint16_t host, container; /* host 0: choose a free one */
        uint16_t count;           /* ports in the range, from 1 */
        uint16_t choices; /* with count 1: any free one of this many host ports from `host` on; 0 or 1: just that */
        bool udp;
};
int published_port_parse(const char *text, struct published_port *port, struct error *err);

struct network_request {
        const char *instance;           /* id */
        const char *const *names;       /* NULL-terminated: instance name, host name, aliases; others resolve them */
        const char *network;            /* name */
        const char *address, *address6; /* wanted, or NULL */
        const char *mac;                /* wanted, or NULL */
        const struct published_port *ports;
        size_t port_count;
        const char *hosts_file;   /* kept up to date with the names of all on its networks; NULL: none */
        char *const *extra_hosts; /* --add-host lines "name:address" */
};

/*
 * Makes the pinned network namespace <state>/netns/<instance>, with loopback up. Idempotent. *path is the caller's.
 * Mount namespaces that were copied meanwhile must not be slaves of the host's (MS_PRIVATE), else they keep copies of
 * every pin.
 */
int netns_make(struct networks *networks, const char *instance, char **path, struct error *err);
/* For a namespace without attachments; network_release() does it too. */
int netns_remove(struct networks *networks, const char *instance, struct error *err);

/*
 * Attaches the instance's namespace, made by netns_make() before: lease, veth pair (the instance's end is the next
 * free "eth<n>"), addresses, routes, NAT and port rules, names. All or nothing. The network that was attached first
 * is the way out. An attachment that is there already is -EEXIST; one that a killed command left half-made is made
 * anew. *attachment (the caller's): {"network", "interface", "mac", "address", "prefix", "gateway", "address6", …,
 * "ports": [{"host_address", "host", "container", "protocol"}…]} with chosen ports filled in; a host_address of "" is
 * there only with IPv6, "0.0.0.0" says IPv4 alone. -EADDRINUSE names the port and who has it where that is known.
 */
int network_attach(struct networks *networks, const struct network_request *request, json_t **attachment,
                   struct error *err);
/* Published ports go over to the earliest of the instance's other attachments that can carry them. */
int network_detach(struct networks *networks, const char *instance, const char *name, struct error *err);
/* All of an instance's attachments, its leases and its namespace; nothing there is success. */
int network_release(struct networks *networks, const char *instance, struct error *err);
int network_rename(struct networks *networks, const char *instance, const char *const *names, struct error *err);

/*
 * Removes what belongs to no instance of the list (NULL-terminated ids): namespaces, veths, rules, leases, half-made
 * bridges. An instance must be in the list before its netns_make(), so the list is read after the folders of those
 * that are being made.
 */
int network_repair(struct networks *networks, char *const *instances, struct error *err);

/*
 * What on this host keeps networks from working well, a sentence each, for people (`onggi doctor`). *hints is the
 * caller's; NULL where there is nothing to say.
 */
int network_hints(char ***hints, struct error *err);
