/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A virtio file system device: virtio 1.2, section 5.11. Its requests are FUSE messages, which the device does not
 * look at.
 *
 * While the driver is there, the queues are the back end's: it takes requests off them and answers them itself, in
 * threads or a process of its own, and says what the driver is to be told with virtio_filesystem_signal() and
 * virtio_filesystem_break(). Their position is then unknown here, so such a machine's state cannot be saved.
 * Freestanding; the machine's lock is held around every call.
 */
#pragma once

#include <stdbool.h>

#include "machine/virtio/device.h"

#define VIRTIO_FILESYSTEM_TAG        36 /* bytes, not terminated when full: section 5.11.4 */
#define VIRTIO_FILESYSTEM_QUEUE_SIZE 1024
/* Queue 0 is for requests that must not wait (forgetting, interrupting); the others are the request queues. */
#define VIRTIO_FILESYSTEM_QUEUES_MAX 9

struct filesystem_backend {
        void *owner;
        /* The driver is ready: from here until stop() the queues, of which these are copies, belong to the back end. */
        void (*start)(void *owner, const struct virtqueue *queues, unsigned count);
        void (*stop)(void *owner); /* after it the back end touches no queue and no buffer */
        void (*kick)(void *owner, unsigned queue);
};

struct virtio_filesystem {
        struct virtio_device device;
        struct filesystem_backend backend;
        bool started;
        char tag[VIRTIO_FILESYSTEM_TAG];
};

/* `request_queues`: 1 to VIRTIO_FILESYSTEM_QUEUES_MAX - 1. `tag`: 1 to VIRTIO_FILESYSTEM_TAG bytes. */
void virtio_filesystem_init(struct virtio_filesystem *filesystem, const struct filesystem_backend *backend,
                            const char *tag, unsigned request_queues);

/* The back end has answered requests of a queue and the driver wants to be interrupted. */
void virtio_filesystem_signal(struct virtio_filesystem *filesystem, unsigned queue);
/* The driver broke a queue, or the back end is gone. */
void virtio_filesystem_break(struct virtio_filesystem *filesystem, const char *why);
