/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A virtio network device: virtio 1.2, section 5.1, with checksum and segmentation offload, mergeable receive
 * buffers and several pairs of queues, of which the driver says how many it uses.
 *
 * Each frame has the header of section 5.1.6 in front, which a tap device of Linux speaks too;
 * a back end that does not speak it says so, and the device then offers no offloads. Freestanding; the machine's
 * lock is held around every call.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "machine/virtio/device.h"

#define VIRTIO_NETWORK_HEADER    12
#define VIRTIO_NETWORK_PAIRS_MAX 8
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
        unsigned pairs; /* of queues, that the driver may use: 1 to VIRTIO_NETWORK_PAIRS_MAX */
        /*
         * Whether a frame may be sent now; where not, virtio_network_send() is called when it may. NULL: always.
         */
        bool (*may_send)(void *owner, unsigned pair);
        /* Takes one frame, in `count` parts; one that cannot be sent is lost, as on a wire. */
        void (*send)(void *owner, unsigned pair, const struct virtqueue_part *parts, unsigned count);
        /* Puts one frame into `frame` and returns its length, or 0 if there is none now. */
        size_t (*receive)(void *owner, unsigned pair, uint8_t *frame, size_t room);
        void (*use_pairs)(void *owner, unsigned pairs);    /* only where there is more than one */
        void (*set_offloads)(void *owner, unsigned taken); /* NETWORK_GUEST_…; only with `offloads` */
        /* Whether the device wants virtio_network_receive() to be called when a frame comes; it starts with no. */
        void (*want_frames)(void *owner, unsigned pair, bool wanted);
};

struct virtio_network_pair {
        size_t waiting; /* bytes of `frame`: it came and there was no buffer for it */
        uint8_t frame[VIRTIO_NETWORK_FRAME_MAX];
};

struct virtio_network {
        struct virtio_device device;
        struct network_backend backend;
        bool mergeable, started, multi_queue, link_down;
        unsigned pairs;                     /* that the driver uses now */
        unsigned restored_pairs;            /* that it used when it was saved; 0: it was not */
        struct virtio_network_pair *places; /* the owner's array, of as many as the back end has */
        uint64_t sent, received, dropped;   /* frames */
};

void virtio_network_init(struct virtio_network *network, const struct network_backend *backend,
                         struct virtio_network_pair *places);

/* Frames have come. */
void virtio_network_receive(struct virtio_network *network, unsigned pair);
/* Frames may be sent again. */
void virtio_network_send(struct virtio_network *network, unsigned pair);
/* The cable is out, or in again. */
void virtio_network_set_link(struct virtio_network *network, bool down);
