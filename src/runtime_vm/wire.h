/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The network of a virtual machine: every interface of its network namespace is wired to a tap of the guest's, which takes
 * over hardware address, MTU, addresses and routes. So whoever made the interface (`onggi network`, CNI, netavark, docker)
 * need not know that a machine is behind it.
 *
 * The wire is a redirection in the kernel (tc-mirred(8)), one for each direction, put in front of everything else: no
 * frame reaches the namespace itself, whose interface keeps its address and yet answers nobody. A bridge would be
 * another hop and would speak itself. Filters match by u32, which more kernels have than matchall.
 *
 * All of it works in the network namespace that the calling thread is in. Taps go with the process that holds them.
 */
#pragma once

#include <jansson.h>
#include <stdint.h>

#include "base/error.h"
#include "guest/machine_config.h"
#include "network/address.h"

struct wire {
        int tap; /* descriptor for onggi-vmm's --network */
        char mac[MAC_TEXT];
};

struct wires {
        size_t count;
        struct wire wires[MACHINE_CONFIG_INTERFACES_MAX];
        json_t *interfaces, *routes; /* as machine.json has them */
};

/*
 * Wires all Ethernet interfaces that are up. A wire that an earlier machine left behind in the namespace is taken down first.
 * Nothing is left of a call that fails but what wires_cut() removes.
 */
int wires_lay(struct wires *wires, struct error *err);
void wires_release(struct wires *wires);

/* Removes the redirections from every interface: frames reach the namespace again. */
int wires_cut(struct error *err);
