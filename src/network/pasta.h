/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The way out, and in, of an ordinary user's instances.
 *
 * Who is not root on the host can make no interface there. So the bridges of a user are in a network namespace of
 * their own, where nothing is routed: they join instances to each other, with addresses and names as root's do.
 * Traffic with everybody else is carried by a process of pasta(1) for each instance, through an interface "pasta0" in
 * its namespace that has the default route; pasta binds the published ports on the host as the user. It ends by
 * itself with the namespace.
 */
#pragma once

#include "network/lease.h"

/* Starts pasta for the lease's instance, with its ports, unless it runs already (then ports are refused: -EBUSY). */
int pasta_start(struct networks *networks, const struct lease *lease, struct error *err);
/* Ends it; none is success. */
int pasta_end(struct networks *networks, const char *instance, struct error *err);
