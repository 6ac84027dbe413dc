/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "machine/virtio/entropy.h"

#include <stddef.h>

enum { QUEUE_SIZE = 16, PIECE = 256 };

static void answer(struct virtio_entropy *entropy, struct virtqueue *queue, const struct virtqueue_chain *chain)
{
        uint8_t bytes[PIECE];
        /* A driver that wants more asks again: no request keeps the machine's lock for long. */
        uint64_t wanted = virtqueue_writable_length(chain);
        size_t length = wanted < sizeof(bytes) ? (size_t)wanted : sizeof(bytes);
        if (entropy->backend.fill(entropy->backend.owner, bytes, length) < 0)
                length = 0;
        virtqueue_push(queue, chain, (uint32_t)virtqueue_write(queue, chain, 0, bytes, length));
}

static void entropy_notify(struct virtio_device *device, unsigned index)
{
        struct virtio_entropy *entropy =
                (struct virtio_entropy *)(void *)((char *)device - offsetof(struct virtio_entropy, device));
        struct virtqueue *queue = &device->queues[index];
        struct virtqueue_chain chain;
        int popped;
        while ((popped = virtqueue_pop(queue, &chain)) > 0)
                answer(entropy, queue, &chain);
        if (popped < 0)
                virtio_break(device, "a request's descriptors make no sense");
        else
                virtio_interrupt_queue(device, index);
}

static uint64_t entropy_features(struct virtio_device *device)
{
        (void)device;
        return 0;
}

static void entropy_reset(struct virtio_device *device)
{
        (void)device;
}

static void entropy_config_read(struct virtio_device *device, unsigned offset, void *data, unsigned length)
{
        (void)device;
        (void)offset;
        __builtin_memset(data, 0, length);
}

/* It has no state: its record only says that it was there. */
#define ENTROPY_STATE_VERSION 1

static void entropy_save(struct virtio_device *device, struct state_writer *writer)
{
        (void)device;
        state_begin(writer, "virtio-entropy", ENTROPY_STATE_VERSION);
        state_end(writer);
}

static int entropy_restore(struct virtio_device *device, struct state_reader *reader)
{
        (void)device;
        int r = state_open(reader, "virtio-entropy", ENTROPY_STATE_VERSION);
        return r < 0 ? r : state_close(reader);
}

static const struct virtio_operations entropy_operations = {
        .name = "entropy",
        .id = 4,
        .pci_class = 0xff0000, /* no class of PCI */
        .features = entropy_features,
        .reset = entropy_reset,
        .notify = entropy_notify,
        .config_read = entropy_config_read,
        .save = entropy_save,
        .restore = entropy_restore,
};

void virtio_entropy_init(struct virtio_entropy *entropy, const struct entropy_backend *backend)
{
        *entropy = (struct virtio_entropy){ .device = { .operations = &entropy_operations, .queue_count = 1 },
                                            .backend = *backend };
        entropy->device.queues[0].size_max = QUEUE_SIZE;
}
