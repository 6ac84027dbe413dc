/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The virtual machine: its memory, its buses and the devices that every one has.
 *
 * Its host owns it, fills the table of services, adds the memory, and brings the accesses that an engine reports to
 * machine_port() and machine_mmio(). One lock guards all devices: the host takes it around every call here.
 * Freestanding.
 *
 * Ports: 0x60/0x64 keyboard controller (reset only), 0x70/0x71 CMOS clock, 0x80 POST code, 0x3f8 serial, 0xf4 debug
 * exit, 0x600 ACPI (power.h), 0xcf8 PCI (pci.h). What a guest's system finds by itself, or is told by acpi.h.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "machine/bus.h"
#include "machine/cmos.h"
#include "machine/memory.h"
#include "machine/pci.h"
#include "machine/power.h"
#include "machine/serial.h"
#include "machine/virtio/transport_pci.h"

enum machine_end {
        MACHINE_RUNS,
        MACHINE_RESET,      /* the guest asked for a reset */
        MACHINE_OFF,        /* the guest switched itself off */
        MACHINE_DEBUG_EXIT, /* the guest wrote its exit code to the debug-exit port */
};

/* All that a machine asks of its host. `context` is the host's own. */
struct machine_host {
        void *context;
        void (*console_send)(void *context, const uint8_t *bytes, size_t length);
        void (*console_room)(void *context); /* the guest took what it was sent */
        void (*interrupt_line)(void *context, unsigned line, bool raised);
        void (*message_interrupt)(void *context, uint64_t address, uint32_t data);
        /* See struct virtio_transport_owner; NULL where the engine has nothing faster than an exit. */
        void (*doorbell)(void *context, struct virtio_transport *transport, unsigned queue, uint64_t at, bool present);
        void (*log)(void *context, const char *device, const char *why); /* the guest broke a rule of a device */
        int64_t (*wall_clock)(void *context);                            /* seconds since 1970-01-01 UTC */
        uint64_t (*clock)(void *context);                                /* nanoseconds, never going back */
        void (*end)(void *context, enum machine_end end, unsigned code);
};

struct machine {
        struct machine_host host;
        struct guest_memory memory;
        struct bus ports, mmio;
        struct serial serial;
        struct cmos cmos;
        struct power power;
        struct pci_bus pci;
        struct pci_device host_bridge;
        unsigned keyboard_reads; /* of a buffer with nothing in it, which ends after some */
        unsigned virtio_count;
        struct virtio_transport *virtio[PCI_SLOTS]; /* in the order in which they were added */
};

#define MACHINE_SERIAL_LINE 4 /* the interrupt of a PC's first serial port */

/* The memory is added afterwards. */
int machine_init(struct machine *machine, const struct machine_host *host);

/*
 * Puts a virtio device on the PCI bus; both structs stay the caller's, who keeps them as long as the machine.
 * -ENOSPC.
 */
int machine_add_virtio(struct machine *machine, struct virtio_transport *transport, struct virtio_device *device);

/*
 * An access that left the guest: `count` values of `size` bytes at `data`, written by the guest or to be filled in
 * for it.
 */
void machine_port(struct machine *machine, uint16_t port, unsigned size, bool write, uint8_t *data, unsigned count);
void machine_mmio(struct machine *machine, gpa_t at, unsigned size, bool write, uint8_t *data);
