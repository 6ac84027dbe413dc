/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The kernel's memory of UDP flows. A flow that is known keeps the way it was first given, so one that began before a
 * port was published, or while somebody else published it, would go on past the rules.
 */
#pragma once

#include "network/lease.h"

/*
 * Forgets the flows to the UDP host ports of the lease. Nothing is told: without connection tracking there is nothing
 * to forget.
 */
void conntrack_forget(const struct lease *lease);
