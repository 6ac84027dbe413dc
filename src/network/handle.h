/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The networks of one pair of onggi folders, opened: what the files of src/network share and nobody else sees.
 *
 * Owned by networks_open()'s caller. Everything that changes leases, definitions or kernel objects happens under
 * networks_lock(); only making and removing an instance's own namespace and veth is done outside of it.
 */
#pragma once

#include <stdbool.h>

#include "network/netlink.h"
#include "network/network.h"

struct networks {
        char *root;
        char *state;
        bool rootless;   /* bridges are in a namespace of their own, without rules; see pasta.h */
        int definitions; /* <root>/networks */
        int leases;      /* <state>/networks */
        int pins;        /* <state>/netns */
        char realm[9]; /* tells kernel objects of other state folders from ours: "" for /run/onggi, else 8 hex digits */
        char table[24]; /* our nftables table's name */
        char default_bridge[16];
        struct netlink *route;     /* opened on first use, to where the bridges are */
        struct netlink *netfilter; /* likewise; never where rootless */
        bool names_behind;         /* hosts files of others were left for networks_close() to have written */
        bool sweep;                /* something was released that networks_close() has to sweep up after */
};

/* Returns a descriptor whose closing unlocks. */
int networks_lock(struct networks *networks, struct error *err);

/* The sockets, opened where that has not happened yet. */
int networks_route(struct networks *networks, struct netlink **route, struct error *err);
int networks_netfilter(struct networks *networks, struct netlink **netfilter, struct error *err);

/* A number that follows from the realm and these texts (NULL-terminated): for names of kernel objects. */
uint64_t networks_hash(const struct networks *networks, const char *first, ...) __attribute__((sentinel));

/*
 * Letters, digits, '_', '.', '-', the first a letter or digit, at most 63: good as a file name and in every rule's
 * comment.
 */
bool network_name_valid(const char *name);
