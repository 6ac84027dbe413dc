/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "machine/virtio/network.h"

#include <stddef.h>

enum {
        QUEUE_RECEIVE = 0,
        QUEUE_SEND = 1,
        QUEUES = 2,
        QUEUE_SIZE = 256,
        BUFFERS_MAX = 64, /* that one frame may be spread over */
        FRAMES_AT_ONCE = 64,

        HEADER_BUFFERS = 10, /* num_buffers: section 5.1.6 */

        STATUS_LINK_UP = 1,
};

/* Section 5.1.3. */
#define FEATURE_CHECKSUM  (1ULL << 0)
#define FEATURE_MTU       (1ULL << 3)
#define FEATURE_ADDRESS   (1ULL << 5)
#define FEATURE_HOST_TSO4 (1ULL << 11)
#define FEATURE_HOST_TSO6 (1ULL << 12)
#define FEATURE_MERGEABLE (1ULL << 15)
#define FEATURE_STATUS    (1ULL << 16)
#define FEATURES_TAKEN    (NETWORK_GUEST_CHECKSUM | NETWORK_GUEST_TSO4 | NETWORK_GUEST_TSO6)

/* struct virtio_net_config: section 5.1.4. */
struct __attribute__((packed)) network_config {
        uint8_t address[6];
        uint16_t status, queue_pairs_max, mtu;
};

static struct virtio_network *network_of(struct virtio_device *device)
{
        return (struct virtio_network *)(void *)((char *)device - offsetof(struct virtio_network, device));
}

/* ---- From the guest ---- */

static void send(struct virtio_network *network, struct virtqueue_chain *chain)
{
        unsigned first = 0;
        uint32_t skip = network->backend.offloads ? 0 : VIRTIO_NETWORK_HEADER;
        if (virtqueue_readable_length(chain) <= VIRTIO_NETWORK_HEADER) {
                network->dropped++;
                return;
        }
        for (; skip >= chain->parts[first].length; first++)
                skip -= chain->parts[first].length;
        chain->parts[first].host += skip;
        chain->parts[first].length -= skip;
        network->backend.send(network->backend.owner, chain->parts + first, chain->readable - first);
        network->sent++;
}

static void serve_send(struct virtio_network *network)
{
        struct virtqueue *queue = &network->device.queues[QUEUE_SEND];
        struct virtqueue_chain chain;
        int popped;
        do {
                virtqueue_quiet(queue);
                while ((popped = virtqueue_pop(queue, &chain)) > 0) {
                        send(network, &chain);
                        virtqueue_push(queue, &chain, 0);
                }
                if (popped < 0) {
                        virtio_break(&network->device, "a frame's descriptors make no sense");
                        return;
                }
        } while (virtqueue_wait(queue));
        virtio_interrupt_queue(&network->device, QUEUE_SEND);
}

/* ---- To the guest ---- */

/* Lays the waiting frame into buffers of the driver. 1, 0 if there are too few, negative if the queue is broken. */
static int deliver(struct virtio_network *network)
{
        struct virtqueue *queue = &network->device.queues[QUEUE_RECEIVE];
        struct virtqueue_used used[BUFFERS_MAX];
        struct virtqueue_chain chain;
        unsigned count = 0, descriptors = 0, most = network->mergeable ? BUFFERS_MAX : 1;
        size_t done = 0;
        gpa_t header = gpa(0); /* where num_buffers went */
        while (done < network->waiting && count < most) {
                int popped = virtqueue_pop(queue, &chain);
                /*
                 * Asked for while none is left, not after they are given back: a driver that adds more then tells us.
                 */
                if (!popped && virtqueue_wait(queue))
                        continue;
                if (popped <= 0) {
                        virtqueue_unpop(queue, descriptors);
                        return popped;
                }
                size_t written = virtqueue_write(queue, &chain, 0, network->frame + done, network->waiting - done);
                if (!count) {
                        const struct virtqueue_part *first = &chain.parts[chain.readable];
                        if (written < VIRTIO_NETWORK_HEADER || first->length < VIRTIO_NETWORK_HEADER)
                                return -1; /* section 5.1.6.3.1: a buffer has room for the header, and in one piece */
                        header = gpa(first->guest.at + HEADER_BUFFERS);
                }
                descriptors += chain.descriptors;
                used[count++] = (struct virtqueue_used){ chain.head, chain.descriptors, (uint32_t)written };
                done += written;
        }
        bool whole = done == network->waiting;
        network->waiting = 0;
        if (!whole) {
                /* Larger than all that the driver may be given at once: it is lost. */
                virtqueue_unpop(queue, descriptors);
                network->dropped++;
                return 1;
        }
        const uint8_t buffers[2] = { (uint8_t)count, 0 };
        guest_memory_write(queue->memory, header, buffers, sizeof(buffers));
        virtqueue_push_all(queue, used, count);
        network->received++;
        return 1;
}

static bool fetch(struct virtio_network *network)
{
        const struct network_backend *backend = &network->backend;
        size_t before = backend->offloads ? 0 : VIRTIO_NETWORK_HEADER;
        __builtin_memset(network->frame, 0, VIRTIO_NETWORK_HEADER);
        size_t length = backend->receive(backend->owner, network->frame + before, sizeof(network->frame) - before);
        network->waiting = length ? length + before : 0;
        return length;
}

void virtio_network_receive(struct virtio_network *network)
{
        int delivered = 1;
        if (!network->started)
                return;
        virtqueue_quiet(&network->device.queues[QUEUE_RECEIVE]);
        for (unsigned i = 0; i < FRAMES_AT_ONCE && delivered > 0; i++) {
                if (!network->waiting && !fetch(network))
                        break;
                delivered = deliver(network);
        }
        if (delivered < 0) {
                network->backend.want_frames(network->backend.owner, false);
                virtio_break(&network->device, "a receive buffer's descriptors make no sense");
                return;
        }
        /* Without buffers, frames wait with the back end until the driver brings some. */
        network->backend.want_frames(network->backend.owner, delivered > 0);
        virtio_interrupt_queue(&network->device, QUEUE_RECEIVE);
}

/* ---- As a virtio device ---- */

static uint64_t network_features(struct virtio_device *device)
{
        const struct virtio_network *network = network_of(device);
        return FEATURE_MTU | FEATURE_ADDRESS | FEATURE_STATUS | FEATURE_MERGEABLE |
               (network->backend.offloads ? FEATURE_CHECKSUM | FEATURE_HOST_TSO4 | FEATURE_HOST_TSO6 | FEATURES_TAKEN
                                          : 0);
}

static void network_start(struct virtio_device *device, uint64_t features)
{
        struct virtio_network *network = network_of(device);
        network->mergeable = features & FEATURE_MERGEABLE;
        network->started = true;
        if (network->backend.offloads)
                network->backend.set_offloads(network->backend.owner, (unsigned)(features & FEATURES_TAKEN));
        network->backend.want_frames(network->backend.owner, true);
}

static void network_reset(struct virtio_device *device)
{
        struct virtio_network *network = network_of(device);
        network->started = false;
        network->waiting = 0;
        network->backend.want_frames(network->backend.owner, false);
}

static void network_notify(struct virtio_device *device, unsigned index)
{
        struct virtio_network *network = network_of(device);
        if (index == QUEUE_SEND)
                serve_send(network);
        else
                virtio_network_receive(network);
}

static void network_config_read(struct virtio_device *device, unsigned offset, void *data, unsigned length)
{
        const struct virtio_network *network = network_of(device);
        struct network_config config = { .status = STATUS_LINK_UP, .queue_pairs_max = 1, .mtu = network->backend.mtu };
        __builtin_memcpy(config.address, network->backend.address, sizeof(config.address));
        __builtin_memcpy(data, (const uint8_t *)&config + offset, length);
}

/* A frame that waits for a buffer is lost by a save, as frames may be. */
#define NETWORK_STATE_VERSION 1

static void network_save(struct virtio_device *device, struct state_writer *writer)
{
        state_begin(writer, "virtio-network", NETWORK_STATE_VERSION);
        state_bytes(writer, network_of(device)->backend.address, 6);
        state_end(writer);
}

/* The address is the guest's already, whatever this back end would have given it. */
static int network_restore(struct virtio_device *device, struct state_reader *reader)
{
        uint8_t address[6];
        int r = state_open(reader, "virtio-network", NETWORK_STATE_VERSION);
        if (r < 0)
                return r;
        state_take(reader, address, sizeof(address));
        r = state_close(reader);
        if (!r)
                __builtin_memcpy(network_of(device)->backend.address, address, sizeof(address));
        return r;
}

static const struct virtio_operations network_operations = {
        .name = "network",
        .id = 1,
        .pci_class = 0x020000, /* network, Ethernet */
        .config_length = sizeof(struct network_config),
        .features = network_features,
        .start = network_start,
        .reset = network_reset,
        .notify = network_notify,
        .config_read = network_config_read,
        .save = network_save,
        .restore = network_restore,
};

void virtio_network_init(struct virtio_network *network, const struct network_backend *backend)
{
        network->device = (struct virtio_device){ .operations = &network_operations, .queue_count = QUEUES };
        network->backend = *backend;
        network->mergeable = network->started = false;
        network->waiting = 0;
        network->sent = network->received = network->dropped = 0;
        for (unsigned i = 0; i < QUEUES; i++)
                network->device.queues[i].size_max = QUEUE_SIZE;
}
