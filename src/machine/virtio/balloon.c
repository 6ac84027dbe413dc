/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "machine/virtio/balloon.h"

#include <stddef.h>

enum {
        QUEUE_INFLATE = 0,
        QUEUE_DEFLATE = 1,
        /* Section 5.5.2 counts it as 4; drivers give the queues that they negotiated one number after the other. */
        QUEUE_REPORT = 2,
        QUEUES = 3,
        QUEUE_SIZE = 128,
        NUMBERS_AT_ONCE = 256,
        NUMBERS_MAX = 4096, /* of one request; drivers have 256 or a page of them, and more give up nothing */

        CONFIG_ACTUAL = 4,
        CONFIG_LENGTH = 8,
};

/* Section 5.5.3. */
#define FEATURE_DEFLATE_ON_OOM (1ULL << 2)
#define FEATURE_REPORTING      (1ULL << 5)

static struct virtio_balloon *balloon_of(struct virtio_device *device)
{
        return (struct virtio_balloon *)(void *)((char *)device - offsetof(struct virtio_balloon, device));
}

static void release(struct virtio_balloon *balloon, void *bytes, uint64_t length)
{
        balloon->backend.release(balloon->backend.owner, bytes, length);
        balloon->released += length;
}

/* Page numbers, 32 bits each; runs of neighbours go in one piece. */
static void inflate(struct virtio_balloon *balloon, struct virtqueue *queue, const struct virtqueue_chain *chain)
{
        uint32_t numbers[NUMBERS_AT_ONCE];
        uint64_t start = 0, pages = 0;
        size_t offset = 0, length;
        while (offset < NUMBERS_MAX * sizeof(numbers[0]) &&
               (length = virtqueue_read(chain, offset, numbers, sizeof(numbers)) / sizeof(numbers[0])) > 0) {
                offset += length * sizeof(numbers[0]);
                for (size_t i = 0; i <= length; i++) {
                        if (i < length && pages && numbers[i] == start + pages) {
                                pages++;
                                continue;
                        }
                        void *bytes = guest_memory_span(queue->memory, gpa(start * GUEST_PAGE_SIZE),
                                                        pages * GUEST_PAGE_SIZE, true);
                        if (bytes) /* no memory of the guest's: it gives up nothing */
                                release(balloon, bytes, pages * GUEST_PAGE_SIZE);
                        start = i < length ? numbers[i] : 0;
                        pages = i < length;
                }
        }
}

/* The free pages themselves are the request's buffers. */
static void take_report(struct virtio_balloon *balloon, const struct virtqueue_chain *chain)
{
        for (unsigned i = 0; i < chain->writable; i++) {
                const struct virtqueue_part *part = &chain->parts[chain->readable + i];
                uint64_t before = -part->guest.at & (GUEST_PAGE_SIZE - 1);
                if (part->length < before + GUEST_PAGE_SIZE)
                        continue;
                release(balloon, part->host + before, (part->length - before) & ~(uint64_t)(GUEST_PAGE_SIZE - 1));
        }
}

static void balloon_notify(struct virtio_device *device, unsigned index)
{
        struct virtio_balloon *balloon = balloon_of(device);
        struct virtqueue *queue = &device->queues[index];
        struct virtqueue_chain chain;
        int popped;
        while ((popped = virtqueue_pop(queue, &chain)) > 0) {
                if (index == QUEUE_INFLATE)
                        inflate(balloon, queue, &chain);
                if (index == QUEUE_REPORT)
                        take_report(balloon, &chain);
                virtqueue_push(queue, &chain, 0); /* a deflated page comes back when it is touched */
        }
        if (popped < 0)
                virtio_break(device, "a request's descriptors make no sense");
        else
                virtio_interrupt_queue(device, index);
}

void virtio_balloon_set_target(struct virtio_balloon *balloon, uint32_t pages)
{
        balloon->target = pages;
        virtio_interrupt_config(&balloon->device);
}

static uint64_t balloon_features(struct virtio_device *device)
{
        (void)device;
        return FEATURE_DEFLATE_ON_OOM | FEATURE_REPORTING;
}

static void balloon_reset(struct virtio_device *device)
{
        balloon_of(device)->actual = 0;
}

static void balloon_config_read(struct virtio_device *device, unsigned offset, void *data, unsigned length)
{
        const uint32_t config[] = { balloon_of(device)->target, balloon_of(device)->actual };
        __builtin_memcpy(data, (const uint8_t *)config + offset, length);
}

static void balloon_config_write(struct virtio_device *device, unsigned offset, const void *data, unsigned length)
{
        if (offset == CONFIG_ACTUAL && length == sizeof(uint32_t))
                __builtin_memcpy(&balloon_of(device)->actual, data, sizeof(uint32_t));
}

#define BALLOON_STATE_VERSION 1

static void balloon_save(struct virtio_device *device, struct state_writer *writer)
{
        const struct virtio_balloon *balloon = balloon_of(device);
        state_begin(writer, "virtio-balloon", BALLOON_STATE_VERSION);
        state_u32(writer, balloon->target);
        state_u32(writer, balloon->actual);
        state_end(writer);
}

static int balloon_restore(struct virtio_device *device, struct state_reader *reader)
{
        int r = state_open(reader, "virtio-balloon", BALLOON_STATE_VERSION);
        if (r < 0)
                return r;
        uint32_t target = state_take_u32(reader), actual = state_take_u32(reader);
        r = state_close(reader);
        if (r < 0)
                return r;
        balloon_of(device)->target = target;
        balloon_of(device)->actual = actual;
        return 0;
}

static const struct virtio_operations balloon_operations = {
        .name = "balloon",
        .id = 5,
        .pci_class = 0xff0000, /* no class of PCI */
        .config_length = CONFIG_LENGTH,
        .features = balloon_features,
        .reset = balloon_reset,
        .notify = balloon_notify,
        .config_read = balloon_config_read,
        .config_write = balloon_config_write,
        .save = balloon_save,
        .restore = balloon_restore,
};

void virtio_balloon_init(struct virtio_balloon *balloon, const struct balloon_backend *backend)
{
        *balloon = (struct virtio_balloon){ .device = { .operations = &balloon_operations, .queue_count = QUEUES },
                                            .backend = *backend };
        for (unsigned i = 0; i < QUEUES; i++)
                balloon->device.queues[i].size_max = QUEUE_SIZE;
}
