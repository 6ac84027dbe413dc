/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A bus: which device answers at which address. The machine has two, ports and memory-mapped registers.
 *
 * Devices claim ranges while the machine is built; afterwards the table only changes when the guest moves a PCI
 * window, which the machine does with all processors out of the guest. An access that no device claims reads all
 * ones and writes nothing, as on a PC. An access that leaves its range at the end counts as unclaimed: no device
 * sees an offset beyond what it claimed.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#define BUS_RANGES_MAX 64

/*
 * `size` is 1, 2, 4 or 8 (ports: at most 4); offset + size <= the range's length. Values are right-aligned,
 * little-endian.
 */
struct bus_operations {
        const char *name; /* for statistics and logs */
        uint64_t (*read)(void *device, uint64_t offset, unsigned size);
        void (*write)(void *device, uint64_t offset, unsigned size, uint64_t value);
};

struct bus_range {
        uint64_t start, length;
        const struct bus_operations *operations;
        void *device;
        uint64_t reads, writes;
};

struct bus {
        unsigned count;
        struct bus_range ranges[BUS_RANGES_MAX]; /* by rising start */
        uint64_t unclaimed;                      /* accesses nobody answered */
};

/* -EINVAL: empty or wraps; -EEXIST: overlaps another device's; -ENOSPC: table full. */
int bus_claim(struct bus *bus, uint64_t start, uint64_t length, const struct bus_operations *operations, void *device);
/* Gives up the range that starts at `start`; nothing there is no error. */
void bus_release(struct bus *bus, uint64_t start);

uint64_t bus_read(struct bus *bus, uint64_t at, unsigned size);
void bus_write(struct bus *bus, uint64_t at, unsigned size, uint64_t value);
