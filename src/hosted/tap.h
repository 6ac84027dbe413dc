/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A network card of the guest, on a tap device of the host (Linux Documentation/networking/tuntap.rst) or on passt,
 * which needs no privilege.
 *
 * The tap is made where it does not exist (and goes with the process then); whoever called us puts it on a bridge.
 * Offloads that the guest takes are the tap's: a segment of 64 KiB crosses in one piece. Served by the main loop.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/error.h"
#include "hosted/passt.h"
#include "hosted/token_bucket.h"
#include "machine/virtio/network.h"

struct vmm;
struct tap;

struct tap_settings {
        char name[16];
        int fds[VIRTIO_NETWORK_PAIRS_MAX]; /* taps that were opened for us with IFF_VNET_HDR, one a pair of queues */
        unsigned fd_count;
        unsigned pairs;     /* of queues */
        uint8_t address[6]; /* of the guest's card */
        bool user;          /* by passt, and these ports of the host lead to the guest's */
        struct passt_settings passt;
        struct rate_settings rate; /* each way */
};

/*
 * "tap=NAME[,queues=N]", "fd=N[,fd=N…]" or "user[,publish=[ADDRESS:]HOST:GUEST[/udp]…]", and "address=MAC",
 * "rate-bytes=RATE[:BURST]", "rate-frames=RATE[:BURST]"; without an address a random one that is locally administered.
 * -EINVAL.
 */
int tap_parse(const char *text, struct tap_settings *settings, struct error *err);

int tap_open(struct vmm *vmm, const struct tap_settings *settings, struct tap **tap, struct error *err);
void tap_close(struct tap *tap);

/* From now on; the machine's lock is held. */
void tap_set_rate(struct tap *tap, const struct rate_settings *rate);

void tap_print_statistics(const struct tap *tap);
