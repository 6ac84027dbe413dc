/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What the networks need of nftables: masquerading, published ports, isolation. It is a pure function of the
 * definitions and leases: firewall_apply() makes it anew, as one transaction, and the functions for ports only spare
 * the work.
 *
 * All of it is in the table "inet onggi" (another state folder's is "inet onggi-<8 hex>"). A published port is an
 * element of a map, so a packet's way does not grow with their number, and an attachment without ports changes
 * nothing at all. Every rule is one that nft(8) can say, so what it lists can be loaded again.
 *
 *   prerouting   nat: destinations that are the host's own are looked up in the maps of published ports; 127.0.0.0/8 is
 *                not, so that neighbours of the host never reach a port that is published on loopback
 *   output       nat: the same for the host's own programs, loopback too
 *   from-loopback, to-loopback
 *                a packet from 127.0.0.1 or ::1 to a published port gets the bridge's address for its source before
 *                anything else looks at it, and the answer gets the loopback address for its destination after everything
 *                else has. So no packet with a loopback address is ever routed: no route_localnet is needed, and IPv6
 *                works like IPv4
 *   postrouting  nat: the way out is masqueraded; so is what came from the same network through a published port, because
 *                its answers must come past here
 *   forward      filter: answers and published ports may go in; out goes everything except from internal networks;
 *                nothing goes from one network to another
 */
#pragma once

#include "network/lease.h"

/* A network whose bridge is to be up, and its leases. */
struct firewall_network {
        const struct network *network;
        const struct leases *leases;
};

/* Makes the table hold exactly this. */
int firewall_apply(struct networks *networks, const struct firewall_network *active, size_t count, struct error *err);
/* Removes the table; success where there is none. */
int firewall_remove(struct networks *networks, struct error *err);
/* Whether the table is there: 1, 0 or a negative errno. Others may have flushed the whole ruleset. */
int firewall_present(struct networks *networks, struct error *err);

/* The published ports of one lease. Elements that are missing already are success in firewall_close(). */
int firewall_open(struct networks *networks, const struct network *network, const struct lease *lease,
                  struct error *err);
int firewall_close(struct networks *networks, const struct network *network, const struct lease *lease,
                   struct error *err);
