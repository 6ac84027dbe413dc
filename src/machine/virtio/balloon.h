/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A virtio memory balloon: virtio 1.2, section 5.5. Pages that the guest does not use go back to the host.
 *
 * By themselves: the guest reports what is free (section 5.5.6.7) and takes it again by touching it. On demand: the
 * host sets a target, and the guest gives up so many pages. Freestanding; the machine's lock is held around every
 * call.
 */
#pragma once

#include "machine/virtio/device.h"

struct balloon_backend {
        void *owner;
        /* These bytes of guest RAM, whole pages, hold nothing of value; they read as zeros the next time. */
        void (*release)(void *owner, void *bytes, uint64_t length);
};

struct virtio_balloon {
        struct virtio_device device;
        struct balloon_backend backend;
        uint32_t target, actual; /* pages of 4 KiB: to be given up, and given up as the guest says */
        uint64_t released;       /* bytes, ever */
};

void virtio_balloon_init(struct virtio_balloon *balloon, const struct balloon_backend *backend);
void virtio_balloon_set_target(struct virtio_balloon *balloon, uint32_t pages);
