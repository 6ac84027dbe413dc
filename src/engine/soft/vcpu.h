/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A virtual CPU in software: its registers, what it has translated and what it waits for. AMD64 APM vol. 2.
 *
 * It belongs to one thread. Within an instruction whatever cannot go on (a fault, an access that the machine must answer)
 * leaves by vcpu_unwind() without having changed a register; the instruction begins anew afterwards. What the machine
 * answered meanwhile is kept in `accesses` until the instruction is through, so nothing is asked of a device twice.
 */
#pragma once

#include <setjmp.h>
#include <stdatomic.h>
#include <stdnoreturn.h>

#include "decode/instruction.h"
#include "engine/engine.h"

/* APM vol. 2, section 3.1.6. */
enum {
        FLAG_CF = 1 << 0,
        FLAG_PF = 1 << 2,
        FLAG_AF = 1 << 4,
        FLAG_ZF = 1 << 6,
        FLAG_SF = 1 << 7,
        FLAG_TF = 1 << 8,
        FLAG_IF = 1 << 9,
        FLAG_DF = 1 << 10,
        FLAG_OF = 1 << 11,
        FLAG_IOPL = 3 << 12,
        FLAG_NT = 1 << 14,
        FLAG_RF = 1 << 16,
        FLAG_VM = 1 << 17,
        FLAG_AC = 1 << 18,
        FLAG_VIF = 1 << 19,
        FLAG_VIP = 1 << 20,
        FLAG_ID = 1 << 21,
        FLAGS_ARITHMETIC = FLAG_CF | FLAG_PF | FLAG_AF | FLAG_ZF | FLAG_SF | FLAG_OF,
};

/* APM vol. 2, section 8.2. */
enum exception {
        EXCEPTION_DE = 0,
        EXCEPTION_DB = 1,
        EXCEPTION_NMI = 2,
        EXCEPTION_BP = 3,
        EXCEPTION_OF = 4,
        EXCEPTION_BR = 5,
        EXCEPTION_UD = 6,
        EXCEPTION_NM = 7,
        EXCEPTION_DF = 8,
        EXCEPTION_TS = 10,
        EXCEPTION_NP = 11,
        EXCEPTION_SS = 12,
        EXCEPTION_GP = 13,
        EXCEPTION_PF = 14,
        EXCEPTION_MF = 16,
        EXCEPTION_AC = 17,
        EXCEPTION_XF = 19,
};

enum access { ACCESS_READ, ACCESS_WRITE, ACCESS_EXECUTE, ACCESSES };

/* In whose name memory is accessed; the kernel's rights differ where SMAP is on and RFLAGS.AC is not. */
enum rights { RIGHTS_USER, RIGHTS_KERNEL, RIGHTS_KERNEL_ANY, RIGHTS };

#define TLB_ENTRIES 256

struct tlb_entry {
        uint64_t page; /* linear address of the page, or TLB_EMPTY */
        unsigned char *host;
        uint64_t physical;
};
#define TLB_EMPTY UINT64_MAX

/* Empty: low is above high. */
struct linear_range {
        uint64_t low, high;
};

/* What the machine was asked by the instruction that is under way. */
struct device_access {
        bool is_port, write;
        uint8_t size;
        uint64_t address;
        uint8_t data[8];
};
#define DEVICE_ACCESSES_MAX 16

/* What instructions change before their last access is through, to be put back if that faults. */
struct checkpoint {
        bool taken;
        uint64_t rsp, flags;
        struct cpu_segment segments[CPU_SEGMENTS];
        unsigned cpl;
        enum decode_mode mode;
};

enum unwind { UNWIND_NONE, UNWIND_FAULT, UNWIND_EXIT };

struct vcpu {
        struct engine *engine;
        unsigned number;

        uint64_t registers[CPU_REGISTERS];
        uint64_t rip, next_rip; /* of the instruction under way, and where it goes on */
        uint64_t flags;
        struct cpu_segment segments[CPU_SEGMENTS];
        struct cpu_table gdt, idt;
        uint64_t cr0, cr2, cr3, cr4, cr8, efer, xcr0;
        uint64_t debug[4], dr6, dr7;
        uint64_t apic_base, star, lstar, cstar, flag_mask, kernel_gs_base, sysenter_cs, sysenter_rsp, sysenter_rip;
        uint64_t pat, tsc_aux, tsc_offset, misc_enable;
        unsigned cpl;
        enum decode_mode mode;

        bool shadow; /* the next instruction comes before any interrupt */
        bool nmi_masked, nmi_pending;
        bool halted, waits_for_start;
        bool has_vector; /* an interrupt was given by interrupt(); taken before the next instruction */
        uint8_t vector;
        bool wants_window, priority_lowered;
        atomic_bool kicked;
        uint64_t instructions; /* executed so far */

        struct {
                bool has_code;
                uint8_t vector;
                uint32_t code;
                uint64_t address; /* of a page fault */
        } fault;
        struct engine_exit *exit;
        struct device_access accesses[DEVICE_ACCESSES_MAX];
        unsigned accesses_done, accesses_used;
        uint8_t refused;
        struct checkpoint checkpoint;
        bool delivers; /* an exception or interrupt is on its way to its handler */
        char failure[160];

        struct tlb_entry tlb[RIGHTS][ACCESSES][TLB_ENTRIES];
        struct linear_range large[2]; /* of pages above 4 KiB that the table has parts of: lower and upper half */
        struct blocks *blocks;
        struct thunk *thunk;
        sigjmp_buf unwind;
        uint8_t floating_point[CPU_XSAVE_SIZE] __attribute__((aligned(64)));
};

/* Leaves the instruction under way. */
noreturn void vcpu_unwind(struct vcpu *vcpu, enum unwind why);
noreturn void vcpu_fault(struct vcpu *vcpu, enum exception exception);
noreturn void vcpu_fault_code(struct vcpu *vcpu, enum exception exception, uint32_t code);

/* From here on until the end of the instruction, leaving it puts stack pointer, flags, segments and level back. */
void vcpu_checkpoint(struct vcpu *vcpu);
/* What this engine cannot do, in words: the vcpu's run() ends with ENGINE_EXIT_FAILED. */
noreturn void vcpu_cannot(struct vcpu *vcpu, const char *what);

/* After a change of CS, CR0, EFER or RFLAGS.VM: mode and level follow from them. */
void vcpu_find_mode(struct vcpu *vcpu);

static inline bool vcpu_protected(const struct vcpu *vcpu)
{
        return vcpu->cr0 & CR0_PE && !(vcpu->flags & FLAG_VM);
}

static inline bool vcpu_long(const struct vcpu *vcpu)
{
        return vcpu->efer & EFER_LMA;
}

static inline uint64_t size_mask(unsigned size)
{
        return size >= 8 ? UINT64_MAX : (1ULL << 8 * size) - 1;
}
