/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The two files of a saved machine.
 *
 *   state   a header of 64 bytes, and records as machine/state.h has them: "settings", "cpu" for each CPU, "chips",
 *           "machine" and its devices; where only changes were saved, "changed", a bit for each page, at the end
 *   memory  RAM as it is in the guest, regions one behind the other, holes where it is zero (or unchanged), so that it
 *           can be mapped; and a page that says which state it belongs to
 *
 *   header  "onggi-vm", u32 version, u32 flags (1: changes alone), 16 bytes of identity, 16 bytes of the identity of
 *           what the changes are against, u64 length of the records, u64 checksum of them
 *   page    "onggimem", u32 version, u32 0, the identity, u64 bytes of RAM
 *
 * Numbers are little-endian. The checksum (FNV-1a, 64 bits) finds damage, not malice: nothing that is read is trusted.
 * The state is written last, so one that is whole has its memory. Of the memory no byte is read to check it: who saved
 * it could have put anything into it anyway, and what is in it can hurt the guest alone.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"
#include "machine/state.h"
#include "machine/topology.h"

#define SNAPSHOT_ID_SIZE    16
#define SNAPSHOT_TRAILER    4096
#define SNAPSHOT_STATE_MAX  (64u << 20)
#define SNAPSHOT_MODEL_MAX  256
#define SNAPSHOT_MEMORY_MAX (UINT64_C(1) << 42)

struct snapshot_header {
        bool changes; /* against `base` */
        uint8_t id[SNAPSHOT_ID_SIZE], base[SNAPSHOT_ID_SIZE];
        uint64_t length, checksum;
};

#define SNAPSHOT_HEADER_SIZE 64

/* The record "settings": what a machine must be made like before its state fits. */
struct snapshot_settings {
        uint64_t memory; /* bytes */
        struct topology topology;
        char cpu[SNAPSHOT_MODEL_MAX]; /* --cpu */
};

void snapshot_header_save(const struct snapshot_header *header, uint8_t bytes[SNAPSHOT_HEADER_SIZE]);
uint64_t snapshot_checksum(const uint8_t *bytes, size_t length);
void snapshot_settings_save(const struct snapshot_settings *settings, struct state_writer *writer);
void snapshot_trailer_save(const struct snapshot_header *header, uint64_t memory, uint8_t bytes[SNAPSHOT_TRAILER]);

/*
 * Reads the whole of a state file: header and settings, and leaves *reader at the record that follows. `name` is the
 * file's, for errors. -EINVAL, -ENOTSUP.
 */
int snapshot_parse(const char *name, const uint8_t *bytes, size_t length, struct snapshot_header *header,
                   struct snapshot_settings *settings, struct state_reader *reader, struct error *err);
/* Whether the page at a memory file's end is that of this state. -EINVAL. */
int snapshot_check_trailer(const char *name, const uint8_t bytes[SNAPSHOT_TRAILER],
                           const struct snapshot_header *header, uint64_t memory, struct error *err);
