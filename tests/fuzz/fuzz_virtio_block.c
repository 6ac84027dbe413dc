/* SPDX-License-Identifier: GPL-2.0-or-later */
/* A virtio block device under a hostile driver; some requests are answered at once, others when the fuzzer says. */
#include "machine/virtio/block.h"

#include "fuzz_device.h"

enum { SIZE = 64 * 512, PLACES = 8 };

static struct virtio_block block;
static struct virtio_block_slot slots[PLACES];
static struct block_request *kept[PLACES];
static unsigned kept_count, calls;

static void touch(struct block_request *request)
{
        uint64_t length = 0;
        for (unsigned i = 0; i < request->part_count; i++) {
                memset(request->parts[i].host, 0x5a, request->operation == BLOCK_READ ? request->parts[i].length : 0);
                length += request->parts[i].length;
        }
        bool transfer = request->operation == BLOCK_READ || request->operation == BLOCK_WRITE;
        if (request->offset > SIZE || request->length > SIZE - request->offset ||
            (transfer && length != request->length))
                abort();
}

static void submit(void *owner, struct virtio_block *device, struct block_request *request)
{
        (void)owner;
        touch(request);
        if (calls++ % 3)
                virtio_block_complete(device, request, calls % 5 ? 0 : -5);
        else
                kept[kept_count++] = request;
}

static void drain(void *owner)
{
        (void)owner;
        kept_count = 0;
}

static void event(struct fuzz_input *input)
{
        if (!kept_count)
                return;
        unsigned which = (unsigned)fuzz_take(input, 1) % kept_count;
        struct block_request *request = kept[which];
        kept[which] = kept[--kept_count];
        virtio_block_complete(&block, request, 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
        const struct block_backend backend = { .size = SIZE, .can_discard = true, .submit = submit, .drain = drain };
        kept_count = calls = 0;
        memset(slots, 0, sizeof(slots));
        virtio_block_init(&block, &backend, "fuzz", 2, slots, PLACES);
        fuzz_device(&block.device, event, data, size);
        return 0;
}
