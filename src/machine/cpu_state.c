/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "machine/cpu_state.h"

#include <errno.h>
#include <stddef.h>

struct cpu_segment cpu_flat_segment(uint16_t selector, bool code)
{
        /* Types: code, readable, accessed; data, writable, accessed: APM vol. 2, tables 4-3 and 4-4. */
        unsigned attributes = (code ? 0xbu | SEGMENT_LONG : 0x3u | SEGMENT_DEFAULT_32) | SEGMENT_CODE_OR_DATA |
                              SEGMENT_PRESENT | SEGMENT_GRANULAR;
        return (struct cpu_segment){ .limit = UINT32_MAX, .selector = selector, .attributes = (uint16_t)attributes };
}

struct cpu_segment cpu_flat_task(uint16_t selector)
{
        /* A busy 64-bit task segment of the least length: APM vol. 2, table 4-6 and section 12.2.5. */
        return (struct cpu_segment){ .limit = 0x67, .selector = selector, .attributes = 0xb | SEGMENT_PRESENT };
}

void cpu_reset_floating_point(struct cpu_state *state)
{
        /*
         * In the legacy area of XSAVE: FCW at 0, MXCSR at 24; values of a reset: SDM vol. 1, sections 8.1.5 and
         * 10.2.3.
         */
        static const uint8_t control_word[] = { 0x7f, 0x03 }, mxcsr[] = { 0x80, 0x1f, 0, 0 };
        __builtin_memset(state->xsave, 0, sizeof(state->xsave));
        __builtin_memcpy(state->xsave, control_word, sizeof(control_word));
        __builtin_memcpy(state->xsave + 24, mxcsr, sizeof(mxcsr));
}

uint64_t *cpu_state_msr(struct cpu_state *state, uint32_t index)
{
        for (unsigned i = 0; i < state->msr_count; i++)
                if (state->msrs[i].index == index)
                        return &state->msrs[i].value;
        return NULL;
}

/* ---- Saved state ---- */

#define CPU_STATE_VERSION 1

/* The flags of struct cpu_state in a word of the record, by bits from 0. */
static const size_t flag_offsets[] = {
        offsetof(struct cpu_state, events.exception_pending),  offsetof(struct cpu_state, events.exception_has_code),
        offsetof(struct cpu_state, events.interrupt_injected), offsetof(struct cpu_state, events.nmi_pending),
        offsetof(struct cpu_state, events.nmi_masked),         offsetof(struct cpu_state, events.interrupt_shadow),
        offsetof(struct cpu_state, events.interrupt_soft),     offsetof(struct cpu_state, events.nmi_injected),
        offsetof(struct cpu_state, events.start_up_pending),   offsetof(struct cpu_state, has_apic),
};

#define FLAGS (sizeof(flag_offsets) / sizeof(flag_offsets[0]))

/* 64-bit fields in the record's order. */
static const size_t word_offsets[] = {
        offsetof(struct cpu_state, rip),       offsetof(struct cpu_state, rflags),
        offsetof(struct cpu_state, gdt.base),  offsetof(struct cpu_state, idt.base),
        offsetof(struct cpu_state, cr0),       offsetof(struct cpu_state, cr2),
        offsetof(struct cpu_state, cr3),       offsetof(struct cpu_state, cr4),
        offsetof(struct cpu_state, cr8),       offsetof(struct cpu_state, efer),
        offsetof(struct cpu_state, apic_base), offsetof(struct cpu_state, xcr0),
        offsetof(struct cpu_state, debug[0]),  offsetof(struct cpu_state, debug[1]),
        offsetof(struct cpu_state, debug[2]),  offsetof(struct cpu_state, debug[3]),
        offsetof(struct cpu_state, dr6),       offsetof(struct cpu_state, dr7),
        offsetof(struct cpu_state, tsc_khz),   offsetof(struct cpu_state, tsc_read_at),
};

#define WORDS (sizeof(word_offsets) / sizeof(word_offsets[0]))

static const void *at(const struct cpu_state *state, size_t offset)
{
        return (const uint8_t *)state + offset;
}

static void save_segments(const struct cpu_state *state, struct state_writer *writer)
{
        for (unsigned i = 0; i < CPU_SEGMENTS; i++) {
                const struct cpu_segment *segment = &state->segments[i];
                state_u64(writer, segment->base);
                state_u32(writer, segment->limit);
                state_u32(writer, segment->selector | (uint32_t)segment->attributes << 16);
        }
        state_u32(writer, state->gdt.limit | (uint32_t)state->idt.limit << 16);
}

void cpu_state_save(const struct cpu_state *state, struct state_writer *writer)
{
        uint32_t flags = 0;
        for (unsigned i = 0; i < FLAGS; i++)
                flags |= *(const bool *)at(state, flag_offsets[i]) ? 1u << i : 0;

        state_begin(writer, "cpu", CPU_STATE_VERSION);
        for (unsigned i = 0; i < CPU_REGISTERS; i++)
                state_u64(writer, state->registers[i]);
        for (unsigned i = 0; i < WORDS; i++)
                state_u64(writer, *(const uint64_t *)at(state, word_offsets[i]));
        save_segments(state, writer);
        state_u32(writer, flags);
        state_u32(writer, state->events.exception_vector | (uint32_t)state->events.interrupt_vector << 8 |
                                  (uint32_t)state->events.start_up_vector << 16);
        state_u32(writer, state->events.exception_code);
        state_u32(writer, state->activity);
        for (unsigned i = 0; i < CPU_APIC_REGISTERS; i++)
                state_u32(writer, state->apic[i]);
        state_u32(writer, state->msr_count);
        for (unsigned i = 0; i < state->msr_count; i++) {
                state_u32(writer, state->msrs[i].index);
                state_u64(writer, state->msrs[i].value);
        }
        state_bytes(writer, state->xsave, sizeof(state->xsave));
        state_end(writer);
}

static void take_segments(struct cpu_state *state, struct state_reader *reader)
{
        for (unsigned i = 0; i < CPU_SEGMENTS; i++) {
                struct cpu_segment *segment = &state->segments[i];
                segment->base = state_take_u64(reader);
                segment->limit = state_take_u32(reader);
                uint32_t word = state_take_u32(reader);
                segment->selector = (uint16_t)word;
                segment->attributes = (uint16_t)(word >> 16);
        }
        uint32_t limits = state_take_u32(reader);
        state->gdt.limit = (uint16_t)limits;
        state->idt.limit = (uint16_t)(limits >> 16);
}

static int take(struct cpu_state *state, struct state_reader *reader)
{
        for (unsigned i = 0; i < CPU_REGISTERS; i++)
                state->registers[i] = state_take_u64(reader);
        for (unsigned i = 0; i < WORDS; i++)
                *(uint64_t *)((uint8_t *)state + word_offsets[i]) = state_take_u64(reader);
        take_segments(state, reader);
        uint32_t flags = state_take_u32(reader), vectors = state_take_u32(reader);
        for (unsigned i = 0; i < FLAGS; i++)
                *((bool *)state + flag_offsets[i]) = flags & 1u << i;
        state->events.exception_vector = (uint8_t)vectors;
        state->events.interrupt_vector = (uint8_t)(vectors >> 8);
        state->events.start_up_vector = (uint8_t)(vectors >> 16);
        state->events.exception_code = state_take_u32(reader);
        uint32_t activity = state_take_u32(reader);
        for (unsigned i = 0; i < CPU_APIC_REGISTERS; i++)
                state->apic[i] = state_take_u32(reader);
        uint32_t count = state_take_u32(reader);
        if (flags >> FLAGS || vectors >> 24 || activity >= CPU_ACTIVITIES || count > CPU_MSRS_MAX)
                return -EINVAL;
        state->activity = (enum cpu_activity)activity;
        state->msr_count = count;
        for (unsigned i = 0; i < count; i++) {
                state->msrs[i].index = state_take_u32(reader);
                state->msrs[i].value = state_take_u64(reader);
        }
        state_take(reader, state->xsave, sizeof(state->xsave));
        return state_close(reader);
}

int cpu_state_restore(struct cpu_state *state, struct state_reader *reader)
{
        int r = state_open(reader, "cpu", CPU_STATE_VERSION);
        if (r < 0)
                return r;
        struct cpu_state taken = { 0 };
        r = take(&taken, reader);
        if (!r)
                *state = taken;
        return r;
}

void cpu_enter_protected_mode(struct cpu_state *state, uint64_t rip)
{
        *state = (struct cpu_state){ .rip = rip, .rflags = RFLAGS_RESERVED, .cr0 = CR0_PE | CR0_ET, .xcr0 = 1 };
        for (unsigned i = CPU_ES; i <= CPU_GS; i++) {
                struct cpu_segment *segment = &state->segments[i];
                /* The selectors of Linux' and Xen's protocols; none of them may be loaded before there is a table. */
                *segment = cpu_flat_segment(i == CPU_CS ? 0x10 : 0x18, i == CPU_CS);
                segment->attributes = (uint16_t)((segment->attributes & ~SEGMENT_LONG) | SEGMENT_DEFAULT_32);
        }
        state->segments[CPU_TR] = cpu_flat_task(0);
        cpu_reset_floating_point(state);
}

void cpu_reset(struct cpu_state *state)
{
        enum { CR0_CD_NW = 0x60000000, TYPE_LDT = 0x2, TYPE_TASK_BUSY = 0xb };
        *state = (struct cpu_state){ .rip = 0xfff0, .rflags = RFLAGS_RESERVED, .cr0 = CR0_ET | CR0_CD_NW, .xcr0 = 1 };
        for (unsigned i = CPU_ES; i <= CPU_GS; i++)
                state->segments[i] = (struct cpu_segment){
                        .limit = 0xffff,
                        .attributes = (i == CPU_CS ? 0xb : 0x3) | SEGMENT_CODE_OR_DATA | SEGMENT_PRESENT,
                };
        state->segments[CPU_CS].selector = 0xf000;
        state->segments[CPU_CS].base = 0xffff0000;
        state->segments[CPU_LDTR] = (struct cpu_segment){ .limit = 0xffff, .attributes = TYPE_LDT | SEGMENT_PRESENT };
        state->segments[CPU_TR] =
                (struct cpu_segment){ .limit = 0xffff, .attributes = TYPE_TASK_BUSY | SEGMENT_PRESENT };
        state->gdt.limit = state->idt.limit = 0xffff;
        cpu_reset_floating_point(state);
}
