/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Saved state: a stream of named, versioned records, little-endian, the same for every engine and every host.
 *
 *   record: "<name>" padded with zeros to 16 bytes, u32 version, u32 length of the body, body
 *
 * Each device writes one record and reads one. A reader that meets another name, a newer version, a body that is
 * too short or has bytes left over fails, and the device keeps the state it had: a device decodes into locals first
 * and takes them over last. The stream comes from a stranger: nothing of it is an index or a length before it was
 * checked. Freestanding.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define STATE_NAME_SIZE 16

struct state_writer {
        uint8_t *data;
        size_t room, length; /* `length` goes on counting past `room`: writing to no room measures */
        size_t body;         /* offset of the open record's body, 0 while none is open */
};

void state_begin(struct state_writer *writer, const char *name, uint32_t version);
void state_bytes(struct state_writer *writer, const void *bytes, size_t length);
void state_u32(struct state_writer *writer, uint32_t value);
void state_u64(struct state_writer *writer, uint64_t value);
void state_end(struct state_writer *writer);

struct state_reader {
        const uint8_t *data;
        size_t length, at;
        size_t end;  /* of the open record's body */
        bool failed; /* something was missing; every later take gives zeros */
};

/*
 * Opens the next record. Returns its version (from 1), or -EINVAL (another name, or cut off), -ENOTSUP (newer than
 * `newest`).
 */
int state_open(struct state_reader *reader, const char *name, uint32_t newest);
void state_take(struct state_reader *reader, void *bytes, size_t length);
uint32_t state_take_u32(struct state_reader *reader);
uint64_t state_take_u64(struct state_reader *reader);
/* 0, or -EINVAL where something was missing or is left over. */
int state_close(struct state_reader *reader);
