/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <errno.h>

#include "machine/virtio/ring.h"

/* Section 2.8.6 and 2.8.7. */
enum {
        FLAG_AVAILABLE = 1 << 7,
        FLAG_USED = 1 << 15,
        DESCRIPTOR_FLAGS = 14, /* offset */

        EVENT_OFFSET = 0, /* offsets in an event suppression structure: section 2.8.14 */
        EVENT_FLAGS = 2,
        EVENT_ENABLE = 0,
        EVENT_DISABLE = 1,
        EVENT_DESCRIPTOR = 2,
};

static uint16_t *field(const struct virtqueue *queue, uint64_t at)
{
        /* As in the split ring: checked when the queue was enabled. */
        return guest_memory_span(queue->memory, gpa(at), sizeof(uint16_t), true);
}

static uint64_t slot(const struct virtqueue *queue, uint16_t index)
{
        return queue->descriptors + (uint64_t)(index & ~PACKED_WRAP) * RING_DESCRIPTOR_SIZE;
}

/* An index with its wrap counter, `count` entries further on. */
static uint16_t advance(const struct virtqueue *queue, uint16_t index, uint16_t count)
{
        uint16_t wrap = index & PACKED_WRAP;
        uint32_t at = (uint32_t)(index & ~PACKED_WRAP) + count;
        if (at >= queue->size) {
                at -= queue->size;
                wrap ^= PACKED_WRAP;
        }
        return (uint16_t)(at | wrap);
}

static bool is_available(const struct virtqueue *queue, uint16_t index)
{
        uint16_t flags = __atomic_load_n(field(queue, slot(queue, index) + DESCRIPTOR_FLAGS), __ATOMIC_ACQUIRE);
        bool wrap = index & PACKED_WRAP;
        return !!(flags & FLAG_AVAILABLE) == wrap && !!(flags & FLAG_USED) != wrap;
}

bool packed_has_request(struct virtqueue *queue)
{
        return is_available(queue, queue->next_available);
}

static int read_descriptor(struct virtqueue *queue, uint64_t at, struct ring_descriptor *descriptor)
{
        /* In memory the id stands before the flags; ring_descriptor has them the split ring's way. */
        struct {
                uint64_t address;
                uint32_t length;
                uint16_t id, flags;
        } raw;
        if (guest_memory_read(queue->memory, gpa(at), &raw, sizeof(raw)) < 0)
                return ring_break(queue);
        *descriptor = (struct ring_descriptor){ raw.address, raw.length, raw.flags, raw.id };
        return 0;
}

/* Section 2.8.7: a table whose entries follow one another; NEXT and the id have no meaning in it. */
static int add_indirect(struct virtqueue *queue, struct virtqueue_chain *chain, const struct ring_descriptor *table)
{
        uint32_t entries = table->length / RING_DESCRIPTOR_SIZE;
        if (!queue->indirect || (table->flags & RING_NEXT) || !entries || table->length % RING_DESCRIPTOR_SIZE)
                return ring_break(queue);
        for (uint32_t i = 0; i < entries; i++) {
                struct ring_descriptor descriptor;
                int r = read_descriptor(queue, table->address + (uint64_t)i * RING_DESCRIPTOR_SIZE, &descriptor);
                if (!r && (descriptor.flags & RING_INDIRECT))
                        r = ring_break(queue);
                if (!r)
                        r = ring_add_part(queue, chain, &descriptor);
                if (r < 0)
                        return r;
        }
        return 0;
}

int packed_pop(struct virtqueue *queue, struct virtqueue_chain *chain)
{
        if (!is_available(queue, queue->next_available))
                return 0;
        uint16_t index = queue->next_available;
        for (chain->descriptors = 1; chain->descriptors <= queue->size; chain->descriptors++) {
                struct ring_descriptor descriptor;
                int r = read_descriptor(queue, slot(queue, index), &descriptor);
                if (!r)
                        r = descriptor.flags & RING_INDIRECT ? add_indirect(queue, chain, &descriptor)
                                                             : ring_add_part(queue, chain, &descriptor);
                if (r < 0)
                        return r;
                /* Section 2.8.6.1: the id that counts is the last descriptor's. */
                chain->head = descriptor.link;
                index = advance(queue, index, 1);
                if (!(descriptor.flags & RING_NEXT)) {
                        queue->next_available = index;
                        return 1;
                }
        }
        return ring_break(queue);
}

void packed_unpop(struct virtqueue *queue, unsigned descriptors)
{
        uint16_t index = queue->next_available & (uint16_t)~PACKED_WRAP, wrap = queue->next_available & PACKED_WRAP;
        if (index < descriptors) {
                index = (uint16_t)(index + queue->size);
                wrap ^= PACKED_WRAP;
        }
        queue->next_available = (uint16_t)((index - descriptors) | wrap);
}

static void publish(struct virtqueue *queue, uint16_t index)
{
        uint64_t at = slot(queue, index) + DESCRIPTOR_FLAGS;
        uint16_t flags = index & PACKED_WRAP ? FLAG_AVAILABLE | FLAG_USED : 0;
        /* A release store, last: the driver that sees the flags sees length and id. */
        __atomic_store_n(field(queue, at), flags, __ATOMIC_RELEASE);
        guest_memory_wrote(queue->memory, gpa(at), sizeof(flags));
}

void packed_push(struct virtqueue *queue, const struct virtqueue_used *used, unsigned count)
{
        uint16_t first = queue->next_used;
        for (unsigned i = 0; i < count; i++) {
                const struct {
                        uint32_t length;
                        uint16_t id;
                } element = { used[i].written, used[i].head };
                guest_memory_write(queue->memory, gpa(slot(queue, queue->next_used) + 8), &element, 6);
                if (i) /* behind the first, which the driver waits for */
                        publish(queue, queue->next_used);
                queue->next_used = advance(queue, queue->next_used, used[i].descriptors);
        }
        publish(queue, first);
}

/* Position on an endless line of ring entries, for comparing indices with wrap counters. */
static uint32_t position(const struct virtqueue *queue, uint16_t index, uint16_t reference)
{
        uint32_t at = index & ~PACKED_WRAP;
        return (index ^ reference) & PACKED_WRAP ? at + queue->size : at;
}

bool packed_wants_interrupt(struct virtqueue *queue)
{
        uint16_t flags = __atomic_load_n(field(queue, queue->driver + EVENT_FLAGS), __ATOMIC_ACQUIRE) & 3;
        if (flags == EVENT_DISABLE)
                return false;
        if (flags != EVENT_DESCRIPTOR || !queue->event_index)
                return true;
        uint16_t event = __atomic_load_n(field(queue, queue->driver + EVENT_OFFSET), __ATOMIC_ACQUIRE);
        uint32_t before = position(queue, queue->signalled, queue->signalled);
        uint32_t after = position(queue, queue->next_used, queue->signalled);
        uint32_t wanted = position(queue, event, queue->signalled);
        return wanted >= before && wanted < after;
}

void packed_ask_notification(struct virtqueue *queue, bool wanted)
{
        uint16_t flags = wanted ? EVENT_ENABLE : EVENT_DISABLE;
        __atomic_store_n(field(queue, queue->device + EVENT_FLAGS), flags, __ATOMIC_RELEASE);
        guest_memory_wrote(queue->memory, gpa(queue->device + EVENT_FLAGS), sizeof(flags));
}
