/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Descriptors and what loading them checks: AMD64 APM vol. 2, sections 4.7 to 4.11. */
#pragma once

#include "engine/soft/vcpu.h"

struct descriptor {
        uint64_t at;        /* its linear address */
        uint64_t low, high; /* high: of system descriptors in long mode */
};

enum { SELECTOR_RPL = 3, SELECTOR_LOCAL = 4 };

/*
 * Reads the descriptor that a selector names; a selector outside its table raises `exception` with it as code. Null is the
 * caller's to check.
 */
struct descriptor descriptor_read(struct vcpu *vcpu, uint16_t selector, enum exception exception);
/* The same without a fault: false where there is none. */
bool descriptor_find(struct vcpu *vcpu, uint16_t selector, struct descriptor *descriptor);
/* As a segment register would hold it. */
struct cpu_segment descriptor_segment(uint16_t selector, const struct descriptor *descriptor);

static inline bool descriptor_present(const struct descriptor *descriptor)
{
        return descriptor->low >> 47 & 1;
}
static inline unsigned descriptor_level(const struct descriptor *descriptor)
{
        return descriptor->low >> 45 & 3;
}
/* Bits 40-44: the type, and whether it is a code or data segment. */
static inline unsigned descriptor_type(const struct descriptor *descriptor)
{
        return descriptor->low >> 40 & 0x1f;
}

/* DS, ES, FS, GS or SS from a selector, with all checks. */
void segment_load(struct vcpu *vcpu, unsigned segment, uint16_t selector);
/* SS for a change to `level`; `exception` is raised for what is wrong with it. */
void segment_load_stack(struct vcpu *vcpu, uint16_t selector, unsigned level, enum exception exception);
/* CS of a checked descriptor: marks it accessed; CS's RPL becomes `level`, which is then the current one. */
void segment_load_code(struct vcpu *vcpu, uint16_t selector, const struct descriptor *descriptor, unsigned level);
/* A segment register as real and virtual-8086 mode load it. */
void segment_load_real(struct vcpu *vcpu, unsigned segment, uint16_t selector);
/* Data segments that an outer level may not use are cleared: APM vol. 2, section 4.11.1. */
void segment_drop_inner(struct vcpu *vcpu);
