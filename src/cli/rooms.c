/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "cli/rooms.h"

#include "instance/instance.h"

int call_store(struct call *call, struct store **store, struct error *err)
{
        struct host *host;
        int r = call_host(call, &host, err);
        return r < 0 ? r : store_open(host->root, store, err);
}

int call_networks(struct call *call, struct networks **networks, struct error *err)
{
        struct host *host;
        int r = call_host(call, &host, err);
        return r < 0 ? r : networks_open(host->root, host->state, host->rootless, networks, err);
}
