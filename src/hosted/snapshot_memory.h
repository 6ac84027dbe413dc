/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Guest memory into the file of a snapshot, and the pages that changed since the last one: snapshot_file.h.
 *
 * Pages are numbered as they lie in the file: RAM regions by rising address. The machine's lock is held, its processors
 * rest.
 */
#pragma once

#include <stdint.h>

#include "base/error.h"
#include "hosted/snapshot_file.h"
#include "machine/memory.h"

struct vmm;

/* Bytes of a bitmap with a bit for each page of so much memory, in whole words. */
size_t snapshot_bitmap_size(uint64_t memory);

/*
 * Writes all that is not zero, or those pages whose bits are set in `pages` (not NULL); then the page that says whose
 * it is. The file is cut to its length first.
 */
int snapshot_memory_write(const struct guest_memory *memory, int fd, const struct snapshot_header *header,
                          const uint64_t *pages, struct error *err);

/* From now on it is known which pages change, by the guest's hand and by ours. Idempotent. */
int snapshot_watch_start(struct vmm *vmm, struct error *err);
/* The pages that changed since the start, or the last call: added to `pages`. */
int snapshot_watch_collect(struct vmm *vmm, uint64_t *pages, struct error *err);
/* Nobody asks any more: the guest runs as fast as before. */
void snapshot_watch_stop(struct vmm *vmm);
/* At the end of the machine. */
void snapshot_watch_end(struct vmm *vmm);
