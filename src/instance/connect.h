/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The networks of an instance that exists: connected and disconnected, at once if it runs, and at its next start.
 *
 * What it is on is the list `networks` of its settings; a change is kept as a change of `update` is, in state.json, so
 * it outlasts a restart. Only instances on networks can change: one on the host's network or on another instance's has
 * none of its own.
 */
#pragma once

#include <stdbool.h>

#include "base/error.h"
#include "instance/instance.h"

struct network_connection {
        const char *network;
        const char *address, *address6; /* wanted, or NULL */
        char *const *aliases;           /* NULL-terminated, or NULL */
};
/* -ENOENT: no such network; -EEXIST: it is on it already; -EOPNOTSUPP: it has no network of its own. */
int instance_connect(struct instance *instance, const struct network_connection *connection, struct error *err);

/* -ENOENT: it is not on it. */
int instance_disconnect(struct instance *instance, const char *network, struct error *err);
