/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "machine/bus.h"

#include <errno.h>
#include <stddef.h>

/* Number of ranges that start at or below `at`. */
static unsigned ranges_up_to(const struct bus *bus, uint64_t at)
{
        unsigned low = 0, high = bus->count;
        while (low < high) {
                unsigned middle = (low + high) / 2;
                if (bus->ranges[middle].start <= at)
                        low = middle + 1;
                else
                        high = middle;
        }
        return low;
}

int bus_claim(struct bus *bus, uint64_t start, uint64_t length, const struct bus_operations *operations, void *device)
{
        uint64_t last;
        if (!length || __builtin_add_overflow(start, length - 1, &last))
                return -EINVAL;
        if (bus->count == BUS_RANGES_MAX)
                return -ENOSPC;
        unsigned place = ranges_up_to(bus, last);
        if (place && start - bus->ranges[place - 1].start < bus->ranges[place - 1].length)
                return -EEXIST;
        if (place && bus->ranges[place - 1].start > start)
                return -EEXIST;

        for (unsigned i = bus->count; i > place; i--)
                bus->ranges[i] = bus->ranges[i - 1];
        bus->ranges[place] =
                (struct bus_range){ .start = start, .length = length, .operations = operations, .device = device };
        bus->count++;
        return 0;
}

void bus_release(struct bus *bus, uint64_t start)
{
        unsigned place = ranges_up_to(bus, start);
        if (!place || bus->ranges[place - 1].start != start)
                return;
        bus->count--;
        for (unsigned i = place - 1; i < bus->count; i++)
                bus->ranges[i] = bus->ranges[i + 1];
}

static struct bus_range *find(struct bus *bus, uint64_t at, unsigned size)
{
        unsigned place = ranges_up_to(bus, at);
        struct bus_range *range = place ? &bus->ranges[place - 1] : NULL;
        if (range && at - range->start < range->length && size <= range->length - (at - range->start))
                return range;
        __atomic_fetch_add(&bus->unclaimed, 1, __ATOMIC_RELAXED);
        return NULL;
}

uint64_t bus_read(struct bus *bus, uint64_t at, unsigned size)
{
        uint64_t ones = size >= 8 ? UINT64_MAX : (1ULL << (8 * size)) - 1;
        struct bus_range *range = find(bus, at, size);
        if (!range)
                return ones;
        __atomic_fetch_add(&range->reads, 1, __ATOMIC_RELAXED);
        return range->operations->read(range->device, at - range->start, size) & ones;
}

void bus_write(struct bus *bus, uint64_t at, unsigned size, uint64_t value)
{
        struct bus_range *range = find(bus, at, size);
        if (!range)
                return;
        __atomic_fetch_add(&range->writes, 1, __ATOMIC_RELAXED);
        range->operations->write(range->device, at - range->start, size, value);
}
