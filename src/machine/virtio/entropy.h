/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A virtio entropy device: virtio 1.2, section 5.4. Its back end gives random bytes at once. Freestanding; the
 * machine's lock is held around every call.
 */
#pragma once

#include "machine/virtio/device.h"

struct entropy_backend {
        void *owner;
        int (*fill)(void *owner, void *bytes, size_t length); /* 0, or a negative code: the guest gets nothing */
};

struct virtio_entropy {
        struct virtio_device device;
        struct entropy_backend backend;
};

void virtio_entropy_init(struct virtio_entropy *entropy, const struct entropy_backend *backend);
