/* SPDX-License-Identifier: GPL-2.0-or-later */
/* How attachments are told to the world, and names are written down. */
#pragma once

#include "network/lease.h"

/* An attachment as network_attach() returns it; interface may be NULL. The caller's; NULL without memory. */
json_t *describe_lease(const struct network *network, const struct lease *lease, const char *interface);

/*
 * The names with single spaces between them, the caller's; NULL with *err filled where one cannot stand in a hosts
 * file.
 */
char *names_join(const char *const *names, struct error *err);
/* The same for --add-host lines. */
int extra_hosts_join(char *const *lines, char **joined, struct error *err);
