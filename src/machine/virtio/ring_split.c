/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <errno.h>

#include "machine/virtio/ring.h"

/* Section 2.7.6 and 2.7.8: flags, idx, ring[], and behind the ring the other side's event index. */
enum {
        RING_FLAGS = 0,
        RING_INDEX = 2,
        AVAILABLE_NO_INTERRUPT = 1,
        USED_NO_NOTIFY = 1,
        USED_ELEMENT_SIZE = 8,
};

/*
 * A 16-bit field of a ring. virtqueue_enable() saw that the rings are RAM, and memory never changes: the span
 * cannot fail. Aligned by the same check, so the load is one access that the driver's store cannot tear.
 */
static uint16_t *field(const struct virtqueue *queue, uint64_t at)
{
        return guest_memory_span(queue->memory, gpa(at), sizeof(uint16_t), true);
}

static uint16_t load(const struct virtqueue *queue, uint64_t at)
{
        return __atomic_load_n(field(queue, at), __ATOMIC_ACQUIRE);
}

static void store(struct virtqueue *queue, uint64_t at, uint16_t value)
{
        __atomic_store_n(field(queue, at), value, __ATOMIC_RELEASE);
        guest_memory_wrote(queue->memory, gpa(at), sizeof(value));
}

static uint64_t used_event(const struct virtqueue *queue)
{
        return queue->driver + SPLIT_RING_HEADER + 2ULL * queue->size;
}

static uint64_t available_event(const struct virtqueue *queue)
{
        return queue->device + SPLIT_RING_HEADER + (uint64_t)USED_ELEMENT_SIZE * queue->size;
}

static int read_descriptor(struct virtqueue *queue, uint64_t table, uint32_t index, struct ring_descriptor *descriptor)
{
        uint64_t at = table + (uint64_t)index * RING_DESCRIPTOR_SIZE;
        if (guest_memory_read(queue->memory, gpa(at), descriptor, sizeof(*descriptor)) < 0)
                return ring_break(queue);
        return 0;
}

/* Follows the links of one table of `count` descriptors. A walk of more steps than the table has entries goes round. */
static int walk(struct virtqueue *queue, struct virtqueue_chain *chain, uint64_t table, uint32_t count, uint16_t first,
                bool may_be_indirect)
{
        uint16_t index = first;
        for (uint32_t step = 0; step < count; step++) {
                struct ring_descriptor descriptor;
                if (index >= count)
                        return ring_break(queue);
                int r = read_descriptor(queue, table, index, &descriptor);
                if (r < 0)
                        return r;
                if (descriptor.flags & RING_INDIRECT) {
                        /* Section 2.7.5.3: only if negotiated, never nested, never with NEXT, whole descriptors. */
                        uint32_t entries = descriptor.length / RING_DESCRIPTOR_SIZE;
                        if (!may_be_indirect || !queue->indirect || (descriptor.flags & RING_NEXT) || !entries ||
                            descriptor.length % RING_DESCRIPTOR_SIZE || entries > UINT16_MAX)
                                return ring_break(queue);
                        return walk(queue, chain, descriptor.address, entries, 0, false);
                }
                r = ring_add_part(queue, chain, &descriptor);
                if (r < 0 || !(descriptor.flags & RING_NEXT))
                        return r;
                index = descriptor.link;
        }
        return ring_break(queue);
}

bool split_has_request(struct virtqueue *queue)
{
        return load(queue, queue->driver + RING_INDEX) != queue->next_available;
}

int split_pop(struct virtqueue *queue, struct virtqueue_chain *chain)
{
        uint16_t waiting = (uint16_t)(load(queue, queue->driver + RING_INDEX) - queue->next_available);
        if (!waiting)
                return 0;
        if (waiting > queue->size)
                return ring_break(queue);

        uint64_t slot = queue->driver + SPLIT_RING_HEADER + 2ULL * (queue->next_available % queue->size);
        chain->head = load(queue, slot);
        chain->descriptors = 1;
        int r = walk(queue, chain, queue->descriptors, queue->size, chain->head, true);
        if (r < 0)
                return r;
        queue->next_available++;
        return 1;
}

void split_push(struct virtqueue *queue, const struct virtqueue_used *used, unsigned count)
{
        for (unsigned i = 0; i < count; i++) {
                uint64_t slot = queue->device + SPLIT_RING_HEADER +
                                (uint64_t)USED_ELEMENT_SIZE * (queue->next_used % queue->size);
                const uint32_t element[2] = { used[i].head, used[i].written };
                guest_memory_write(queue->memory, gpa(slot), element, sizeof(element));
                queue->next_used++;
        }
        /* A release store: the driver that sees the index sees the elements and the buffers. */
        store(queue, queue->device + RING_INDEX, queue->next_used);
}

bool split_wants_interrupt(struct virtqueue *queue)
{
        if (!queue->event_index)
                return !(load(queue, queue->driver + RING_FLAGS) & AVAILABLE_NO_INTERRUPT);
        /* Section 2.7.7.2: the event index lies among what was pushed since the last interrupt. */
        uint16_t event = load(queue, used_event(queue));
        return (uint16_t)(queue->next_used - event - 1) < (uint16_t)(queue->next_used - queue->signalled);
}

void split_ask_notification(struct virtqueue *queue, bool wanted)
{
        if (!queue->event_index)
                store(queue, queue->device + RING_FLAGS, wanted ? 0 : USED_NO_NOTIFY);
        else if (wanted)
                store(queue, available_event(queue), queue->next_available);
}
