/* SPDX-License-Identifier: GPL-2.0-or-later */
/* A virtio balloon under a hostile driver: what it gives back is its own memory, in whole pages. */
#include "machine/virtio/balloon.h"

#include "fuzz_device.h"

static struct virtio_balloon balloon;

static void release(void *owner, void *bytes, uint64_t length)
{
        (void)owner;
        unsigned char *start = bytes;
        if (start < fuzz_guest.ram || length > FUZZ_RAM || start + length > fuzz_guest.ram + FUZZ_RAM || !length ||
            (start - fuzz_guest.ram) % 4096 || length % 4096)
                abort();
        memset(bytes, 0, length);
}

static void event(struct fuzz_input *input)
{
        virtio_balloon_set_target(&balloon, (uint32_t)fuzz_take(input, 4));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
        virtio_balloon_init(&balloon, &(struct balloon_backend){ .release = release });
        fuzz_device(&balloon.device, event, data, size);
        return 0;
}
