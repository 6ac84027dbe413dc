/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "machine/virtio/queue.h"

#include <errno.h>

#include "machine/virtio/ring.h"

void virtqueue_init(struct virtqueue *queue, struct guest_memory *memory, uint16_t size_max)
{
        *queue = (struct virtqueue){ .memory = memory, .size = size_max, .size_max = size_max };
}

void virtqueue_reset(struct virtqueue *queue)
{
        virtqueue_init(queue, queue->memory, queue->size_max);
}

/* An area of a ring: aligned, and RAM as a whole. */
static bool area_is_sound(const struct virtqueue *queue, uint64_t at, uint64_t length, unsigned alignment)
{
        return !(at % alignment) && guest_memory_span(queue->memory, gpa(at), length, true);
}

int virtqueue_enable(struct virtqueue *queue)
{
        uint64_t size = queue->size;
        /* Section 2.7: a split ring's size is a power of two; 2.8.10.1: a packed ring's need not be. */
        if (!size || size > queue->size_max || (!queue->packed && (size & (size - 1))))
                return -EINVAL;
        /* Sections 2.7 and 2.8, alignments; the event index adds two bytes to each ring of a split queue. */
        bool sound = area_is_sound(queue, queue->descriptors, size * RING_DESCRIPTOR_SIZE, 16);
        if (queue->packed)
                sound = sound && area_is_sound(queue, queue->driver, PACKED_EVENT_SIZE, 4) &&
                        area_is_sound(queue, queue->device, PACKED_EVENT_SIZE, 4);
        else
                sound = sound && area_is_sound(queue, queue->driver, SPLIT_RING_HEADER + 2 * size + 2, 2) &&
                        area_is_sound(queue, queue->device, SPLIT_RING_HEADER + 8 * size + 2, 4);
        if (!sound)
                return -EINVAL;
        queue->next_available = queue->next_used = queue->signalled = queue->packed ? PACKED_WRAP : 0;
        queue->ready = true;
        return 0;
}

int ring_break(struct virtqueue *queue)
{
        queue->broken = true;
        return -EPROTO;
}

int ring_add_part(struct virtqueue *queue, struct virtqueue_chain *chain, const struct ring_descriptor *descriptor)
{
        unsigned count = chain->readable + chain->writable;
        bool writable = descriptor->flags & RING_WRITE;
        /* Section 2.7.4.2: device-writable buffers stand behind all device-readable ones. */
        if (count == VIRTQUEUE_PARTS_MAX || (!writable && chain->writable))
                return ring_break(queue);
        unsigned char *host = guest_memory_span(queue->memory, gpa(descriptor->address), descriptor->length, true);
        if (!host)
                return ring_break(queue);
        chain->parts[count] = (struct virtqueue_part){ host, descriptor->length, gpa(descriptor->address) };
        if (writable)
                chain->writable++;
        else
                chain->readable++;
        return 0;
}

int virtqueue_pop(struct virtqueue *queue, struct virtqueue_chain *chain)
{
        if (queue->broken)
                return -EPROTO;
        if (!queue->ready)
                return 0;
        chain->readable = chain->writable = 0;
        return queue->packed ? packed_pop(queue, chain) : split_pop(queue, chain);
}

void virtqueue_push_all(struct virtqueue *queue, const struct virtqueue_used *used, unsigned count)
{
        if (queue->broken || !queue->ready || !count)
                return;
        if (queue->packed)
                packed_push(queue, used, count);
        else
                split_push(queue, used, count);
}

void virtqueue_push(struct virtqueue *queue, const struct virtqueue_chain *chain, uint32_t written)
{
        const struct virtqueue_used used = { chain->head, chain->descriptors, written };
        virtqueue_push_all(queue, &used, 1);
}

void virtqueue_unpop(struct virtqueue *queue, unsigned descriptors)
{
        if (queue->packed)
                packed_unpop(queue, descriptors);
        else
                queue->next_available = (uint16_t)(queue->next_available - descriptors);
}

bool virtqueue_should_interrupt(struct virtqueue *queue)
{
        if (queue->broken || !queue->ready || queue->signalled == queue->next_used)
                return false;
        /* What was pushed must be there for the driver before its wish for interrupts is read: section 2.7.7.2. */
        __atomic_thread_fence(__ATOMIC_SEQ_CST);
        bool wanted = queue->packed ? packed_wants_interrupt(queue) : split_wants_interrupt(queue);
        queue->signalled = queue->next_used;
        return wanted;
}

bool virtqueue_wait(struct virtqueue *queue)
{
        if (queue->broken || !queue->ready)
                return false;
        if (queue->packed)
                packed_ask_notification(queue, true);
        else
                split_ask_notification(queue, true);
        /* A request that came before the driver could see our wish brings no notification: look once more. */
        __atomic_thread_fence(__ATOMIC_SEQ_CST);
        return queue->packed ? packed_has_request(queue) : split_has_request(queue);
}

void virtqueue_quiet(struct virtqueue *queue)
{
        if (queue->broken || !queue->ready)
                return;
        if (queue->packed)
                packed_ask_notification(queue, false);
        else
                split_ask_notification(queue, false);
}

/* ---- Buffers ---- */

static uint64_t length_of(const struct virtqueue_part *parts, unsigned count)
{
        uint64_t length = 0;
        for (unsigned i = 0; i < count; i++)
                length += parts[i].length;
        return length;
}

uint64_t virtqueue_readable_length(const struct virtqueue_chain *chain)
{
        return length_of(chain->parts, chain->readable);
}

uint64_t virtqueue_writable_length(const struct virtqueue_chain *chain)
{
        return length_of(chain->parts + chain->readable, chain->writable);
}

size_t virtqueue_read(const struct virtqueue_chain *chain, size_t offset, void *data, size_t length)
{
        size_t done = 0;
        for (unsigned i = 0; i < chain->readable && done < length; i++) {
                const struct virtqueue_part *part = &chain->parts[i];
                if (offset >= part->length) {
                        offset -= part->length;
                        continue;
                }
                size_t piece = part->length - offset < length - done ? part->length - offset : length - done;
                __builtin_memcpy((unsigned char *)data + done, part->host + offset, piece);
                done += piece;
                offset = 0;
        }
        return done;
}

size_t virtqueue_write(struct virtqueue *queue, const struct virtqueue_chain *chain, size_t offset, const void *data,
                       size_t length)
{
        size_t done = 0;
        for (unsigned i = 0; i < chain->writable && done < length; i++) {
                const struct virtqueue_part *part = &chain->parts[chain->readable + i];
                if (offset >= part->length) {
                        offset -= part->length;
                        continue;
                }
                size_t piece = part->length - offset < length - done ? part->length - offset : length - done;
                __builtin_memcpy(part->host + offset, (const unsigned char *)data + done, piece);
                guest_memory_wrote(queue->memory, gpa(part->guest.at + offset), piece);
                done += piece;
                offset = 0;
        }
        return done;
}

/* ---- Saved state ---- */

#define QUEUE_STATE_VERSION 1

enum { STATE_READY = 1, STATE_BROKEN = 2, STATE_PACKED = 4, STATE_EVENT_INDEX = 8, STATE_INDIRECT = 16 };

void virtqueue_save(const struct virtqueue *queue, struct state_writer *writer)
{
        uint32_t flags = (queue->ready ? STATE_READY : 0) | (queue->broken ? STATE_BROKEN : 0) |
                         (queue->packed ? STATE_PACKED : 0) | (queue->event_index ? STATE_EVENT_INDEX : 0) |
                         (queue->indirect ? STATE_INDIRECT : 0);
        state_begin(writer, "virtqueue", QUEUE_STATE_VERSION);
        state_u32(writer, flags);
        state_u32(writer, queue->size);
        state_u64(writer, queue->descriptors);
        state_u64(writer, queue->driver);
        state_u64(writer, queue->device);
        state_u32(writer, queue->next_available);
        state_u32(writer, queue->next_used);
        state_u32(writer, queue->signalled);
        state_end(writer);
}

int virtqueue_restore(struct virtqueue *queue, struct state_reader *reader)
{
        int r = state_open(reader, "virtqueue", QUEUE_STATE_VERSION);
        if (r < 0)
                return r;
        uint32_t flags = state_take_u32(reader), size = state_take_u32(reader);
        struct virtqueue restored = {
                .memory = queue->memory,
                .size_max = queue->size_max,
                .packed = flags & STATE_PACKED,
                .event_index = flags & STATE_EVENT_INDEX,
                .indirect = flags & STATE_INDIRECT,
                .size = (uint16_t)size,
                .descriptors = state_take_u64(reader),
                .driver = state_take_u64(reader),
                .device = state_take_u64(reader),
        };
        uint32_t available = state_take_u32(reader), used = state_take_u32(reader), signalled = state_take_u32(reader);
        r = state_close(reader);
        if (r < 0)
                return r;
        if (size > queue->size_max || available > UINT16_MAX || used > UINT16_MAX || signalled > UINT16_MAX)
                return -EINVAL;
        /* A ring that is in use is checked again: this memory is another than the one it was set up in. */
        if ((flags & STATE_READY) && virtqueue_enable(&restored) < 0)
                return -EINVAL;
        if (restored.packed && ((available & ~PACKED_WRAP) >= size || (used & ~PACKED_WRAP) >= size))
                return -EINVAL;
        restored.broken = flags & STATE_BROKEN;
        restored.next_available = (uint16_t)available;
        restored.next_used = (uint16_t)used;
        restored.signalled = (uint16_t)signalled;
        *queue = restored;
        return 0;
}
