/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A network's definition: what <root>/networks/<name>.json says. Written once when the network is made.
 */
#pragma once

#include "network/address.h"
#include "network/handle.h"

#define DEFAULT_NETWORK "default"

struct network {
        char name[64];
        char id[17]; /* 16 hex digits */
        char bridge[16];
        struct subnet subnet, subnet6;    /* subnet6.base.family 0: none */
        struct address gateway, gateway6; /* the bridge's own addresses */
        bool internal;
        unsigned mtu;     /* 0: the kernel's */
        json_t *labels;   /* object of strings */
        char created[32]; /* RFC 3339 */
};

void network_clear(struct network *network);
#define _cleanup_network_ __attribute__((cleanup(network_clear)))

/* Reads a document of a definition's form; everything in it is checked. *network is to be cleared by the caller. */
int network_parse(const json_t *document, const char *what, struct network *network, struct error *err);
/* An object in that form, the caller's. NULL without memory. */
json_t *network_render(const struct network *network);

/* -ENOENT with a text where there is none of that name. The default network is made where it is not there yet. */
int network_load(struct networks *networks, const char *name, struct network *network, struct error *err);
int network_save(struct networks *networks, const struct network *network, struct error *err);

typedef int (*network_reader)(const struct network *network, void *data);
/* Calls `reader` with each definition, in the order of their names. */
int network_each(struct networks *networks, network_reader reader, void *data, struct error *err);

/*
 * Makes a definition of what the user asked for: checks it, fills in what was left open and refuses what collides
 * with another network or with a route of the host. Nothing is written.
 */
int network_design(struct networks *networks, const struct network_settings *settings, struct network *network,
                   struct error *err);
