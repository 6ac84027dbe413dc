/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Code that was decoded once: runs of instructions within a page, up to the first that may go elsewhere.
 *
 * They are known by physical address and mode, so processes that share code share them. A page into which a CPU writes
 * loses all of its blocks (its version changes, engine_private.h); what a device wrote is seen when a block is entered, whose
 * bytes are compared. Belongs to one vcpu.
 */
#pragma once

#include "engine/soft/vcpu.h"

#define BLOCK_INSTRUCTIONS 32
#define BLOCK_BYTES        160

struct code_page;

struct block {
        uint64_t physical; /* of the first instruction */
        const struct code_page *page;
        uint32_t version; /* of the page when it was decoded */
        enum decode_mode mode;
        unsigned count, length; /* instructions, bytes */
        uint8_t bytes[BLOCK_BYTES];
        struct instruction instructions[BLOCK_INSTRUCTIONS];
};

struct blocks;

int blocks_open(struct blocks **blocks, struct error *err);
void blocks_close(struct blocks *blocks);
/* The block that begins at vcpu->rip; faults as the fetch does. */
const struct block *blocks_find(struct vcpu *vcpu);
bool block_is_valid(const struct block *block);
