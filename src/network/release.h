/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Taking back what a lease stands for. What is public of it is in network.h.
 */
#pragma once

#include "network/lease.h"

/*
 * Withdraws the lease's ports and names, makes its bridge port deaf, and saves the leases without it. Under
 * networks_lock(). Deleting interfaces is left to the kernel (with the namespace) or to the sweep.
 */
int release_lease(struct networks *networks, const struct network *network, struct leases *leases, struct lease *lease,
                  struct error *err);

/*
 * The same for an instance that goes on without the network: its interface goes at once, its own file of names is
 * written anew, and its ports go over to another of its networks.
 */
int detach_lease(struct networks *networks, const struct network *network, struct leases *leases, struct lease *lease,
                 struct error *err);
