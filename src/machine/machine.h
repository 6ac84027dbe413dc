/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The virtual machine: its memory, its buses and the devices that every one has.
 *
 * Its host owns it, fills the table of services, adds the memory, and brings the accesses that an engine reports to
 * machine_port() and machine_mmio(). One lock guards all devices: the host takes it around every call here. Freestanding.
 *
 * Ports: 0x60/0x64 keyboard controller (reset only), 0x70/0x71 CMOS clock, 0x80 POST code, 0x3f8 serial, 0xf4 debug exit.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "machine/bus.h"
#include "machine/cmos.h"
#include "machine/memory.h"
#include "machine/serial.h"

enum machine_end {
        MACHINE_RUNS,
        MACHINE_RESET,      /* the guest asked for a reset */
        MACHINE_DEBUG_EXIT, /* the guest wrote its exit code to the debug-exit port */
};

/* All that a machine asks of its host. `context` is the host's own. */
struct machine_host {
        void *context;
        void (*console_send)(void *context, const uint8_t *bytes, size_t length);
        void (*console_room)(void *context); /* the guest took what it was sent */
        void (*interrupt_line)(void *context, unsigned line, bool raised);
        int64_t (*wall_clock)(void *context); /* seconds since 1970-01-01 UTC */
        void (*end)(void *context, enum machine_end end, unsigned code);
};

struct machine {
        struct machine_host host;
        struct guest_memory memory;
        struct bus ports, mmio;
        struct serial serial;
        struct cmos cmos;
};

#define MACHINE_SERIAL_LINE 4 /* the interrupt of a PC's first serial port */

/* The memory is added afterwards. */
int machine_init(struct machine *machine, const struct machine_host *host);

/* An access that left the guest: `count` values of `size` bytes at `data`, written by the guest or to be filled in for it. */
void machine_port(struct machine *machine, uint16_t port, unsigned size, bool write, uint8_t *data, unsigned count);
void machine_mmio(struct machine *machine, gpa_t at, unsigned size, bool write, uint8_t *data);
