/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "machine/virtio/filesystem.h"

#include <errno.h>
#include <stddef.h>

/* struct virtio_fs_config without notify_buf_size, which is there with notifications alone: section 5.11.4. */
#define CONFIG_LENGTH (VIRTIO_FILESYSTEM_TAG + 4)

static struct virtio_filesystem *filesystem_of(struct virtio_device *device)
{
        return (struct virtio_filesystem *)(void *)((char *)device - offsetof(struct virtio_filesystem, device));
}

static uint64_t filesystem_features(struct virtio_device *device)
{
        (void)device;
        return 0;
}

static void filesystem_start(struct virtio_device *device, uint64_t features)
{
        struct virtio_filesystem *filesystem = filesystem_of(device);
        (void)features;
        filesystem->backend.start(filesystem->backend.owner, device->queues, device->queue_count);
        filesystem->started = true;
}

static void filesystem_reset(struct virtio_device *device)
{
        struct virtio_filesystem *filesystem = filesystem_of(device);
        if (filesystem->started)
                filesystem->backend.stop(filesystem->backend.owner);
        filesystem->started = false;
}

static void filesystem_notify(struct virtio_device *device, unsigned index)
{
        struct virtio_filesystem *filesystem = filesystem_of(device);
        filesystem->backend.kick(filesystem->backend.owner, index);
}

static void filesystem_config_read(struct virtio_device *device, unsigned offset, void *data, unsigned length)
{
        uint8_t config[CONFIG_LENGTH];
        uint32_t queues = device->queue_count - 1;
        __builtin_memcpy(config, filesystem_of(device)->tag, VIRTIO_FILESYSTEM_TAG);
        __builtin_memcpy(config + VIRTIO_FILESYSTEM_TAG, &queues, sizeof(queues));
        __builtin_memcpy(data, config + offset, length);
}

static void filesystem_save(struct virtio_device *device, struct state_writer *writer)
{
        state_begin(writer, "virtio-fs", 1);
        state_u32(writer, filesystem_of(device)->started);
        state_end(writer);
}

/* Back to the time before the driver came, and no other: what it had open its back end knew alone. */
static int filesystem_restore(struct virtio_device *device, struct state_reader *reader)
{
        int r = state_open(reader, "virtio-fs", 1);
        if (r < 0)
                return r;
        uint32_t started = state_take_u32(reader);
        r = state_close(reader);
        if (r < 0)
                return r;
        if (started)
                return -ENOTSUP;
        filesystem_reset(device);
        return 0;
}

static const struct virtio_operations filesystem_operations = {
        .name = "virtio-fs",
        .id = 26,              /* virtio 1.2, chapter 5 */
        .pci_class = 0x018000, /* mass storage, other */
        .config_length = CONFIG_LENGTH,
        .features = filesystem_features,
        .start = filesystem_start,
        .reset = filesystem_reset,
        .notify = filesystem_notify,
        .config_read = filesystem_config_read,
        .save = filesystem_save,
        .restore = filesystem_restore,
};

void virtio_filesystem_init(struct virtio_filesystem *filesystem, const struct filesystem_backend *backend,
                            const char *tag, unsigned request_queues)
{
        *filesystem = (struct virtio_filesystem){ .backend = *backend };
        for (unsigned i = 0; i < VIRTIO_FILESYSTEM_TAG && tag[i]; i++)
                filesystem->tag[i] = tag[i];
        filesystem->device.operations = &filesystem_operations;
        filesystem->device.queue_count = 1 + request_queues;
        for (unsigned i = 0; i < filesystem->device.queue_count; i++)
                filesystem->device.queues[i].size_max = VIRTIO_FILESYSTEM_QUEUE_SIZE;
}

void virtio_filesystem_signal(struct virtio_filesystem *filesystem, unsigned queue)
{
        if (filesystem->started)
                virtio_signal_queue(&filesystem->device, queue);
}

void virtio_filesystem_break(struct virtio_filesystem *filesystem, const char *why)
{
        if (filesystem->started)
                virtio_break(&filesystem->device, why);
}
