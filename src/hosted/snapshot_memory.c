/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "hosted/snapshot_memory.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "hosted/vmm_private.h"

#define PAGE     ((uint64_t)GUEST_PAGE_SIZE)
#define RUN_MAX  (UINT64_C(1) << 20) /* bytes of one write */
#define PER_WORD 64

size_t snapshot_bitmap_size(uint64_t memory)
{
        return (memory / PAGE + PER_WORD - 1) / PER_WORD * sizeof(uint64_t);
}

/* ---- Writing ---- */

static bool is_zero(const unsigned char *page)
{
        /* Equal to itself a byte further on, and its first byte zero. */
        return !page[0] && !memcmp(page, page + 1, PAGE - 1);
}

static bool is_wanted(const unsigned char *page, const uint64_t *pages, uint64_t number)
{
        return pages ? pages[number / PER_WORD] >> (number % PER_WORD) & 1 : !is_zero(page);
}

static int write_run(int fd, const unsigned char *bytes, uint64_t length, uint64_t at, struct error *err)
{
        while (length) {
                ssize_t n = pwrite(fd, bytes, length, (off_t)at);
                if (n < 0 && errno == EINTR)
                        continue;
                if (n <= 0)
                        return error_errno(err, "cannot write the memory of the machine");
                bytes += n;
                at += (uint64_t)n;
                length -= (uint64_t)n;
        }
        return 0;
}

static int write_region(const struct guest_memory_region *region, int fd, uint64_t offset, const uint64_t *pages,
                        struct error *err)
{
        uint64_t start = 0, end = 0; /* a run of pages that is not written yet */
        for (uint64_t at = 0; at < region->length; at += PAGE) {
                if (!is_wanted(region->host + at, pages, (offset + at) / PAGE))
                        continue;
                if (end != at || end - start >= RUN_MAX) {
                        int r = write_run(fd, region->host + start, end - start, offset + start, err);
                        if (r < 0)
                                return r;
                        start = at;
                }
                end = at + PAGE;
        }
        return write_run(fd, region->host + start, end - start, offset + start, err);
}

int snapshot_memory_write(const struct guest_memory *memory, int fd, const struct snapshot_header *header,
                          const uint64_t *pages, struct error *err)
{
        uint8_t trailer[SNAPSHOT_TRAILER];
        uint64_t offset = 0, size = guest_memory_ram_size(memory);
        if (ftruncate(fd, 0) < 0 || ftruncate(fd, (off_t)size) < 0)
                return error_errno(err, "cannot make the file for the machine's memory %" PRIu64 " bytes long", size);
        for (unsigned i = 0; i < memory->count; i++) {
                const struct guest_memory_region *region = &memory->regions[i];
                if (region->kind != GUEST_RAM)
                        continue;
                int r = write_region(region, fd, offset, pages, err);
                if (r < 0)
                        return r;
                offset += region->length;
        }
        snapshot_trailer_save(header, size, trailer);
        return write_run(fd, trailer, sizeof(trailer), size, err);
}

/* ---- Changes ---- */

int snapshot_watch_start(struct vmm *vmm, struct error *err)
{
        if (!vmm->operations->watch_changes)
                return error_set(err, -ENOTSUP, "the engine %s cannot tell which memory changes",
                                 vmm->operations->name);
        struct guest_memory *memory = &vmm->machine.memory;
        for (unsigned i = 0; i < memory->count; i++) {
                struct guest_memory_region *region = &memory->regions[i];
                uint64_t *dirty = region->dirty || region->kind != GUEST_RAM
                                          ? region->dirty
                                          : calloc(1, snapshot_bitmap_size(region->length));
                if (!dirty && region->kind == GUEST_RAM)
                        return error_memory(err);
                __atomic_store_n(&region->dirty, dirty, __ATOMIC_RELEASE);
        }
        return vmm->operations->watch_changes(vmm->engine, true, err);
}

int snapshot_watch_collect(struct vmm *vmm, uint64_t *pages, struct error *err)
{
        struct guest_memory *memory = &vmm->machine.memory;
        struct engine_changes changes = { { NULL } };
        uint64_t *next = pages;
        for (unsigned i = 0; i < memory->count; i++) {
                struct guest_memory_region *region = &memory->regions[i];
                if (region->kind != GUEST_RAM)
                        continue;
                changes.pages[i] = next;
                size_t words = snapshot_bitmap_size(region->length) / sizeof(uint64_t);
                for (size_t j = 0; j < words; j++)
                        next[j] |= __atomic_exchange_n(&region->dirty[j], 0, __ATOMIC_ACQ_REL);
                next += words; /* regions are whole MiB: a word ends where a region does */
        }
        return vmm->operations->collect_changes(vmm->engine, &changes, err);
}

void snapshot_watch_stop(struct vmm *vmm)
{
        if (vmm->operations->watch_changes)
                (void)vmm->operations->watch_changes(vmm->engine, false, NULL);
        vmm->watching = false;
}

void snapshot_watch_end(struct vmm *vmm)
{
        for (unsigned i = 0; i < vmm->machine.memory.count; i++) {
                free(vmm->machine.memory.regions[i].dirty);
                vmm->machine.memory.regions[i].dirty = NULL;
        }
}
