/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A virtio block device: virtio 1.2, section 5.2.
 *
 * The device checks requests and hands them to its back end, which answers each with virtio_block_complete(), at
 * once or later, in any order. A request borrows the guest's buffers until then; a reset does not complete what is
 * under way: the back end is told to drop what it has (drain). Freestanding; the machine's lock is held around
 * every call, completions included.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "machine/virtio/device.h"

#define VIRTIO_BLOCK_SECTOR     512
#define VIRTIO_BLOCK_SERIAL     20 /* bytes, not terminated when full: section 5.2.6.1 */
#define VIRTIO_BLOCK_QUEUE_SIZE 256
/* Buffers of data in one request, so that it fits into a queue with its header and its status. */
#define VIRTIO_BLOCK_SEGMENTS_MAX (VIRTIO_BLOCK_QUEUE_SIZE - 2)

enum block_operation { BLOCK_READ, BLOCK_WRITE, BLOCK_FLUSH, BLOCK_DISCARD, BLOCK_WRITE_ZEROES };

/* One request to a back end. `parts` and what they point to stay valid until it is completed. */
struct block_request {
        enum block_operation operation;
        unsigned queue;
        uint64_t offset, length; /* bytes; whole sectors inside the disk */
        const struct virtqueue_part *parts;
        unsigned part_count;        /* of reads and writes; their lengths add up to `length` */
        bool durable;               /* a write that is on the medium when it is completed */
        bool may_unmap;             /* zeroes may be a hole */
        struct block_request *next; /* the back end's, while it has the request */
};

struct virtio_block;

struct block_backend {
        void *owner;
        uint64_t size; /* bytes, whole sectors */
        bool read_only, can_discard;
        void (*submit)(void *owner, struct virtio_block *block, struct block_request *request);
        void (*drain)(void *owner); /* after it no request is completed any more and no buffer touched */
};

struct virtio_block_slot {
        struct block_request request;
        struct virtqueue_chain chain;
        unsigned char *status; /* the last byte of the driver's buffers */
        gpa_t status_guest;
        uint32_t written; /* bytes that the device itself put into the driver's buffers */
        bool busy;
};

struct virtio_block {
        struct virtio_device device;
        struct block_backend backend;
        char serial[VIRTIO_BLOCK_SERIAL];
        bool write_through; /* the driver knows no flush */
        unsigned slot_count;
        struct virtio_block_slot *slots; /* the owner's array: so many requests may be under way */
        bool stalled[VIRTIO_QUEUES_MAX]; /* a queue has more requests than there were slots */
};

/* `queues` request queues, at most VIRTIO_QUEUES_MAX. Put on a bus with virtio_pci_init() afterwards. */
void virtio_block_init(struct virtio_block *block, const struct block_backend *backend, const char *serial,
                       unsigned queues, struct virtio_block_slot *slots, unsigned slot_count);

/* 0, or a negative code: the guest sees an I/O error. */
void virtio_block_complete(struct virtio_block *block, struct block_request *request, int result);
