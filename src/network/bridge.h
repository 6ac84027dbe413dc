/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A network's bridge on the host. It is there only while the network has leases (and a second longer), so an idle
 * host is a clean one.
 *
 * All functions are called under networks_lock(). Raising starts with the firewall and ends with setting the bridge
 * up, so a bridge that is up is complete, and one that is not was left by a command that died.
 */
#pragma once

#include "network/lease.h"

/*
 * Brings up the bridge where it is not, and makes sure that the rules and `added`'s published ports are in nftables.
 * The lease is among `leases` and saved already. *index is the bridge's interface.
 */
int bridge_raise(struct networks *networks, const struct network *network, const struct leases *leases,
                 const struct lease *added, int *index, struct error *err);

/* Makes nftables what all saved leases say (`leases` in place of what is saved for `network`; both may be NULL). */
int bridge_refresh_firewall(struct networks *networks, const struct network *network, const struct leases *leases,
                            struct error *err);

/* Deletes the bridge; no bridge is success. */
int bridge_remove(struct networks *networks, const struct network *network, struct error *err);
