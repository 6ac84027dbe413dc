/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "engine/soft/port_rights.h"

#include "engine/soft/memory.h"

#define TSS_MAP_BASE 0x66 /* APM vol. 2, figures 12-6 and 12-8: the same place in both */

void port_check(struct vcpu *vcpu, uint16_t port, unsigned size)
{
        unsigned level = vcpu->flags & FLAG_VM ? 3 : vcpu->cpl;
        if (!(vcpu->cr0 & CR0_PE) || (!(vcpu->flags & FLAG_VM) && level <= (vcpu->flags & FLAG_IOPL) >> 12))
                return;
        const struct cpu_segment *task = &vcpu->segments[CPU_TR];
        if (!(task->attributes & SEGMENT_PRESENT) || task->limit < TSS_MAP_BASE + 1)
                vcpu_fault_code(vcpu, EXCEPTION_GP, 0);
        uint64_t at = memory_read_system(vcpu, task->base + TSS_MAP_BASE, 2) + port / 8;
        if (at + 1 > task->limit)
                vcpu_fault_code(vcpu, EXCEPTION_GP, 0);
        uint64_t map = memory_read_system(vcpu, task->base + at, 2);
        if (map >> (port % 8) & ((1U << size) - 1))
                vcpu_fault_code(vcpu, EXCEPTION_GP, 0);
}
