/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * linux.netDevices: interfaces of the host that move into the container's network namespace, with their global
 * addresses (OCI runtime-spec 1.3 config-linux.md, "Network Devices"; rtnetlink(7)). The kernel moves physical ones
 * back when it ends.
 */
#pragma once

#include <net/if.h>
#include <stddef.h>

#include "base/error.h"
#include "base/json.h"

struct network_device {
        const char *host;    /* its name now; borrowed */
        char name[IFNAMSIZ]; /* its name inside */
};

struct network_devices {
        struct network_device *list; /* owned */
        size_t count;
};

/* `platform` is the object linux. */
int network_devices_parse(const struct json_at *platform, struct network_devices *devices);
void network_devices_free(struct network_devices *devices);

/*
 * Moves them from the caller's network namespace into that of `netns`, sets their addresses again and brings them up.
 */
int network_devices_move(const struct network_devices *devices, int netns, struct error *err);
