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

#include "machine/state.h"

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

/* Linux's KVM lists about 140 for a processor of today. */
#define CPU_MSRS_MAX 320
#define MSR_TSC      0x10
/* x87, SSE, AVX and AVX-512 in the standard form of XSAVE: SDM vol. 1, section 13.4. */
#define CPU_XSAVE_SIZE 4096

/* Registers of the local APIC, a 32-bit one every 16 bytes of its page: SDM vol. 3A, table 11-1. */
#define CPU_APIC_REGISTERS 64

/* What was on its way into the CPU when it stopped: APM vol. 2, chapter 8. */
struct cpu_events {
        bool exception_pending, exception_has_code, interrupt_injected, nmi_pending, nmi_masked, interrupt_shadow;
        bool interrupt_soft;   /* by an INT instruction */
        bool nmi_injected;     /* on its way in, not only waiting */
        bool start_up_pending; /* a start-up message came; its vector: */
        uint8_t start_up_vector;
        uint8_t exception_vector, interrupt_vector;
        uint32_t exception_code;
};

enum cpu_activity { CPU_RUNNING, CPU_HALTED, CPU_WAITS_FOR_SIPI, CPU_WAITS_FOR_INIT, CPU_ACTIVITIES };

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
        bool has_apic;                     /* the engine has the local APIC; its registers: */
        uint32_t apic[CPU_APIC_REGISTERS]; /* by offset / 16 */
        /* With MSR_TSC: its rate, and the time of day (nanoseconds since 1970) at which it was read. 0: not known. */
        uint64_t tsc_khz, tsc_read_at;
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

void cpu_state_save(const struct cpu_state *state, struct state_writer *writer);
/*
 * 0, or -EINVAL or -ENOTSUP as state_open(); *state is whole or untouched. Counts and numbers are within their ranges;
 * what the registers hold is the engine's to judge.
 */
int cpu_state_restore(struct cpu_state *state, struct state_reader *reader);
/* Value of an MSR in *state, or NULL. */
uint64_t *cpu_state_msr(struct cpu_state *state, uint32_t index);
/* Flat 32-bit segments without paging, as boot protocols for 32-bit kernels have it. */
void cpu_enter_protected_mode(struct cpu_state *state, uint64_t rip);
/* What a processor has after a reset, about to fetch from 0xfffffff0: APM vol. 2, section 14.1.3. */
void cpu_reset(struct cpu_state *state);
