/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The two forms of a virtqueue's rings, for queue.c alone: split (virtio 1.2, section 2.7) and packed (section 2.8).
 */
#pragma once

#include "machine/virtio/queue.h"

enum {
        RING_DESCRIPTOR_SIZE = 16,

        RING_NEXT = 1,     /* the request goes on in another descriptor */
        RING_WRITE = 2,    /* the device writes the buffer */
        RING_INDIRECT = 4, /* the buffer is a table of descriptors */

        SPLIT_RING_HEADER = 4, /* flags and index */

        PACKED_EVENT_SIZE = 4,
        PACKED_WRAP = 0x8000, /* the wrap counter in an index that is kept with it: section 2.8.8 */
};

/* Both forms of descriptor as this one: flags mean the same in both. */
struct ring_descriptor {
        uint64_t address;
        uint32_t length;
        uint16_t flags;
        uint16_t link; /* split: next descriptor; packed: buffer id */
};

/* Marks the queue broken. Returns -EPROTO. */
int ring_break(struct virtqueue *queue);
/* Appends the descriptor's buffer to the chain, checked. 0, or -EPROTO with the queue broken. */
int ring_add_part(struct virtqueue *queue, struct virtqueue_chain *chain, const struct ring_descriptor *descriptor);

int split_pop(struct virtqueue *queue, struct virtqueue_chain *chain);
void split_push(struct virtqueue *queue, const struct virtqueue_used *used, unsigned count);
bool split_wants_interrupt(struct virtqueue *queue);
void split_ask_notification(struct virtqueue *queue, bool wanted);
bool split_has_request(struct virtqueue *queue);

int packed_pop(struct virtqueue *queue, struct virtqueue_chain *chain);
void packed_push(struct virtqueue *queue, const struct virtqueue_used *used, unsigned count);
void packed_unpop(struct virtqueue *queue, unsigned descriptors);
bool packed_wants_interrupt(struct virtqueue *queue);
void packed_ask_notification(struct virtqueue *queue, bool wanted);
bool packed_has_request(struct virtqueue *queue);
