/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "machine/memory.h"

#include <errno.h>

#define PAGE_MASK ((uint64_t)GUEST_PAGE_SIZE - 1)

int guest_memory_add(struct guest_memory *memory, gpa_t start, uint64_t length, void *host, enum guest_memory_kind kind)
{
        uint64_t end;
        if (!length || ((start.at | length) & PAGE_MASK) || __builtin_add_overflow(start.at, length - 1, &end))
                return -EINVAL;
        if (memory->count == GUEST_MEMORY_REGIONS_MAX)
                return -ENOSPC;

        unsigned place = 0;
        while (place < memory->count && memory->regions[place].start.at <= start.at)
                place++;
        if (place && start.at - memory->regions[place - 1].start.at < memory->regions[place - 1].length)
                return -EINVAL;
        if (place < memory->count && memory->regions[place].start.at <= end)
                return -EINVAL;

        for (unsigned i = memory->count; i > place; i--)
                memory->regions[i] = memory->regions[i - 1];
        memory->regions[place] =
                (struct guest_memory_region){ .start = start, .length = length, .host = host, .kind = kind };
        memory->count++;
        return 0;
}

static const struct guest_memory_region *find(const struct guest_memory *memory, gpa_t at)
{
        for (unsigned i = 0; i < memory->count; i++)
                if (at.at - memory->regions[i].start.at < memory->regions[i].length)
                        return &memory->regions[i];
        return NULL;
}

void *guest_memory_span(const struct guest_memory *memory, gpa_t start, uint64_t length, bool write)
{
        const struct guest_memory_region *region = find(memory, start);
        if (!region || !length || (write && region->kind == GUEST_ROM))
                return NULL;
        uint64_t offset = start.at - region->start.at;
        return length <= region->length - offset ? region->host + offset : NULL;
}

/* What of [start, start + length) lies in the region that holds start. */
static size_t part_in_region(const struct guest_memory_region *region, gpa_t start, size_t length)
{
        uint64_t left = region->length - (start.at - region->start.at);
        return length < left ? length : (size_t)left;
}

int guest_memory_read(const struct guest_memory *memory, gpa_t start, void *data, size_t length)
{
        unsigned char *to = data;
        while (length) {
                const struct guest_memory_region *region = find(memory, start);
                if (!region)
                        return -EFAULT;
                size_t part = part_in_region(region, start, length);
                __builtin_memcpy(to, region->host + (start.at - region->start.at), part);
                to += part;
                start.at += part;
                length -= part;
        }
        return 0;
}

int guest_memory_write(struct guest_memory *memory, gpa_t start, const void *data, size_t length)
{
        const unsigned char *from = data;
        while (length) {
                const struct guest_memory_region *region = find(memory, start);
                if (!region || region->kind == GUEST_ROM)
                        return -EFAULT;
                size_t part = part_in_region(region, start, length);
                __builtin_memcpy(region->host + (start.at - region->start.at), from, part);
                guest_memory_wrote(memory, start, part);
                from += part;
                start.at += part;
                length -= part;
        }
        return 0;
}

void guest_memory_wrote(struct guest_memory *memory, gpa_t start, uint64_t length)
{
        const struct guest_memory_region *region = find(memory, start);
        if (!region || !region->dirty || !length)
                return;
        uint64_t first = (start.at - region->start.at) / GUEST_PAGE_SIZE;
        uint64_t last = (start.at - region->start.at + length - 1) / GUEST_PAGE_SIZE;
        /* Several threads serve devices; the collector swaps whole words. */
        for (uint64_t page = first; page <= last && page < region->length / GUEST_PAGE_SIZE; page++)
                __atomic_fetch_or(&region->dirty[page / 64], 1ULL << (page % 64), __ATOMIC_RELEASE);
}

uint64_t guest_memory_ram_size(const struct guest_memory *memory)
{
        uint64_t size = 0;
        for (unsigned i = 0; i < memory->count; i++)
                if (memory->regions[i].kind == GUEST_RAM)
                        size += memory->regions[i].length;
        return size;
}
