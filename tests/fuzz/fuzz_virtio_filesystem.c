/* SPDX-License-Identifier: GPL-2.0-or-later */
/* A virtio file system device under a hostile driver; its back end checks what it is given and pops requests itself. */
#include "machine/virtio/filesystem.h"

#include "fuzz_device.h"

static struct virtio_filesystem filesystem;
static struct virtqueue queues[VIRTIO_FILESYSTEM_QUEUES_MAX];
static bool started;

static void start(void *owner, const struct virtqueue *given, unsigned count)
{
        (void)owner;
        for (unsigned i = 0; i < count; i++)
                queues[i] = given[i];
        started = true;
}

static void stop(void *owner)
{
        (void)owner;
        if (!started)
                abort();
        started = false;
}

static void kick(void *owner, unsigned index)
{
        static struct virtqueue_chain chain;
        (void)owner;
        if (!started || index >= filesystem.device.queue_count)
                abort();
        int r;
        while ((r = virtqueue_pop(&queues[index], &chain)) > 0)
                virtqueue_push(&queues[index], &chain, (uint32_t)virtqueue_writable_length(&chain));
        if (r < 0)
                virtio_filesystem_break(&filesystem, "broken");
        else if (virtqueue_should_interrupt(&queues[index]))
                virtio_filesystem_signal(&filesystem, index);
}

/* Signals may come at any time, and after the driver has gone. */
static void event(struct fuzz_input *input)
{
        virtio_filesystem_signal(&filesystem, (unsigned)fuzz_take(input, 1) % filesystem.device.queue_count);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
        started = false;
        virtio_filesystem_init(&filesystem, &(struct filesystem_backend){ .start = start, .stop = stop, .kick = kick },
                               "tag", 3);
        fuzz_device(&filesystem.device, event, data, size);
        return 0;
}
