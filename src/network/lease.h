/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The leases of one network: which instance has which address, interface, names and published ports there.
 *
 * They are the file <state>/networks/<network>.leases, read and replaced as a whole under networks_lock(). One line a
 * lease, so that a thousand of them are read in well under a millisecond: fields divided by tabs, in the order of
 * struct lease; "-" stands for an empty one; control characters and '%' inside a field are written %xx. The first
 * line is "next <number>": where the search for a free address goes on, so that an address rests for as long as
 * possible before somebody else gets it.
 */
#pragma once

#include "network/definition.h"
#include "network/port.h"

/* Strings borrow from the struct leases that read them, or from whoever added the lease. */
struct lease {
        const char *instance;
        struct address address, address6; /* address6.family 0: none */
        uint8_t mac[6];
        const char *veth;             /* the host's end; a name of its own for each attachment */
        const char *hosts_file;       /* "": none */
        const char *names;            /* divided by single spaces; "": none */
        const char *extra_hosts;      /* "name:address", divided by single spaces */
        struct published_port *ports; /* owned by the struct leases */
        size_t port_count;
};

struct leases {
        char *data; /* what the strings borrow from */
        struct lease *entries;
        size_t count;
        uint64_t next; /* host number */
};

void leases_clear(struct leases *leases);
#define _cleanup_leases_ __attribute__((cleanup(leases_clear)))

/* Takes over `data` (malloc'ed, NUL-terminated), also on failure. -EBADMSG names the line. */
int leases_parse(char *data, const char *what, struct leases *leases, struct error *err);
/* The file's text, the caller's. NULL without memory. */
char *leases_render(const struct leases *leases);

/* No file is an empty list. */
int leases_load(struct networks *networks, const char *network, struct leases *leases, struct error *err);
int leases_save(struct networks *networks, const char *network, const struct leases *leases, struct error *err);

/* Removes the file: the network has no leases, and its bridge is gone. */
int leases_drop(struct networks *networks, const char *network, struct error *err);

/* What people call the instance: the first of its names, else the start of its id. Returns `text`. */
#define LEASE_NAME 256
const char *lease_name(const struct lease *lease, char text[static LEASE_NAME]);

struct lease *leases_find(const struct leases *leases, const char *instance);
/* Appends; lease->ports is taken over. */
int leases_add(struct leases *leases, const struct lease *lease, struct error *err);
void leases_remove(struct leases *leases, struct lease *lease);

/* Chooses lease->address and address6 where they are not given (family 0), or checks that they are free. */
int leases_assign(struct leases *leases, const struct network *network, struct lease *lease, struct error *err);

/* Names of the networks that have a file of leases, an owned list in the order of the names. */
int leases_networks(struct networks *networks, char ***names, struct error *err);
