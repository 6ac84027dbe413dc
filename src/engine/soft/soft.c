/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "engine/soft/soft.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "engine/soft/blocks.h"
#include "engine/soft/engine_private.h"
#include "engine/soft/interpreter.h"
#include "engine/soft/memory.h"
#include "engine/soft/msr.h"
#include "engine/soft/thunk.h"

/* ---- The engine ---- */

static void soft_close(struct engine *engine)
{
        for (unsigned i = 0; i < GUEST_MEMORY_REGIONS_MAX; i++)
                free(engine->pages[i]);
        free(engine);
}

static int soft_open(const struct engine_settings *settings, struct engine **result, struct error *err)
{
        struct engine *engine = calloc(1, sizeof(*engine));
        if (!engine)
                return error_memory(err);
        engine->cpus = topology_cpus(&settings->topology);
        handlers_fill(engine->handlers);
        *result = engine;
        return 0;
}

static unsigned soft_has(const struct engine *engine)
{
        (void)engine;
        return 0;
}

static int soft_map(struct engine *engine, const struct guest_memory *memory, struct error *err)
{
        engine->memory = memory;
        for (unsigned i = 0; i < memory->count; i++) {
                uint64_t pages = memory->regions[i].length / GUEST_PAGE_SIZE;
                engine->pages[i] = calloc(pages, sizeof(*engine->pages[i]));
                if (!engine->pages[i])
                        return error_memory(err);
                for (uint64_t page = 0; page < pages; page++)
                        engine->pages[i][page].version = 1;
        }
        return 0;
}

/* Without controllers there are no lines and no messages to them. */
static int soft_interrupt_line(struct engine *engine, unsigned line, bool raised)
{
        (void)engine;
        (void)line;
        (void)raised;
        return -ENOTSUP;
}

static int soft_message_interrupt(struct engine *engine, uint64_t address, uint32_t data)
{
        (void)engine;
        (void)address;
        (void)data;
        return -ENOTSUP;
}

static int soft_chips(struct engine *engine, struct error *err)
{
        (void)engine;
        return error_set(err, -ENOTSUP, "the software CPU has no interrupt controllers of its own");
}

static int soft_get_chips(struct engine *engine, struct chip_state *chips, struct error *err)
{
        (void)chips;
        return soft_chips(engine, err);
}

static int soft_set_chips(struct engine *engine, const struct chip_state *chips, struct error *err)
{
        (void)chips;
        return soft_chips(engine, err);
}

/* ---- CPUs ---- */

static void soft_vcpu_close(struct vcpu *vcpu)
{
        if (!vcpu)
                return;
        blocks_close(vcpu->blocks);
        thunk_close(vcpu->thunk);
        free(vcpu);
}

/* As after a reset: APM vol. 2, table 14-1. The first CPU is set up by the machine, the others wait for a start-up message. */
static void reset(struct vcpu *vcpu)
{
        struct cpu_state state;
        memset(&state, 0, sizeof(state));
        cpu_reset_floating_point(&state);
        memcpy(vcpu->floating_point, state.xsave, sizeof(vcpu->floating_point));
        vcpu->flags = RFLAGS_RESERVED;
        vcpu->cr0 = 0x60000010;
        vcpu->dr6 = 0xffff0ff0;
        vcpu->dr7 = 0x400;
        vcpu->pat = 0x0007040600070406;
        vcpu->apic_base = 0xfee00800 | (vcpu->number ? 0 : 0x100);
        vcpu->waits_for_start = vcpu->number;
        for (unsigned i = 0; i < CPU_SEGMENTS; i++)
                vcpu->segments[i] = (struct cpu_segment){ .limit = 0xffff, .attributes = 0x93 };
        vcpu->segments[CPU_CS] = (struct cpu_segment){ 0xffff0000, 0xffff, 0xf000, 0x9b };
        vcpu->rip = 0xfff0;
        vcpu_find_mode(vcpu);
        memory_flush(vcpu, true);
}

static int soft_vcpu_open(struct engine *engine, unsigned number, struct vcpu **result, struct error *err)
{
        struct vcpu *vcpu = aligned_alloc(64, (sizeof(*vcpu) + 63) / 64 * 64);
        if (!vcpu)
                return error_memory(err);
        memset(vcpu, 0, sizeof(*vcpu));
        vcpu->engine = engine;
        vcpu->number = number;
        int r = blocks_open(&vcpu->blocks, err);
        if (!r)
                r = thunk_open(&vcpu->thunk, err);
        if (r < 0) {
                soft_vcpu_close(vcpu);
                return r;
        }
        reset(vcpu);
        *result = vcpu;
        return 0;
}

/* The host's processor loads MXCSR as it is, and faults on bits that it does not know: APM vol. 1, section 4.2.2. */
static bool has_valid_mxcsr(const struct cpu_state *state)
{
        uint32_t mxcsr;
        memcpy(&mxcsr, state->xsave + 24, sizeof(mxcsr));
        return !(mxcsr >> 16);
}

/* Counters that were read one after the other are meant to be one; further apart than some second, they are the guest's wish. */
static void keep_time_in_step(struct vcpu *vcpu)
{
        const uint64_t second = 1ULL << 32; /* of ticks, or nearly */
        if (!vcpu->number) {
                atomic_store(&vcpu->engine->tsc_offset, vcpu->tsc_offset);
                return;
        }
        uint64_t first = atomic_load(&vcpu->engine->tsc_offset);
        if (vcpu->tsc_offset - first + second < 2 * second)
                vcpu->tsc_offset = first;
}

static int soft_set_state(struct vcpu *vcpu, const struct cpu_state *state, struct error *err)
{
        if (!has_valid_mxcsr(state))
                return error_set(err, -EINVAL, "the state of CPU %u has bits in MXCSR that no processor has",
                                 vcpu->number);
        memcpy(vcpu->registers, state->registers, sizeof(vcpu->registers));
        memcpy(vcpu->segments, state->segments, sizeof(vcpu->segments));
        memcpy(vcpu->debug, state->debug, sizeof(vcpu->debug));
        memcpy(vcpu->floating_point, state->xsave, sizeof(vcpu->floating_point));
        vcpu->rip = state->rip;
        vcpu->flags = state->rflags | RFLAGS_RESERVED;
        vcpu->gdt = state->gdt;
        vcpu->idt = state->idt;
        vcpu->cr0 = state->cr0;
        vcpu->cr2 = state->cr2;
        vcpu->cr3 = state->cr3;
        vcpu->cr4 = state->cr4;
        vcpu->cr8 = state->cr8;
        vcpu->efer = state->efer;
        vcpu->dr6 = state->dr6;
        vcpu->dr7 = state->dr7;
        if (state->apic_base)
                vcpu->apic_base = state->apic_base;
        for (unsigned i = 0; i < state->msr_count; i++)
                if (!msr_write(vcpu, state->msrs[i].index, state->msrs[i].value))
                        return error_set(err, -EINVAL, "the software CPU has no MSR %x, or it cannot be %llx",
                                         state->msrs[i].index, (unsigned long long)state->msrs[i].value);
        keep_time_in_step(vcpu);
        vcpu->shadow = state->events.interrupt_shadow;
        vcpu->nmi_pending = state->events.nmi_pending;
        vcpu->nmi_masked = state->events.nmi_masked;
        vcpu->has_vector = state->events.interrupt_injected;
        vcpu->vector = state->events.interrupt_vector;
        vcpu->halted = state->activity == CPU_HALTED;
        vcpu->waits_for_start = state->activity == CPU_WAITS_FOR_SIPI || state->activity == CPU_WAITS_FOR_INIT;
        vcpu->accesses_done = vcpu->accesses_used = 0;
        vcpu->cpl = vcpu->flags & FLAG_VM ? 3 : vcpu->segments[CPU_SS].attributes >> SEGMENT_DPL_SHIFT & 3;
        if (!(vcpu->cr0 & CR0_PE))
                vcpu->cpl = 0;
        vcpu_find_mode(vcpu);
        memory_flush(vcpu, true);
        return 0;
}

static int soft_get_state(struct vcpu *vcpu, struct cpu_state *state, struct error *err)
{
        (void)err;
        memset(state, 0, sizeof(*state));
        memcpy(state->registers, vcpu->registers, sizeof(state->registers));
        memcpy(state->segments, vcpu->segments, sizeof(state->segments));
        memcpy(state->debug, vcpu->debug, sizeof(state->debug));
        memcpy(state->xsave, vcpu->floating_point, sizeof(state->xsave));
        state->rip = vcpu->rip;
        state->rflags = vcpu->flags;
        state->gdt = vcpu->gdt;
        state->idt = vcpu->idt;
        state->cr0 = vcpu->cr0;
        state->cr2 = vcpu->cr2;
        state->cr3 = vcpu->cr3;
        state->cr4 = vcpu->cr4;
        state->cr8 = vcpu->cr8;
        state->efer = vcpu->efer;
        state->dr6 = vcpu->dr6;
        state->dr7 = vcpu->dr7;
        state->apic_base = vcpu->apic_base;
        state->xcr0 = 3;
        for (unsigned i = 0; msr_saved[i]; i++) {
                struct cpu_msr *msr = &state->msrs[state->msr_count++];
                msr->index = msr_saved[i];
                msr_read(vcpu, msr->index, &msr->value);
        }
        state->events.interrupt_shadow = vcpu->shadow;
        state->events.nmi_pending = vcpu->nmi_pending;
        state->events.nmi_masked = vcpu->nmi_masked;
        state->events.interrupt_injected = vcpu->has_vector;
        state->events.interrupt_vector = vcpu->vector;
        state->activity = vcpu->waits_for_start ? CPU_WAITS_FOR_SIPI : vcpu->halted ? CPU_HALTED : CPU_RUNNING;
        return 0;
}

static void soft_run(struct vcpu *vcpu, struct engine_exit *exit)
{
        if (!vcpu->waits_for_start) {
                interpreter_run(vcpu, exit);
                return;
        }
        *exit = (struct engine_exit){ .kind = atomic_exchange(&vcpu->kicked, false) ? ENGINE_EXIT_KICKED
                                                                                    : ENGINE_EXIT_HALT };
}

static void soft_kick(struct vcpu *vcpu)
{
        atomic_store_explicit(&vcpu->kicked, true, memory_order_release);
}

static void soft_was_paused(struct vcpu *vcpu)
{
        (void)vcpu; /* its guest has no clock that would tell it */
}

static bool soft_can_interrupt(const struct vcpu *vcpu)
{
        return !vcpu->has_vector && vcpu->flags & FLAG_IF && !vcpu->shadow && !vcpu->accesses_done;
}

static int soft_interrupt(struct vcpu *vcpu, uint8_t vector)
{
        if (!soft_can_interrupt(vcpu))
                return -EBUSY;
        vcpu->has_vector = true;
        vcpu->vector = vector;
        return 0;
}

static void soft_want_window(struct vcpu *vcpu, bool wanted)
{
        vcpu->wants_window = wanted;
}

static int soft_nmi(struct vcpu *vcpu)
{
        vcpu->nmi_pending = true;
        return 0;
}

static void soft_set_task_priority(struct vcpu *vcpu, uint8_t priority)
{
        vcpu->cr8 = priority;
}

static const char *soft_failure(const struct vcpu *vcpu)
{
        return vcpu->failure;
}

const struct engine_operations soft_engine = {
        .name = "soft",
        .open = soft_open,
        .close = soft_close,
        .has = soft_has,
        .map = soft_map,
        .interrupt_line = soft_interrupt_line,
        .message_interrupt = soft_message_interrupt,
        .get_chips = soft_get_chips,
        .set_chips = soft_set_chips,
        .vcpu_open = soft_vcpu_open,
        .vcpu_close = soft_vcpu_close,
        .set_state = soft_set_state,
        .get_state = soft_get_state,
        .run = soft_run,
        .kick = soft_kick,
        .was_paused = soft_was_paused,
        .can_interrupt = soft_can_interrupt,
        .interrupt = soft_interrupt,
        .want_window = soft_want_window,
        .nmi = soft_nmi,
        .set_task_priority = soft_set_task_priority,
        .failure = soft_failure,
};
