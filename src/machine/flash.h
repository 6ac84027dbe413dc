/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A flash chip that keeps UEFI's variables: the command set of Intel's 28F (CFI 0001, data sheet 290580), as far as
 * firmware uses it: read array, read and clear status, program a byte, erase a block.
 *
 * The guest reads it as a ROM, without leaving; its writes are the commands. While the status is to be read, the byte
 * that the command was written to holds it in place of its own, so that even then reads are of memory: firmware looks
 * nowhere else. The bytes belong to the host, which keeps them. The machine's lock guards it. Freestanding.
 */
#pragma once

#include "machine/bus.h"
#include "machine/memory.h"

#define FLASH_BLOCK 4096

struct flash {
        struct guest_memory *memory;
        gpa_t start;
        uint8_t *bytes;
        uint64_t length;
        uint8_t command; /* what the next write completes; 0: none */
        bool shows_status;
        uint64_t status_at;
        uint8_t hidden, status; /* the byte that the status stands in place of */
};

extern const struct bus_operations flash_operations;

void flash_init(struct flash *flash, struct guest_memory *memory, gpa_t start, void *bytes, uint64_t length);
