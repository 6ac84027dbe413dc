/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * One instruction of the guest's, executed as it stands on the host's processor: x87, MMX, SSE and AVX mean there what they mean,
 * to the last bit, because it is the same processor.
 *
 * The instruction is encoded anew, with its memory operand at a buffer of ours and its general registers replaced, and put
 * before a return in a page that is executable; the page is written through a second mapping, so none is both. Belongs to
 * one vcpu.
 */
#pragma once

#include <stdint.h>

#include "base/error.h"
#include "decode/instruction.h"

struct thunk;

/* Registers and memory around the instruction; floating-point state is in the standard form of FXSAVE. */
struct thunk_frame {
        uint8_t memory[128] __attribute__((aligned(64)));
        uint8_t fx[512] __attribute__((aligned(64)));
        uint64_t rax, rcx, rdx; /* RCX is also the general register that ModRM.rm names, */
        uint64_t reg;           /* and this the one that ModRM.reg does */
        uint64_t flags;         /* arithmetic ones */
};

/* -EPERM where this host lets no memory be executable. */
int thunk_open(struct thunk **thunk, struct error *err);
void thunk_close(struct thunk *thunk);
/* x87, VECTOR instructions; -ENOTSUP for one that cannot be encoded so. */
int thunk_run(struct thunk *thunk, const struct instruction *in, struct thunk_frame *frame);
