/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The hosts files of attached instances: how each resolves the others' names.
 *
 * A file is bound over the instance's /etc/hosts, so it is changed in place, never replaced; and only from the first line that differs, so
 * a reader inside sees at worst a list that is cut there. The instance may write to its file too; what it wrote is lost at the next change.
 */
#pragma once

#include "network/lease.h"

/* The lines of all that have a lease; the caller's. NULL without memory. */
char *hosts_block(const struct leases *leases);

/* Checks "name:address" (or "name:host-gateway"), as --add-host takes it. */
int hosts_extra_check(const char *line, struct error *err);
/* Letters, digits, '_', '.', '-': what may stand in a hosts file as a name. */
bool hosts_name_valid(const char *name);

/*
 * Brings the files of all that have a lease in the network up to date. `before` is hosts_block() as it was before the leases changed (NULL:
 * unknown), so that only what differs is written. Only the file of `instance` (may be NULL) is made if missing and must be
 * written for success: another may be on its way out.
 */
int hosts_update(struct networks *networks, const struct network *network, const struct leases *leases,
                 const char *before, const char *instance, struct error *err);

/* The file of an instance that is on no network (any more). */
int hosts_reset(const char *path, const char *extra_hosts, struct error *err);
/* The file of an instance that sees nobody but itself. Makes it if missing. */
int hosts_write_alone(const char *path, const struct lease *lease, const struct address *gateway, struct error *err);
