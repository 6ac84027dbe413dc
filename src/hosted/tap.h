/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A network card of the guest on a tap device of the host: Linux Documentation/networking/tuntap.rst.
 *
 * The tap is made where it does not exist (and goes with the process then); whoever called us puts it on a bridge.
 * Offloads that the guest takes are the tap's: a segment of 64 KiB crosses in one piece.
 */
#pragma once

#include <stdint.h>

#include "base/error.h"

struct vmm;
struct tap;

struct tap_settings {
        char name[16];
        int fd;             /* a tap that was opened for us with IFF_VNET_HDR, or -1 */
        uint8_t address[6]; /* of the guest's card */
};

/*
 * "tap=NAME[,address=MAC]" or "fd=N[,address=MAC]"; without an address a random one that is locally administered.
 * -EINVAL.
 */
int tap_parse(const char *text, struct tap_settings *settings, struct error *err);

int tap_open(struct vmm *vmm, const struct tap_settings *settings, struct tap **tap, struct error *err);
void tap_close(struct tap *tap);

void tap_print_statistics(const struct tap *tap);
