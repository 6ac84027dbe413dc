/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "machine/virtio/network.h"

#include <errno.h>
#include <stddef.h>

enum {
        QUEUE_SIZE = 256,
        BUFFERS_MAX = 64, /* that one frame may be spread over */
        FRAMES_AT_ONCE = 64,

        HEADER_BUFFERS = 10, /* num_buffers: section 5.1.6 */

        STATUS_LINK_UP = 1,

        /* Section 5.1.6.5. */
        CONTROL_PAIRS = 4,
        CONTROL_PAIRS_SET = 0,
        CONTROL_OK = 0,
        CONTROL_ERROR = 1,
};

/* Section 5.1.3. */
#define FEATURE_CHECKSUM  (1ULL << 0)
#define FEATURE_MTU       (1ULL << 3)
#define FEATURE_ADDRESS   (1ULL << 5)
#define FEATURE_HOST_TSO4 (1ULL << 11)
#define FEATURE_HOST_TSO6 (1ULL << 12)
#define FEATURE_MERGEABLE (1ULL << 15)
#define FEATURE_STATUS    (1ULL << 16)
#define FEATURE_CONTROL   (1ULL << 17)
#define FEATURE_PAIRS     (1ULL << 22)
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

/* Section 5.1.2: receive and send queues by turns, and the control queue behind all that there could be. */
static unsigned receive_queue(unsigned pair)
{
        return 2 * pair;
}

static unsigned send_queue(unsigned pair)
{
        return 2 * pair + 1;
}

static unsigned control_queue(const struct virtio_network *network)
{
        return 2 * (network->multi_queue ? network->backend.pairs : 1);
}

/* ---- From the guest ---- */

static void send(struct virtio_network *network, unsigned pair, struct virtqueue_chain *chain)
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
        network->backend.send(network->backend.owner, pair, chain->parts + first, chain->readable - first);
        network->sent++;
}

void virtio_network_send(struct virtio_network *network, unsigned pair)
{
        const struct network_backend *backend = &network->backend;
        struct virtqueue *queue = &network->device.queues[send_queue(pair)];
        struct virtqueue_chain chain;
        int popped = 0;
        if (!network->started || pair >= network->pairs)
                return;
        do {
                bool may = true;
                virtqueue_quiet(queue);
                while ((!backend->may_send || (may = backend->may_send(backend->owner, pair))) &&
                       (popped = virtqueue_pop(queue, &chain)) > 0) {
                        send(network, pair, &chain);
                        virtqueue_push(queue, &chain, 0);
                }
                if (!may) /* the back end calls again */
                        break;
                if (popped < 0) {
                        virtio_break(&network->device, "a frame's descriptors make no sense");
                        return;
                }
        } while (virtqueue_wait(queue));
        virtio_interrupt_queue(&network->device, send_queue(pair));
}

/* ---- To the guest ---- */

/* Lays the waiting frame into buffers of the driver. 1, 0 if there are too few, negative if the queue is broken. */
static int deliver(struct virtio_network *network, unsigned pair)
{
        struct virtqueue *queue = &network->device.queues[receive_queue(pair)];
        struct virtio_network_pair *place = &network->places[pair];
        struct virtqueue_used used[BUFFERS_MAX];
        struct virtqueue_chain chain;
        unsigned count = 0, descriptors = 0, most = network->mergeable ? BUFFERS_MAX : 1;
        size_t done = 0;
        gpa_t header = gpa(0); /* where num_buffers went */
        while (done < place->waiting && count < most) {
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
                size_t written = virtqueue_write(queue, &chain, 0, place->frame + done, place->waiting - done);
                if (!count) {
                        const struct virtqueue_part *first = &chain.parts[chain.readable];
                        if (written < VIRTIO_NETWORK_HEADER || first->length < VIRTIO_NETWORK_HEADER)
                                return -1; /* section 5.1.6.3.1: a buffer has room for the header, and in one piece */
                        header = gpa(first->guest.at + HEADER_BUFFERS);
                }
                descriptors += chain.descriptors;
                if (descriptors > queue->size) /* none of them is given back yet: a ring has no more to give */
                        return -1;
                used[count++] = (struct virtqueue_used){ chain.head, chain.descriptors, (uint32_t)written };
                done += written;
        }
        bool whole = done == place->waiting;
        place->waiting = 0;
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

static bool fetch(struct virtio_network *network, unsigned pair)
{
        struct virtio_network_pair *place = &network->places[pair];
        const struct network_backend *backend = &network->backend;
        size_t before = backend->offloads ? 0 : VIRTIO_NETWORK_HEADER;
        __builtin_memset(place->frame, 0, VIRTIO_NETWORK_HEADER);
        size_t length = backend->receive(backend->owner, pair, place->frame + before, sizeof(place->frame) - before);
        place->waiting = length ? length + before : 0;
        return length;
}

void virtio_network_receive(struct virtio_network *network, unsigned pair)
{
        const struct network_backend *backend = &network->backend;
        int delivered = 1;
        if (!network->started || pair >= network->pairs)
                return;
        virtqueue_quiet(&network->device.queues[receive_queue(pair)]);
        for (unsigned i = 0; i < FRAMES_AT_ONCE && delivered > 0; i++) {
                if (!network->places[pair].waiting && !fetch(network, pair))
                        break;
                delivered = deliver(network, pair);
        }
        if (delivered < 0) {
                backend->want_frames(backend->owner, pair, false);
                virtio_break(&network->device, "a receive buffer's descriptors make no sense");
                return;
        }
        /* Without buffers, frames wait with the back end until the driver brings some. */
        backend->want_frames(backend->owner, pair, delivered > 0);
        virtio_interrupt_queue(&network->device, receive_queue(pair));
}

/* ---- Control ---- */

static void use_pairs(struct virtio_network *network, unsigned pairs)
{
        const struct network_backend *backend = &network->backend;
        network->pairs = pairs;
        if (backend->pairs > 1)
                backend->use_pairs(backend->owner, pairs);
        for (unsigned i = 0; i < backend->pairs; i++)
                backend->want_frames(backend->owner, i, i < pairs);
}

static uint8_t control(struct virtio_network *network, const struct virtqueue_chain *chain)
{
        struct __attribute__((packed)) {
                uint8_t class, command;
                uint16_t pairs;
        } request;
        if (virtqueue_read(chain, 0, &request, sizeof(request)) != sizeof(request) || request.class != CONTROL_PAIRS ||
            request.command != CONTROL_PAIRS_SET || !network->multi_queue || !request.pairs ||
            request.pairs > network->backend.pairs)
                return CONTROL_ERROR;
        use_pairs(network, request.pairs);
        return CONTROL_OK;
}

static void serve_control(struct virtio_network *network)
{
        unsigned index = control_queue(network);
        struct virtqueue *queue = &network->device.queues[index];
        struct virtqueue_chain chain;
        int popped;
        do {
                virtqueue_quiet(queue);
                while ((popped = virtqueue_pop(queue, &chain)) > 0) {
                        uint8_t answer = control(network, &chain);
                        virtqueue_push(queue, &chain, (uint32_t)virtqueue_write(queue, &chain, 0, &answer, 1));
                }
                if (popped < 0) {
                        virtio_break(&network->device, "a command's descriptors make no sense");
                        return;
                }
        } while (virtqueue_wait(queue));
        virtio_interrupt_queue(&network->device, index);
}

void virtio_network_set_link(struct virtio_network *network, bool down)
{
        if (network->link_down == down)
                return;
        network->link_down = down;
        virtio_interrupt_config(&network->device);
}

/* ---- As a virtio device ---- */

static uint64_t network_features(struct virtio_device *device)
{
        const struct virtio_network *network = network_of(device);
        return FEATURE_MTU | FEATURE_ADDRESS | FEATURE_STATUS | FEATURE_MERGEABLE |
               (network->backend.pairs > 1 ? FEATURE_CONTROL | FEATURE_PAIRS : 0) |
               (network->backend.offloads ? FEATURE_CHECKSUM | FEATURE_HOST_TSO4 | FEATURE_HOST_TSO6 | FEATURES_TAKEN
                                          : 0);
}

static void network_start(struct virtio_device *device, uint64_t features)
{
        struct virtio_network *network = network_of(device);
        network->mergeable = features & FEATURE_MERGEABLE;
        network->multi_queue = (features & FEATURE_PAIRS) && (features & FEATURE_CONTROL);
        network->started = true;
        if (network->backend.offloads)
                network->backend.set_offloads(network->backend.owner, (unsigned)(features & FEATURES_TAKEN));
        /* Section 5.1.6.5.5: one until the driver says otherwise. */
        use_pairs(network, network->restored_pairs ? network->restored_pairs : 1);
        network->restored_pairs = 0;
}

static void network_reset(struct virtio_device *device)
{
        struct virtio_network *network = network_of(device);
        network->started = network->multi_queue = false;
        for (unsigned i = 0; i < network->backend.pairs; i++) {
                network->places[i].waiting = 0;
                network->backend.want_frames(network->backend.owner, i, false);
        }
}

static void network_notify(struct virtio_device *device, unsigned index)
{
        struct virtio_network *network = network_of(device);
        if (network->backend.pairs > 1 && index == control_queue(network))
                serve_control(network);
        else if (index & 1)
                virtio_network_send(network, index / 2);
        else
                virtio_network_receive(network, index / 2);
}

static void network_config_read(struct virtio_device *device, unsigned offset, void *data, unsigned length)
{
        const struct virtio_network *network = network_of(device);
        struct network_config config = { .status = network->link_down ? 0 : STATUS_LINK_UP,
                                         .queue_pairs_max = (uint16_t)network->backend.pairs,
                                         .mtu = network->backend.mtu };
        __builtin_memcpy(config.address, network->backend.address, sizeof(config.address));
        __builtin_memcpy(data, (const uint8_t *)&config + offset, length);
}

/* A frame that waits for a buffer is lost by a save, as frames may be. */
#define NETWORK_STATE_VERSION 2

static void network_save(struct virtio_device *device, struct state_writer *writer)
{
        state_begin(writer, "virtio-network", NETWORK_STATE_VERSION);
        state_bytes(writer, network_of(device)->backend.address, 6);
        state_u64(writer, network_of(device)->pairs);
        state_end(writer);
}

/* The address is the guest's already, whatever this back end would have given it. */
static int network_restore(struct virtio_device *device, struct state_reader *reader)
{
        struct virtio_network *network = network_of(device);
        uint8_t address[6];
        int r = state_open(reader, "virtio-network", NETWORK_STATE_VERSION);
        if (r < 0)
                return r;
        state_take(reader, address, sizeof(address));
        uint64_t pairs = state_take_u64(reader);
        r = state_close(reader);
        if (!r && (!pairs || pairs > network->backend.pairs))
                r = -EINVAL;
        if (r < 0)
                return r;
        network->restored_pairs = (unsigned)pairs;
        __builtin_memcpy(network->backend.address, address, sizeof(address));
        return 0;
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

void virtio_network_init(struct virtio_network *network, const struct network_backend *backend,
                         struct virtio_network_pair *places)
{
        unsigned queues = backend->pairs > 1 ? 2 * backend->pairs + 1 : 2;
        *network = (struct virtio_network){ .device = { .operations = &network_operations, .queue_count = queues },
                                            .backend = *backend,
                                            .pairs = 1,
                                            .places = places };
        for (unsigned i = 0; i < queues; i++)
                network->device.queues[i].size_max = QUEUE_SIZE;
}
