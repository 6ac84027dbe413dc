/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A virtio device, apart from how the guest reaches it (virtio 1.2, chapter 2): what a device says of itself and
 * what the transport does for it.
 *
 * A device is a struct virtio_device with a table of operations; the transport (transport_pci.h) owns status,
 * features and queues and calls it. Everything a driver writes is checked in the transport once (feature bits that
 * were not offered, queue numbers, accesses beyond the configuration); the device sees only what passed. The
 * machine's lock is held around every call.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "machine/state.h"
#include "machine/virtio/queue.h"

#define VIRTIO_QUEUES_MAX 18

struct virtio_device;

struct virtio_operations {
        const char *name;
        uint16_t id;            /* virtio 1.2, chapter 5 */
        uint32_t pci_class;     /* class, subclass, interface: PCI Code and ID Assignment */
        unsigned config_length; /* bytes of device configuration */
        /*
         * Features offered besides those that the transport brings for every device (version 1, event index,
         * indirect, packed).
         */
        uint64_t (*features)(struct virtio_device *device);
        /* The driver has set DRIVER_OK with these features; queues are ready. May be NULL. */
        void (*start)(struct virtio_device *device, uint64_t features);
        /* Back to the state before the driver came; nothing of it may be in flight afterwards. */
        void (*reset)(struct virtio_device *device);
        /* The driver put requests into queue `index`. */
        void (*notify)(struct virtio_device *device, unsigned index);
        /* offset + length <= config_length. config_write may be NULL. */
        void (*config_read)(struct virtio_device *device, unsigned offset, void *data, unsigned length);
        void (*config_write)(struct virtio_device *device, unsigned offset, const void *data, unsigned length);
        /* Its own record of the saved state; queues and features are the transport's. */
        void (*save)(struct virtio_device *device, struct state_writer *writer);
        int (*restore)(struct virtio_device *device, struct state_reader *reader);
};

struct virtio_transport; /* how interrupts reach the guest */

struct virtio_device {
        const struct virtio_operations *operations;
        unsigned queue_count;
        struct virtqueue queues[VIRTIO_QUEUES_MAX];
        struct virtio_transport *transport;
};

/* ---- For devices ---- */

/* Interrupts the driver for queue `index` if it wants to be after what was pushed. */
void virtio_interrupt_queue(struct virtio_device *device, unsigned index);
/* The same for a queue that a back end serves itself, which has found that the driver wants to be. */
void virtio_signal_queue(struct virtio_device *device, unsigned index);
/* The device's configuration has changed. */
void virtio_interrupt_config(struct virtio_device *device);
/* The driver broke a rule: sets DEVICE_NEEDS_RESET, tells the driver, and the host's log why. */
void virtio_break(struct virtio_device *device, const char *why);
