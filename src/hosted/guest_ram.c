/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "hosted/guest_ram.h"

#include <errno.h>
#include <inttypes.h>
#include <sys/mman.h>
#include <unistd.h>

#define MIB        UINT64_C(1048576)
#define HOLE_START (UINT64_C(3) << 30)
#define HOLE_END   (UINT64_C(4) << 30)

/* `fd` -1: zeros. */
static int map(struct guest_memory *memory, uint64_t start, uint64_t size, int sharing, int fd, uint64_t offset,
               struct error *err)
{
        int flags = sharing | MAP_NORESERVE | (fd < 0 ? MAP_ANONYMOUS : 0);
        void *bytes = mmap(NULL, size, PROT_READ | PROT_WRITE, flags, fd, (off_t)offset);
        if (bytes == MAP_FAILED)
                return error_errno(err, "cannot map %" PRIu64 " MiB for the guest", size / MIB);
        int r = guest_memory_add(memory, gpa(start), size, bytes, GUEST_RAM);
        if (r < 0) {
                munmap(bytes, size);
                return error_code(err, r, "cannot place %" PRIu64 " MiB of guest memory", size / MIB);
        }
        return 0;
}

static int map_all(struct guest_memory *memory, uint64_t size, int sharing, int fd, struct error *err)
{
        if (size % MIB || size < 2 * MIB)
                return error_set(err, -EINVAL, "a guest's memory must be whole MiB and at least 2 of them");
        uint64_t low = size < HOLE_START ? size : HOLE_START;
        int r = map(memory, 0, low, sharing, fd, 0, err);
        if (!r && size > low)
                r = map(memory, HOLE_END, size - low, sharing, fd, low, err);
        return r;
}

int guest_ram_map(struct guest_memory *memory, uint64_t size, bool shared, struct error *err)
{
        return map_all(memory, size, shared ? MAP_SHARED : MAP_PRIVATE, -1, err);
}

int guest_ram_map_file(struct guest_memory *memory, uint64_t size, int fd, struct error *err)
{
        return map_all(memory, size, MAP_PRIVATE, fd, err);
}

/* Copies what is in the file between two offsets, but for its holes. */
static int copy_in(unsigned char *to, int fd, uint64_t start, uint64_t end)
{
        for (off_t at = (off_t)start; (at = lseek(fd, at, SEEK_DATA)) >= 0 && (uint64_t)at < end;) {
                off_t hole = lseek(fd, at, SEEK_HOLE);
                while (at < hole && (uint64_t)at < end) {
                        uint64_t left = (uint64_t)hole < end ? (uint64_t)(hole - at) : end - (uint64_t)at;
                        ssize_t n = pread(fd, to + ((uint64_t)at - start), left, at);
                        if (n <= 0)
                                return n ? -errno : -EIO;
                        at += n;
                }
        }
        return 0;
}

int guest_ram_return(struct guest_memory *memory, int fd, bool shared)
{
        uint64_t offset = 0;
        for (unsigned i = 0; i < memory->count; i++) {
                struct guest_memory_region *region = &memory->regions[i];
                if (region->kind != GUEST_RAM)
                        continue;
                int r = 0;
                if (!shared && mmap(region->host, region->length, PROT_READ | PROT_WRITE,
                                    MAP_PRIVATE | MAP_NORESERVE | MAP_FIXED, fd, (off_t)offset) == MAP_FAILED)
                        r = -errno;
                if (shared && madvise(region->host, region->length, MADV_REMOVE) < 0)
                        r = -errno;
                if (shared && !r)
                        r = copy_in(region->host, fd, offset, offset + region->length);
                if (r < 0)
                        return r;
                offset += region->length;
        }
        return 0;
}

void guest_ram_unmap(struct guest_memory *memory)
{
        for (unsigned i = 0; i < memory->count; i++)
                munmap(memory->regions[i].host, memory->regions[i].length);
        memory->count = 0;
}
