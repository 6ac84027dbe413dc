/* SPDX-License-Identifier: GPL-2.0-or-later */
/* A virtio entropy device under a hostile driver. */
#include "machine/virtio/entropy.h"

#include "fuzz_device.h"

static struct virtio_entropy entropy;

static int fill(void *owner, void *bytes, size_t length)
{
        (void)owner;
        memset(bytes, 0x5a, length);
        return length % 5 ? 0 : -5;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
        virtio_entropy_init(&entropy, &(struct entropy_backend){ .fill = fill });
        fuzz_device(&entropy.device, NULL, data, size);
        return 0;
}
