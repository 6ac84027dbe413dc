/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * How a guest reaches a virtio device over PCI: virtio 1.2, section 4.1.
 *
 * One memory BAR holds the common configuration, the interrupt status, the device's configuration and the
 * notification addresses; another the MSI-X table. Modern devices only. The struct is owned by the machine and
 * bound to one device. What the driver writes is checked here: features that were not offered, queues that do not
 * exist, values out of range have no effect or make the device need a reset, as the specification says.
 */
#pragma once

#include "machine/pci.h"
#include "machine/virtio/device.h"

/* What the transport needs of its owner. */
struct virtio_transport_owner {
        void *owner;
        void (*log)(void *owner, const char *device, const char *why); /* a driver broke a rule */
        /*
         * The guest moved the address whose 16-bit writes notify queue `index`; while `present`, an engine may turn
         * them into something faster that ends in virtio_pci_notify(). May be NULL.
         */
        void (*doorbell)(void *owner, struct virtio_transport *transport, unsigned index, uint64_t at, bool present);
};

struct virtio_transport {
        struct pci_device pci;
        struct virtio_device *device;
        struct virtio_transport_owner owner;
        unsigned portal; /* offset of the capability that reaches the registers through configuration space */
        uint8_t status, isr, config_generation;
        uint32_t device_feature_select, driver_feature_select;
        uint64_t driver_features;
        uint16_t queue_select, config_vector, queue_vectors[VIRTIO_QUEUES_MAX];
};

/* Puts the device on the bus. -ENOSPC. */
int virtio_pci_init(struct virtio_transport *transport, struct virtio_device *device, struct pci_bus *pci,
                    struct guest_memory *memory, const struct virtio_transport_owner *owner);

/* The driver has put requests into queue `index`: what a write to its notification address does. */
void virtio_pci_notify(struct virtio_transport *transport, unsigned index);

void virtio_pci_save(const struct virtio_transport *transport, struct state_writer *writer);
int virtio_pci_restore(struct virtio_transport *transport, struct state_reader *reader);
