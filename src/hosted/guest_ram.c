/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "hosted/guest_ram.h"

#include <errno.h>
#include <inttypes.h>
#include <sys/mman.h>

#define MIB        UINT64_C(1048576)
#define HOLE_START (UINT64_C(3) << 30)
#define HOLE_END   (UINT64_C(4) << 30)

static int map(struct guest_memory *memory, uint64_t start, uint64_t size, bool shared, struct error *err)
{
        int flags = (shared ? MAP_SHARED : MAP_PRIVATE) | MAP_ANONYMOUS | MAP_NORESERVE;
        void *bytes = mmap(NULL, size, PROT_READ | PROT_WRITE, flags, -1, 0);
        if (bytes == MAP_FAILED)
                return error_errno(err, "cannot map %" PRIu64 " MiB for the guest", size / MIB);
        int r = guest_memory_add(memory, gpa(start), size, bytes, GUEST_RAM);
        if (r < 0) {
                munmap(bytes, size);
                return error_code(err, r, "cannot place %" PRIu64 " MiB of guest memory", size / MIB);
        }
        return 0;
}

int guest_ram_map(struct guest_memory *memory, uint64_t size, bool shared, struct error *err)
{
        if (size % MIB || size < 2 * MIB)
                return error_set(err, -EINVAL, "a guest's memory must be whole MiB and at least 2 of them");
        uint64_t low = size < HOLE_START ? size : HOLE_START;
        int r = map(memory, 0, low, shared, err);
        if (!r && size > low)
                r = map(memory, HOLE_END, size - low, shared, err);
        return r;
}

void guest_ram_unmap(struct guest_memory *memory)
{
        for (unsigned i = 0; i < memory->count; i++)
                munmap(memory->regions[i].host, memory->regions[i].length);
        memory->count = 0;
}
