/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Guest memory that goes back to this host: the balloon's other end. What the guest reports as free is given back
 * at once and comes again, as zeros, when the guest touches it.
 */
#pragma once

#include <stdint.h>

#include "base/error.h"

struct vmm;
struct memory_return;

int memory_return_open(struct vmm *vmm, struct memory_return **result, struct error *err);
void memory_return_close(struct memory_return *memory);

/* Asks the guest to give up so many bytes. The machine's lock is held. */
void memory_return_ask(struct memory_return *memory, uint64_t bytes);
/* Bytes that came back, ever. */
uint64_t memory_return_bytes(const struct memory_return *memory);
