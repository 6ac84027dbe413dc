/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Which attachment has an instance's published ports: the one that asked for them, and when that goes, the earliest of
 * the others that can carry them.
 */
#pragma once

#include "network/lease.h"

/*
 * Gives the lease, which is not among the leases yet, these ports: each is free on the host, and of use on the network.
 * Returns 0, -EINVAL or -EADDRINUSE with a text, or another negative errno; the lease has none then.
 */
int publish_claim(struct networks *networks, const struct network *network, const struct leases *leases,
                  struct lease *lease, const struct published_port *ports, size_t count, struct error *err);

/*
 * Gives the ports of an attachment that is gone to the instance's other ones; those that none can carry are closed.
 * Under networks_lock().
 */
int publish_hand_over(struct networks *networks, const char *instance, const struct published_port *ports, size_t count,
                      struct error *err);
