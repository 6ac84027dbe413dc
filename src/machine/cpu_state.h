/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The architectural state of one virtual CPU, the same for every engine: AMD64 APM vol. 2 (24593), Intel SDM vol. 3.
 *
 * Whoever sets a CPU up or saves it fills or reads this struct; an engine turns it into its own form with
 * set_state() and back with get_state() while the CPU is out of the guest. So a machine that was saved under one
 * engine goes on under another.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

/* Order of the encoding in ModRM and REX: APM vol. 3, table 1-10. */
enum cpu_register {
        CPU_RAX,
        CPU_RCX,
        CPU_RDX,
        CPU_RBX,
        CPU_RSP,
        CPU_RBP,
        CPU_RSI,
        CPU_RDI,
        CPU_R8,
        CPU_R9,
        CPU_R10,
        CPU_R11,
        CPU_R12,
        CPU_R13,
        CPU_R14,
        CPU_R15,
        CPU_REGISTERS,
};

/* Order of the encoding of segment registers: APM vol. 3, table A-6. */
enum cpu_segment_register { CPU_ES, CPU_CS, CPU_SS, CPU_DS, CPU_FS, CPU_GS, CPU_LDTR, CPU_TR, CPU_SEGMENTS };

struct cpu_segment {
        uint64_t base;
        uint32_t limit; /* in bytes, granularity applied */
        uint16_t selector;
        uint16_t attributes; /* bits 40-47 and 52-55 of the descriptor, as in the VMCB: APM vol. 2, section 15.5.1 */
};

/* Bits of `attributes`. */
enum {
        SEGMENT_TYPE = 0x00f,
        SEGMENT_CODE_OR_DATA = 0x010,
        SEGMENT_DPL_SHIFT = 5,
        SEGMENT_PRESENT = 0x080,
        SEGMENT_AVAILABLE = 0x100,
        SEGMENT_LONG = 0x200,
        SEGMENT_DEFAULT_32 = 0x400,
        SEGMENT_GRANULAR = 0x800,
};

struct cpu_table {
        uint64_t base;
        uint16_t limit;
};

struct cpu_msr {
        uint32_t index;
        uint64_t value;
};

#define CPU_MSRS_MAX 64
/* x87, SSE, AVX and AVX-512 in the standard form of XSAVE: SDM vol. 1, section 13.4. */
#define CPU_XSAVE_SIZE 4096

/* What was on its way into the CPU when it stopped: APM vol. 2, chapter 8. */
struct cpu_events {
        bool exception_pending, exception_has_code, interrupt_injected, nmi_pending, nmi_masked, interrupt_shadow;
        uint8_t exception_vector, interrupt_vector;
        uint32_t exception_code;
};

enum cpu_activity { CPU_RUNNING, CPU_HALTED, CPU_WAITS_FOR_SIPI };

struct cpu_state {
        uint64_t registers[CPU_REGISTERS];
        uint64_t rip, rflags;
        struct cpu_segment segments[CPU_SEGMENTS];
        struct cpu_table gdt, idt;
        uint64_t cr0, cr2, cr3, cr4, cr8, efer, apic_base, xcr0;
        uint64_t debug[4], dr6, dr7;
        unsigned msr_count;
        struct cpu_msr msrs[CPU_MSRS_MAX];
        struct cpu_events events;
        enum cpu_activity activity;
        uint8_t xsave[CPU_XSAVE_SIZE] __attribute__((aligned(64)));
};

/* Bits of the control registers: APM vol. 2, sections 3.1.1 to 3.1.7. */
enum {
        CR0_PE = 1 << 0,
        CR0_MP = 1 << 1,
        CR0_ET = 1 << 4,
        CR0_NE = 1 << 5,
        CR0_WP = 1 << 16,
        CR4_PAE = 1 << 5,
        CR4_OSFXSR = 1 << 9,
        CR4_OSXMMEXCPT = 1 << 10,
        EFER_SCE = 1 << 0,
        EFER_LME = 1 << 8,
        EFER_LMA = 1 << 10,
        EFER_NXE = 1 << 11,
};
#define CR0_PG          (1ULL << 31)
#define RFLAGS_RESERVED 0x2ULL /* bit 1 is always set: APM vol. 2, section 3.1.6 */

/* A flat 4 GiB segment of level 0: 64-bit code, or data. */
struct cpu_segment cpu_flat_segment(uint16_t selector, bool code);
/* A task register that a processor accepts and that leads nowhere. */
struct cpu_segment cpu_flat_task(uint16_t selector);
/* x87 and SSE as after a reset. */
void cpu_reset_floating_point(struct cpu_state *state);
