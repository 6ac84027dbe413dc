/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Tidying up behind releases: what the kernel is slow to delete, and what a command that died left.
 *
 * Deleting an interface or unhooking a chain waits for the kernel's readers, tens of milliseconds that nobody who
 * runs one short instance after another shall pay. So bridges stay up for a second after their last lease went (see
 * network/later.h).
 */
#pragma once

#include "network/lease.h"

/*
 * Under networks_lock(): drops leases whose instance's pin is gone, deletes bridge ports without a lease, bridges
 * without leases, and the nftables table with the last of them.
 */
int sweep_now(struct networks *networks, struct error *err);

/* Under networks_lock(): deletes the veth pairs on the network's bridge that no lease names. */
int sweep_ports(struct networks *networks, const struct network *network, const struct leases *leases,
                struct error *err);
