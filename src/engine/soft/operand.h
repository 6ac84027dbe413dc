/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Operands of a decoded instruction as a virtual CPU reads and writes them. */
#pragma once

#include "engine/soft/vcpu.h"

/* What computes a new value from the old one, for instructions that change their first operand in place. */
typedef uint64_t (*operand_change)(struct vcpu *vcpu, const struct instruction *in, uint64_t old, uint64_t *flags);

/* The offset of the memory operand in its segment, cut to the address size. */
uint64_t operand_offset(const struct vcpu *vcpu, const struct instruction *in);
/* Its linear address, checked for `size` bytes. */
uint64_t operand_linear(struct vcpu *vcpu, const struct instruction *in, unsigned size, enum access access);

uint64_t operand_read(struct vcpu *vcpu, const struct instruction *in, unsigned number);
/* A 32-bit general register's upper half becomes 0: APM vol. 3, section 1.2.7. */
void operand_write(struct vcpu *vcpu, const struct instruction *in, unsigned number, uint64_t value);
/*
 * Reads operand 0, changes it and writes it back, in one step for other CPUs where `locked`; then sets the flags. Returns what
 * was there.
 */
uint64_t operand_modify(struct vcpu *vcpu, const struct instruction *in, bool locked, operand_change change);

uint64_t register_read(const struct vcpu *vcpu, unsigned index, unsigned size);
void register_write(struct vcpu *vcpu, unsigned index, unsigned size, uint64_t value);

/* The stack: pointer and accesses are as wide as SS says. */
/* The bits of rSP and rBP that count. */
uint64_t stack_mask(const struct vcpu *vcpu);
void stack_push(struct vcpu *vcpu, unsigned size, uint64_t value);
/* The value at the top plus `offset` bytes; the pointer stays. */
uint64_t stack_peek(struct vcpu *vcpu, unsigned size, uint64_t offset);
void stack_move(struct vcpu *vcpu, int64_t bytes);
/* Faults unless what the pointer points at can be written. */
void stack_probe(struct vcpu *vcpu, unsigned size);
