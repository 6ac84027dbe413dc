/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "machine/virtio/block.h"

#include <errno.h>
#include <stddef.h>

/* Section 5.2.6: requests, and the byte that answers each. */
enum {
        TYPE_IN = 0,
        TYPE_OUT = 1,
        TYPE_FLUSH = 4,
        TYPE_GET_ID = 8,
        TYPE_DISCARD = 11,
        TYPE_WRITE_ZEROES = 13,

        STATUS_OK = 0,
        STATUS_IO_ERROR = 1,
        STATUS_UNSUPPORTED = 2,

        SEGMENT_UNMAP = 1, /* struct virtio_blk_discard_write_zeroes, flags */
};

/* Section 5.2.3. */
#define FEATURE_SEGMENTS_MAX (1ULL << 2)
#define FEATURE_READ_ONLY    (1ULL << 5)
#define FEATURE_BLOCK_SIZE   (1ULL << 6)
#define FEATURE_FLUSH        (1ULL << 9)
#define FEATURE_MULTI_QUEUE  (1ULL << 12)
#define FEATURE_DISCARD      (1ULL << 13)
#define FEATURE_WRITE_ZEROES (1ULL << 14)

/* One request may discard or zero so much: 1 GiB. */
#define RANGE_SECTORS_MAX (1u << 21)

struct request_header {
        uint32_t type, reserved;
        uint64_t sector;
};

struct range {
        uint64_t sector;
        uint32_t sectors, flags;
};

/* struct virtio_blk_config: section 5.2.4. */
struct block_config {
        uint64_t capacity; /* in sectors */
        uint32_t size_max, segments_max;
        uint8_t geometry[4];
        uint32_t block_size;
        uint8_t topology[8];
        uint8_t writeback, unused;
        uint16_t queues;
        uint32_t discard_sectors_max, discard_segments_max, discard_alignment;
        uint32_t zeroes_sectors_max, zeroes_segments_max;
        uint8_t zeroes_may_unmap, unused_end[3];
};

_Static_assert(offsetof(struct block_config, queues) == 34 && sizeof(struct block_config) == 64,
               "the layout of section 5.2.4");

#define CONFIG_LENGTH 60 /* the struct without its padding */

static struct virtio_block *block_of(struct virtio_device *device)
{
        return (struct virtio_block *)(void *)((char *)device - offsetof(struct virtio_block, device));
}

/* ---- Answers ---- */

static void answer(struct virtio_block *block, struct virtio_block_slot *slot, uint8_t status)
{
        unsigned index = slot->request.queue;
        struct virtqueue *queue = &block->device.queues[index];
        bool read = slot->request.operation == BLOCK_READ && status == STATUS_OK;
        for (unsigned i = 0; read && i < slot->request.part_count; i++)
                guest_memory_wrote(queue->memory, slot->request.parts[i].guest, slot->request.parts[i].length);
        *slot->status = status;
        guest_memory_wrote(queue->memory, slot->status_guest, 1);
        slot->busy = false;
        virtqueue_push(queue, &slot->chain, (uint32_t)(read ? slot->request.length : slot->written) + 1);
        virtio_interrupt_queue(&block->device, index);
}

static void serve(struct virtio_block *block, unsigned index);

void virtio_block_complete(struct virtio_block *block, struct block_request *request, int result)
{
        struct virtio_block_slot *slot =
                (struct virtio_block_slot *)(void *)((char *)request - offsetof(struct virtio_block_slot, request));
        answer(block, slot, result < 0 ? STATUS_IO_ERROR : STATUS_OK);
        for (unsigned i = 0; i < block->device.queue_count; i++) {
                if (!block->stalled[i])
                        continue;
                block->stalled[i] = false;
                serve(block, i);
        }
}

/* ---- Requests ---- */

/* Takes `length` bytes off the front of parts[*first..count): they were read already. */
static void skip(struct virtqueue_part *parts, unsigned count, unsigned *first, uint32_t length)
{
        while (*first < count && length) {
                struct virtqueue_part *part = &parts[*first];
                uint32_t piece = part->length < length ? part->length : length;
                part->host += piece;
                part->guest.at += piece;
                part->length -= piece;
                length -= piece;
                if (!part->length)
                        (*first)++;
        }
}

/* The status is the last writable byte; what stands before it is data. False if there is no room for it. */
static bool cut_off_status(struct virtio_block_slot *slot)
{
        struct virtqueue_chain *chain = &slot->chain;
        if (!chain->writable)
                return false;
        struct virtqueue_part *last = &chain->parts[chain->readable + chain->writable - 1];
        last->length--;
        slot->status = last->host + last->length;
        slot->status_guest = gpa(last->guest.at + last->length);
        if (!last->length)
                chain->writable--;
        return true;
}

static bool in_disk(const struct virtio_block *block, uint64_t sector, uint64_t length)
{
        uint64_t sectors = block->backend.size / VIRTIO_BLOCK_SECTOR;
        return !(length % VIRTIO_BLOCK_SECTOR) && sector <= sectors && length / VIRTIO_BLOCK_SECTOR <= sectors - sector;
}

/* Reads or writes: the parts of the chain that are data become the request's. */
static int prepare_transfer(struct virtio_block *block, struct virtio_block_slot *slot,
                            const struct request_header *header)
{
        struct virtqueue_chain *chain = &slot->chain;
        struct block_request *request = &slot->request;
        if (header->type == TYPE_IN) {
                request->operation = BLOCK_READ;
                request->parts = chain->parts + chain->readable;
                request->part_count = chain->writable;
        } else {
                unsigned first = 0;
                skip(chain->parts, chain->readable, &first, sizeof(*header));
                request->operation = BLOCK_WRITE;
                request->parts = chain->parts + first;
                request->part_count = chain->readable - first;
                request->durable = block->write_through;
        }
        for (unsigned i = 0; i < request->part_count; i++)
                request->length += request->parts[i].length;
        if (!request->length || !in_disk(block, header->sector, request->length) ||
            (request->operation == BLOCK_WRITE && block->backend.read_only))
                return STATUS_IO_ERROR;
        request->offset = header->sector * VIRTIO_BLOCK_SECTOR;
        return STATUS_OK;
}

static int prepare_flush(struct virtio_block *block, struct virtio_block_slot *slot,
                         const struct request_header *header)
{
        (void)block;
        (void)header;
        slot->request.operation = BLOCK_FLUSH;
        return STATUS_OK;
}

/* One range a request: the configuration says so. */
static int prepare_range(struct virtio_block *block, struct virtio_block_slot *slot,
                         const struct request_header *header)
{
        struct block_request *request = &slot->request;
        struct range range;
        bool discard = header->type == TYPE_DISCARD;
        if (virtqueue_readable_length(&slot->chain) != sizeof(*header) + sizeof(range))
                return STATUS_UNSUPPORTED;
        virtqueue_read(&slot->chain, sizeof(*header), &range, sizeof(range));
        if ((range.flags & ~(uint32_t)SEGMENT_UNMAP) || (discard && range.flags) || range.sectors > RANGE_SECTORS_MAX)
                return STATUS_UNSUPPORTED;
        if (block->backend.read_only || !in_disk(block, range.sector, (uint64_t)range.sectors * VIRTIO_BLOCK_SECTOR))
                return STATUS_IO_ERROR;
        request->operation = discard ? BLOCK_DISCARD : BLOCK_WRITE_ZEROES;
        request->offset = range.sector * VIRTIO_BLOCK_SECTOR;
        request->length = (uint64_t)range.sectors * VIRTIO_BLOCK_SECTOR;
        request->may_unmap = range.flags & SEGMENT_UNMAP;
        request->durable = block->write_through;
        return STATUS_OK;
}

static int prepare(struct virtio_block *block, struct virtio_block_slot *slot)
{
        static const struct {
                uint32_t type;
                int (*prepare)(struct virtio_block *, struct virtio_block_slot *, const struct request_header *);
        } types[] = {
                { TYPE_IN, prepare_transfer },   { TYPE_OUT, prepare_transfer },       { TYPE_FLUSH, prepare_flush },
                { TYPE_DISCARD, prepare_range }, { TYPE_WRITE_ZEROES, prepare_range },
        };
        struct request_header header;
        if (virtqueue_read(&slot->chain, 0, &header, sizeof(header)) != sizeof(header))
                return STATUS_IO_ERROR;
        for (unsigned i = 0; i < sizeof(types) / sizeof(types[0]); i++)
                if (types[i].type == header.type && (header.type != TYPE_DISCARD || block->backend.can_discard))
                        return types[i].prepare(block, slot, &header);
        if (header.type != TYPE_GET_ID)
                return STATUS_UNSUPPORTED;
        slot->written = (uint32_t)virtqueue_write(&block->device.queues[slot->request.queue], &slot->chain, 0,
                                                  block->serial, VIRTIO_BLOCK_SERIAL);
        return -1; /* answered here */
}

/* False where the driver left no byte for the status: nothing can be answered. */
static bool begin(struct virtio_block *block, struct virtio_block_slot *slot, unsigned index)
{
        slot->written = 0;
        slot->request = (struct block_request){ .operation = BLOCK_FLUSH, .queue = index };
        if (!cut_off_status(slot))
                return false;
        slot->busy = true;
        int status = prepare(block, slot);
        if (status == STATUS_OK)
                block->backend.submit(block->backend.owner, block, &slot->request);
        else
                answer(block, slot, status < 0 ? STATUS_OK : (uint8_t)status);
        return true;
}

static struct virtio_block_slot *free_slot(struct virtio_block *block)
{
        for (unsigned i = 0; i < block->slot_count; i++)
                if (!block->slots[i].busy)
                        return &block->slots[i];
        return NULL;
}

static void serve(struct virtio_block *block, unsigned index)
{
        struct virtqueue *queue = &block->device.queues[index];
        do {
                int popped;
                virtqueue_quiet(queue);
                do {
                        struct virtio_block_slot *slot = free_slot(block);
                        if (!slot) {
                                block->stalled[index] = true; /* a completion goes on */
                                return;
                        }
                        popped = virtqueue_pop(queue, &slot->chain);
                        if (popped < 0 || (popped && !begin(block, slot, index))) {
                                virtio_break(&block->device, "a request's descriptors make no sense");
                                return;
                        }
                } while (popped);
        } while (virtqueue_wait(queue));
}

/* ---- As a virtio device ---- */

static uint64_t block_features(struct virtio_device *device)
{
        const struct virtio_block *block = block_of(device);
        return FEATURE_SEGMENTS_MAX | FEATURE_BLOCK_SIZE | FEATURE_FLUSH |
               (block->backend.read_only ? FEATURE_READ_ONLY : FEATURE_WRITE_ZEROES) |
               (block->backend.can_discard && !block->backend.read_only ? FEATURE_DISCARD : 0) |
               (device->queue_count > 1 ? FEATURE_MULTI_QUEUE : 0);
}

static void block_start(struct virtio_device *device, uint64_t features)
{
        struct virtio_block *block = block_of(device);
        block->write_through = !(features & FEATURE_FLUSH);
}

static void block_reset(struct virtio_device *device)
{
        struct virtio_block *block = block_of(device);
        block->backend.drain(block->backend.owner);
        for (unsigned i = 0; i < block->slot_count; i++)
                block->slots[i].busy = false;
        for (unsigned i = 0; i < VIRTIO_QUEUES_MAX; i++)
                block->stalled[i] = false;
}

static void block_notify(struct virtio_device *device, unsigned index)
{
        serve(block_of(device), index);
}

static void block_config_read(struct virtio_device *device, unsigned offset, void *data, unsigned length)
{
        const struct virtio_block *block = block_of(device);
        const struct block_config config = {
                .capacity = block->backend.size / VIRTIO_BLOCK_SECTOR,
                .segments_max = VIRTIO_BLOCK_SEGMENTS_MAX,
                .block_size = VIRTIO_BLOCK_SECTOR,
                .queues = (uint16_t)device->queue_count,
                .discard_sectors_max = RANGE_SECTORS_MAX,
                .discard_segments_max = 1,
                .discard_alignment = 1,
                .zeroes_sectors_max = RANGE_SECTORS_MAX,
                .zeroes_segments_max = 1,
                .zeroes_may_unmap = block->backend.can_discard,
        };
        __builtin_memcpy(data, (const uint8_t *)&config + offset, length);
}

/* Nothing is in flight while a machine is saved; all else is the queues' and the back end's. */
#define BLOCK_STATE_VERSION 1

static void block_save(struct virtio_device *device, struct state_writer *writer)
{
        state_begin(writer, "virtio-block", BLOCK_STATE_VERSION);
        state_u64(writer, block_of(device)->backend.size);
        state_end(writer);
}

static int block_restore(struct virtio_device *device, struct state_reader *reader)
{
        int r = state_open(reader, "virtio-block", BLOCK_STATE_VERSION);
        if (r < 0)
                return r;
        /* A guest that knows the disk as larger or smaller would destroy it. */
        bool same = state_take_u64(reader) == block_of(device)->backend.size;
        r = state_close(reader);
        if (!r && !same)
                r = -EINVAL;
        return r;
}

static const struct virtio_operations block_operations = {
        .name = "block",
        .id = 2,
        .pci_class = 0x018000, /* mass storage, other */
        .config_length = CONFIG_LENGTH,
        .features = block_features,
        .start = block_start,
        .reset = block_reset,
        .notify = block_notify,
        .config_read = block_config_read,
        .save = block_save,
        .restore = block_restore,
};

void virtio_block_init(struct virtio_block *block, const struct block_backend *backend, const char *serial,
                       unsigned queues, struct virtio_block_slot *slots, unsigned slot_count)
{
        *block = (struct virtio_block){
                .device = { .operations = &block_operations, .queue_count = queues },
                .backend = *backend,
                .slots = slots,
                .slot_count = slot_count,
        };
        for (unsigned i = 0; i < VIRTIO_BLOCK_SERIAL && serial[i]; i++)
                block->serial[i] = serial[i];
        for (unsigned i = 0; i < queues; i++)
                block->device.queues[i].size_max = VIRTIO_BLOCK_QUEUE_SIZE;
}
