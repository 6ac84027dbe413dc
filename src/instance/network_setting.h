/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * --network as docker writes it: none, host, container:NAME, or networks by name, each with its own options.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "base/error.h"
#include "instance/settings.h"
#include "network/network.h"

enum network_kind { NETWORK_NONE, NETWORK_HOST, NETWORK_CONTAINER, NETWORK_BRIDGED };

enum network_kind network_settings_kind(const struct instance_settings *settings);
/* NAME of --network container:NAME. */
const char *network_settings_container(const struct instance_settings *settings);
size_t network_settings_count(const struct instance_settings *settings); /* of networks to attach to */

struct network_setting {
        char *name;
        char *address, *address6, *mac; /* or NULL */
        char **aliases;
};
/* The i-th network to attach to, with --ip, --ip6, --mac-address and --network-alias put to the first. */
int network_setting_parse(const struct instance_settings *settings, size_t i, struct network_setting *network,
                          struct error *err);
void network_setting_free(struct network_setting *network);

int network_settings_check(const struct instance_settings *settings, struct error *err);

/* All of -p (and with -P each exposed port on a free one); *ports is the caller's. */
int network_settings_ports(const struct instance_settings *settings, struct published_port **ports, size_t *count,
                           struct error *err);
