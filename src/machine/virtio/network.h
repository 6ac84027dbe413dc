/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A virtio network device: virtio 1.2, section 5.1, with checksum and segmentation offload and mergeable receive
 * buffers.
 *
 * One pair of queues. Each frame has the header of section 5.1.6 in front, which a tap device of Linux speaks too;
 * a back end that does not speak it says so, and the device then offers no offloads. Freestanding; the machine's
 * lock is held around every call.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "machine/virtio/device.h"

#define VIRTIO_NETWORK_HEADER    12
#define VIRTIO_NETWORK_FRAME_MAX (VIRTIO_NETWORK_HEADER + 65550) /* header, Ethernet header, largest segment */

/* What the driver takes, in the numbers of section 5.1.3. */
enum {
        NETWORK_GUEST_CHECKSUM = 1 << 1,
        NETWORK_GUEST_TSO4 = 1 << 7,
        NETWORK_GUEST_TSO6 = 1 << 8,
};

struct network_backend {
        void *owner;
        bool offloads; /* frames have the header in front; otherwise they begin with Ethernet's */
        uint8_t address[6];
        uint16_t mtu;
        /* Takes one frame, in `count` parts; one that cannot be sent is lost, as on a wire. */
        void (*send)(void *owner, const struct virtqueue_part *parts, unsigned count);
        /* Puts one frame into `frame` and returns its length, or 0 if there is none now. */
        size_t (*receive)(void *owner, uint8_t *frame, size_t room);
        void (*set_offloads)(void *owner, unsigned taken); /* NETWORK_GUEST_…; only with `offloads` */
        /* Whether the device wants virtio_network_receive() to be called when a frame comes; it starts with no. */
        void (*want_frames)(void *owner, bool wanted);
};

struct virtio_network {
        struct virtio_device device;
        struct network_backend backend;
        bool mergeable, started;
        size_t waiting; /* bytes of `frame`: it came and there was no buffer for it */
        uint8_t frame[VIRTIO_NETWORK_FRAME_MAX];
        uint64_t sent, received, dropped; /* frames */
};

void virtio_network_init(struct virtio_network *network, const struct network_backend *backend);

/* Frames have come. */
void virtio_network_receive(struct virtio_network *network);
