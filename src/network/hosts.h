/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The hosts files of attached instances: how each resolves the others' names.
 *
 * A file is bound over the instance's /etc/hosts, so it is changed in place, never replaced; and only from the first
 * line that differs, so a reader inside sees at worst a list that is cut there. The instance may write to its file
 * too; what it wrote is lost at the next change.
 */
#pragma once

#include "network/lease.h"

/* The lines of all that have a lease; the caller's. NULL without memory. */
char *hosts_block(const struct leases *leases);

/* The fixed lines and the instance's own extra hosts ("name:address", divided by spaces). */
void hosts_head(const char *extra_hosts, const struct address *gateway, struct text *text);

/* What a file is to hold: a head of its own, then the lines of its networks. */
struct hosts_content {
        struct text head;
        const char *block; /* of the only network, borrowed; NULL: all is in the head */
        size_t block_length;
        size_t kept;          /* the first bytes of the block that are the same as before */
        size_t before_length; /* of the block before; meaningless where kept is 0 */
};

/* Makes the file hold that. `make`: it may be missing. */
int hosts_write(const char *path, const struct hosts_content *content, bool make, struct error *err);

/* Checks "name:address" (or "name:host-gateway"), as --add-host takes it. */
int hosts_extra_check(const char *line, struct error *err);
/* Letters, digits, '_', '.', '-': what may stand in a hosts file as a name. */
bool hosts_name_valid(const char *name);

/*
 * Brings the files of all that have a lease in the network up to date. `before` is hosts_block() as it was before the
 * leases changed (NULL: unknown), so that only what differs is written. Only the file of `instance` (may be NULL) is
 * made if missing and must be written for success: another may be on its way out.
 *
 * On a network with many, the others' files are left behind and written by a process some milliseconds later: the
 * file <state>/networks/<name>.names holds the block that they have until then.
 */
int hosts_update(struct networks *networks, const struct network *network, const struct leases *leases,
                 const char *before, const char *instance, struct error *err);

/* Writes the files of a network that were left behind; of all such networks. Under networks_lock(). */
int hosts_catch_up(struct networks *networks, const struct network *network, const struct leases *leases,
                   struct error *err);
int names_catch_up(struct networks *networks, struct error *err);

/* The file of an instance that is on no network (any more). */
int hosts_reset(const char *path, const char *extra_hosts, struct error *err);
