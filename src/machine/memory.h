/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The memory of a guest: which guest-physical ranges are RAM or ROM, and where they are in ours.
 *
 * The machine owns the struct; the bytes belong to its host (hosted: a mapping; native: frames), which adds them
 * region by region before the guest first runs. Regions never overlap and never change afterwards, so every thread
 * may read without a lock. The guest may write its RAM at any moment: who uses a value that was read from here
 * copies it once, checks the copy and uses the copy. Freestanding.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "machine/address.h"

/* RAM below and above the hole for devices, and the ROMs below 1 MiB and below 4 GiB. */
#define GUEST_MEMORY_REGIONS_MAX 8

enum guest_memory_kind {
        GUEST_RAM,
        GUEST_ROM, /* the guest's writes have no effect */
};

struct guest_memory_region {
        gpa_t start;
        uint64_t length; /* bytes, > 0; start and length are whole pages */
        unsigned char *host;
        enum guest_memory_kind kind;
        uint64_t *dirty; /* a bit for each page that we wrote ourselves; NULL while nobody asks */
};

struct guest_memory {
        unsigned count;
        struct guest_memory_region regions[GUEST_MEMORY_REGIONS_MAX]; /* by rising address */
};

#define GUEST_PAGE_SIZE 4096

/*
 * Adds a region. -EINVAL where it is empty, not whole pages, wraps or overlaps another; -ENOSPC after the last place.
 */
int guest_memory_add(struct guest_memory *memory, gpa_t start, uint64_t length, void *host,
                     enum guest_memory_kind kind);

/*
 * The one way from an address that a guest named to bytes that we may touch: [start, start + length) lies inside
 * one region. Returns the bytes, or NULL: not memory, more than one region, length 0, or a `write` to a ROM.
 */
void *guest_memory_span(const struct guest_memory *memory, gpa_t start, uint64_t length, bool write);

/* Copy out of, or into, guest memory; across adjoining regions too. 0, or -EFAULT with nothing promised of the rest. */
int guest_memory_read(const struct guest_memory *memory, gpa_t start, void *data, size_t length);
int guest_memory_write(struct guest_memory *memory, gpa_t start, const void *data, size_t length);

/* To be called after every write through a span: the pages count as changed for snapshots and migration. */
void guest_memory_wrote(struct guest_memory *memory, gpa_t start, uint64_t length);

/* Bytes of all RAM regions. */
uint64_t guest_memory_ram_size(const struct guest_memory *memory);
