/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A virtqueue as the device sees it: split (virtio 1.2, section 2.7) and packed (section 2.8) behind one interface.
 *
 * The driver (the guest) owns the rings' memory and may write anything into it at any time. So every value is read
 * once into our own memory, checked, and only then used. A queue that breaks a rule turns broken: pops return
 * -EPROTO until the next reset, and the transport raises DEVICE_NEEDS_RESET. Not thread-safe: one thread serves a
 * queue. Freestanding.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "machine/memory.h"
#include "machine/state.h"

#define VIRTQUEUE_SIZE_MAX 1024
/* Buffers in one request: a block request of 1 MiB in pages, with its header and status. */
#define VIRTQUEUE_PARTS_MAX 260

/* One buffer of a request: `host` was checked to be `length` bytes of guest RAM. */
struct virtqueue_part {
        unsigned char *host;
        uint32_t length;
        gpa_t guest; /* for guest_memory_wrote() */
};

/* One request: the driver's buffers, device-readable ones first. Valid until virtqueue_push() of it. */
struct virtqueue_chain {
        uint16_t head;               /* split: descriptor index; packed: buffer id */
        uint16_t descriptors;        /* packed: ring entries that it takes */
        unsigned readable, writable; /* counts of entries in parts[], readable first */
        struct virtqueue_part parts[VIRTQUEUE_PARTS_MAX];
};

struct virtqueue {
        struct guest_memory *memory;
        bool ready, broken, packed, event_index, indirect;
        uint16_t size, size_max;              /* in use, and the most that the device offers */
        uint64_t descriptors, driver, device; /* guest-physical addresses of the three areas */
        uint16_t next_available, next_used;   /* split: free-running; packed: index with the wrap counter in bit 15 */
        uint16_t signalled;                   /* next_used when the driver was last interrupted */
};

/* What the driver negotiated, and the device's memory; the queue is not ready yet. */
void virtqueue_init(struct virtqueue *queue, struct guest_memory *memory, uint16_t size_max);
void virtqueue_reset(struct virtqueue *queue);

/*
 * The driver has set size and addresses: checks them (power of two, alignment, within RAM) and makes the queue ready.
 * -EINVAL.
 */
int virtqueue_enable(struct virtqueue *queue);

/*
 * Takes the next request off the ring.
 * Returns 1 with *chain filled, 0 if there is none, -EPROTO if the ring is broken (loop, index or length out of
 * range, more than VIRTQUEUE_PARTS_MAX buffers, a device-readable buffer behind a device-writable one, memory that
 * is not RAM).
 */
int virtqueue_pop(struct virtqueue *queue, struct virtqueue_chain *chain);

/* Gives a request back; `written` bytes of its writable buffers were filled. */
void virtqueue_push(struct virtqueue *queue, const struct virtqueue_chain *chain, uint32_t written);

/* What is kept of a chain to give it back later. */
struct virtqueue_used {
        uint16_t head, descriptors;
        uint32_t written;
};

/* Gives several requests back at once: the driver sees all of them or none. */
void virtqueue_push_all(struct virtqueue *queue, const struct virtqueue_used *used, unsigned count);

/*
 * Takes back the pops of the last chains, whose `descriptors` add up to this: they are as if they had never been
 * popped.
 */
void virtqueue_unpop(struct virtqueue *queue, unsigned descriptors);

/* After a run of pushes: whether the driver wants an interrupt for them (event index and flags obeyed). */
bool virtqueue_should_interrupt(struct virtqueue *queue);

/*
 * Before waiting for a notification: asks the driver to notify again. Returns true if requests came meanwhile:
 * serve them first. virtqueue_quiet() asks it not to, while the queue is being served.
 */
bool virtqueue_wait(struct virtqueue *queue);
void virtqueue_quiet(struct virtqueue *queue);

/*
 * Copies between a chain's buffers and ours, from byte `offset` of the readable (or writable) part; returns the bytes
 * copied.
 */
size_t virtqueue_read(const struct virtqueue_chain *chain, size_t offset, void *data, size_t length);
size_t virtqueue_write(struct virtqueue *queue, const struct virtqueue_chain *chain, size_t offset, const void *data,
                       size_t length);
uint64_t virtqueue_readable_length(const struct virtqueue_chain *chain);
uint64_t virtqueue_writable_length(const struct virtqueue_chain *chain);

void virtqueue_save(const struct virtqueue *queue, struct state_writer *writer);
int virtqueue_restore(struct virtqueue *queue, struct state_reader *reader);
