/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "hosted/memory_return.h"

#include <stdlib.h>
#include <sys/mman.h>

#include "base/cleanup.h"
#include "hosted/vmm_private.h"
#include "machine/virtio/balloon.h"

#define QUEUES 3

struct memory_return {
        struct virtio_balloon balloon;
        struct virtio_transport transport;
        struct doorbell doorbells[QUEUES];
};

static void release(void *owner, void *bytes, uint64_t length)
{
        const struct vmm *vmm = owner;
        madvise(bytes, length, vmm->share_count ? MADV_REMOVE : MADV_DONTNEED);
}

void memory_return_close(struct memory_return *memory)
{
        doorbells_close(memory->doorbells, QUEUES);
        free(memory);
}

DEFINE_CLEANUP(memory_return, struct memory_return, memory_return_close)

int memory_return_open(struct vmm *vmm, struct memory_return **result, struct error *err)
{
        _cleanup_(memory_return) struct memory_return *memory = calloc(1, sizeof(*memory));
        if (!memory)
                return error_memory(err);
        for (unsigned i = 0; i < QUEUES; i++)
                memory->doorbells[i].fd = -1;
        virtio_balloon_init(&memory->balloon, &(struct balloon_backend){ .owner = vmm, .release = release });
        int r = doorbells_open(vmm, &memory->transport, QUEUES, memory->doorbells, err);
        if (!r)
                r = doorbells_serve(vmm, memory->doorbells, QUEUES, err);
        if (r < 0)
                return r;
        r = machine_add_virtio(&vmm->machine, &memory->transport, &memory->balloon.device);
        if (r < 0)
                return error_code(err, r, "there is no place for a balloon on the machine");
        *result = TAKE_PTR(memory);
        return 0;
}

void memory_return_ask(struct memory_return *memory, uint64_t bytes)
{
        virtio_balloon_set_target(&memory->balloon, (uint32_t)(bytes / GUEST_PAGE_SIZE));
}

uint64_t memory_return_bytes(const struct memory_return *memory)
{
        return memory->balloon.released;
}
