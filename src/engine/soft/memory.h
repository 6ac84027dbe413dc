/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Memory as a virtual CPU sees it: segments, pages, and what lies behind them. AMD64 APM vol. 2, chapters 4 and 5.
 *
 * Linear addresses are translated by the guest's page tables with all their rights; what was found is kept in the vcpu's
 * tables by page until the guest says that it changed. Where no memory is, the machine is asked (the instruction leaves
 * and begins anew). All functions raise the guest's faults by vcpu_fault() and then do not return.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "engine/soft/vcpu.h"

/* The linear address of `offset` in a segment, checked for an access of `size` bytes; as APM vol. 2, section 4.12. */
uint64_t memory_linear(struct vcpu *vcpu, unsigned segment, uint64_t offset, unsigned size, enum access access);

/* 48 bits, extended with their sign: APM vol. 2, section 5.3.1. */
bool is_canonical(uint64_t linear);

/* size: 1 to 8 bytes; by the rights of the current level. */
uint64_t memory_read(struct vcpu *vcpu, uint64_t linear, unsigned size);
void memory_write(struct vcpu *vcpu, uint64_t linear, unsigned size, uint64_t value);
/* Reads what will be written: faults as the write would. */
uint64_t memory_read_to_write(struct vcpu *vcpu, uint64_t linear, unsigned size);
/* As the processor itself reads and writes its tables, whatever the current level. */
uint64_t memory_read_system(struct vcpu *vcpu, uint64_t linear, unsigned size);
void memory_write_system(struct vcpu *vcpu, uint64_t linear, unsigned size, uint64_t value);
/* Any number of bytes, for instructions that take more than eight. */
void memory_read_bytes(struct vcpu *vcpu, uint64_t linear, void *data, unsigned size);
void memory_write_bytes(struct vcpu *vcpu, uint64_t linear, const void *data, unsigned size);

/*
 * Bytes of the host for an access that does not cross a page: valid until the next call. NULL where the machine must be asked.
 * For a write, code that was decoded from the page counts as changed.
 */
unsigned char *memory_direct(struct vcpu *vcpu, uint64_t linear, unsigned size, enum access access);
/* As one access of the processor, where `size` is 1, 2, 4 or 8. */
uint64_t bytes_read(const unsigned char *host, unsigned size);
/* The same for an instruction fetch; *physical is where it is. Faults as a fetch; NULL: no memory. */
const unsigned char *memory_fetch(struct vcpu *vcpu, uint64_t linear, uint64_t *physical);

/* Forgets translations: all, all but global ones, or those of one page. */
void memory_flush(struct vcpu *vcpu, bool global);
void memory_flush_page(struct vcpu *vcpu, uint64_t linear);

/* Asks the machine about a port: returns what it says of a read. */
uint64_t port_access(struct vcpu *vcpu, uint16_t port, unsigned size, bool write, uint64_t value);
