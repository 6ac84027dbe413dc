/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "engine/soft/interpreter.h"

#include <stdio.h>

#include "engine/soft/blocks.h"
#include "engine/soft/engine_private.h"
#include "engine/soft/handlers.h"
#include "engine/soft/interrupt.h"

/* ---- Leaving an instruction ---- */

void vcpu_unwind(struct vcpu *vcpu, enum unwind why)
{
        if (vcpu->checkpoint.taken) {
                const struct checkpoint *saved = &vcpu->checkpoint;
                vcpu->registers[CPU_RSP] = saved->rsp;
                vcpu->flags = saved->flags;
                for (unsigned i = 0; i < CPU_SEGMENTS; i++)
                        vcpu->segments[i] = saved->segments[i];
                vcpu->cpl = saved->cpl;
                vcpu->mode = saved->mode;
                vcpu->checkpoint.taken = false;
        }
        vcpu->accesses_used = 0;
        vcpu->delivers = false;
        siglongjmp(vcpu->unwind, why);
}

void vcpu_checkpoint(struct vcpu *vcpu)
{
        struct checkpoint *saved = &vcpu->checkpoint;
        if (saved->taken)
                return;
        *saved = (struct checkpoint){ true, vcpu->registers[CPU_RSP], vcpu->flags, { { 0 } }, vcpu->cpl, vcpu->mode };
        for (unsigned i = 0; i < CPU_SEGMENTS; i++)
                saved->segments[i] = vcpu->segments[i];
}

void vcpu_fault(struct vcpu *vcpu, enum exception exception)
{
        vcpu->fault.vector = exception;
        vcpu->fault.has_code = false;
        vcpu->fault.code = 0;
        vcpu_unwind(vcpu, UNWIND_FAULT);
}

void vcpu_fault_code(struct vcpu *vcpu, enum exception exception, uint32_t code)
{
        vcpu->fault.vector = exception;
        vcpu->fault.has_code = vcpu->cr0 & CR0_PE;
        vcpu->fault.code = code;
        vcpu_unwind(vcpu, UNWIND_FAULT);
}

void vcpu_cannot(struct vcpu *vcpu, const char *what)
{
        snprintf(vcpu->failure, sizeof(vcpu->failure),
                 "the software CPU does not have %s, which the guest used at %04x:%llx", what,
                 vcpu->segments[CPU_CS].selector, (unsigned long long)vcpu->rip);
        vcpu->exit->kind = ENGINE_EXIT_FAILED;
        vcpu_unwind(vcpu, UNWIND_EXIT);
}

void vcpu_find_mode(struct vcpu *vcpu)
{
        uint16_t code = vcpu->segments[CPU_CS].attributes;
        if (!vcpu_protected(vcpu))
                vcpu->mode = vcpu->cr0 & CR0_PE || !(code & SEGMENT_DEFAULT_32) ? DECODE_16 : DECODE_32;
        else if (vcpu_long(vcpu) && code & SEGMENT_LONG)
                vcpu->mode = DECODE_64;
        else
                vcpu->mode = code & SEGMENT_DEFAULT_32 ? DECODE_32 : DECODE_16;
}

/* ---- The table of handlers ---- */

static void undefined(struct vcpu *vcpu, const struct instruction *in)
{
        (void)in;
        vcpu_fault(vcpu, EXCEPTION_UD);
}

void handlers_fill(handler table[OPERATION_COUNT])
{
        static const struct handler_row *const families[] = { integer_handlers, control_handlers, string_handlers,
                                                              system_handlers,  segment_handlers, far_handlers,
                                                              vector_handlers };
        for (unsigned i = 0; i < OPERATION_COUNT; i++)
                table[i] = undefined;
        for (size_t i = 0; i < sizeof(families) / sizeof(families[0]); i++)
                for (const struct handler_row *row = families[i]; row->run; row++)
                        table[row->operation] = row->run;
}

/* ---- Events ---- */

static void deliver(struct vcpu *vcpu, const struct event *event)
{
        vcpu->next_rip = vcpu->rip;
        vcpu->shadow = false;
        vcpu->delivers = true;
        interrupt_enter(vcpu, event);
        vcpu->delivers = false;
        vcpu->checkpoint.taken = false;
        vcpu->rip = vcpu->next_rip;
        vcpu->halted = false;
}

/* The fault that the last unwinding brought. A fault on the way to its handler may make it a double or a triple one. */
static bool deliver_fault(struct vcpu *vcpu)
{
        struct event event = { .kind = EVENT_EXCEPTION,
                               .vector = vcpu->fault.vector,
                               .has_code = vcpu->fault.has_code,
                               .code = vcpu->fault.code,
                               .rip = vcpu->rip };
        if (event.vector == EXCEPTION_PF)
                vcpu->cr2 = vcpu->fault.address;
        for (;;) {
                enum unwind why = (enum unwind)sigsetjmp(vcpu->unwind, 0);
                if (why == UNWIND_NONE) {
                        deliver(vcpu, &event);
                        return true;
                }
                if (why == UNWIND_EXIT)
                        return false;
                if (event.vector == EXCEPTION_DF) {
                        vcpu->exit->kind = ENGINE_EXIT_SHUTDOWN;
                        return false;
                }
                if (vcpu->fault.vector == EXCEPTION_PF)
                        vcpu->cr2 = vcpu->fault.address;
                if (interrupt_doubles(event.vector, vcpu->fault.vector)) {
                        event.vector = EXCEPTION_DF;
                        event.has_code = vcpu->cr0 & CR0_PE;
                        event.code = 0;
                } else {
                        event.vector = vcpu->fault.vector;
                        event.has_code = vcpu->fault.has_code;
                        event.code = vcpu->fault.code;
                }
        }
}

static bool may_interrupt(const struct vcpu *vcpu)
{
        return vcpu->flags & FLAG_IF && !vcpu->shadow;
}

/* What comes between two instructions. Returns false where run() is to return. */
static bool attend(struct vcpu *vcpu)
{
        struct engine_exit *exit = vcpu->exit;
        if (atomic_exchange_explicit(&vcpu->kicked, false, memory_order_acquire)) {
                exit->kind = ENGINE_EXIT_KICKED;
                return false;
        }
        if (vcpu->nmi_pending && !vcpu->nmi_masked && !vcpu->shadow) {
                vcpu->nmi_pending = false;
                vcpu->nmi_masked = true;
                deliver(vcpu, &(struct event){ .kind = EVENT_EXTERNAL, .vector = EXCEPTION_NMI, .rip = vcpu->rip });
        }
        if (vcpu->has_vector && may_interrupt(vcpu)) {
                vcpu->has_vector = false;
                deliver(vcpu, &(struct event){ .kind = EVENT_EXTERNAL, .vector = vcpu->vector, .rip = vcpu->rip });
        }
        if (vcpu->wants_window && !vcpu->has_vector && may_interrupt(vcpu)) {
                vcpu->wants_window = false;
                exit->kind = ENGINE_EXIT_WINDOW;
                return false;
        }
        if (vcpu->halted) {
                exit->kind = ENGINE_EXIT_HALT;
                return false;
        }
        if (vcpu->priority_lowered) {
                vcpu->priority_lowered = false;
                exit->kind = ENGINE_EXIT_PRIORITY;
                return false;
        }
        return true;
}

/* ---- Instructions ---- */

static void execute(struct vcpu *vcpu, const struct instruction *in)
{
        static const uint64_t masks[] = {
                [DECODE_16] = UINT16_MAX, [DECODE_32] = UINT32_MAX, [DECODE_64] = UINT64_MAX
        };
        vcpu->next_rip = (vcpu->rip + in->length) & masks[vcpu->mode];
        vcpu->engine->handlers[in->operation](vcpu, in);
        vcpu->rip = vcpu->next_rip;
        vcpu->checkpoint.taken = false;
        vcpu->accesses_done = vcpu->accesses_used = 0;
        vcpu->instructions++;
}

/* A single step is through: APM vol. 2, section 13.1.4. */
static void trap_step(struct vcpu *vcpu)
{
        vcpu->dr6 |= 1 << 14;
        deliver(vcpu, &(struct event){ .kind = EVENT_EXCEPTION, .vector = EXCEPTION_DB, .rip = vcpu->rip });
}

/* TF counts as it was before the instruction, but for those that enter a handler; after a load of SS the trap waits. */
static bool steps_after(const struct vcpu *vcpu, const struct instruction *in)
{
        bool loads_ss = (in->operation == OPERATION_MOV_TO_SEGMENT || in->operation == OPERATION_POP_SEGMENT) &&
                        in->operands[0].index == CPU_SS && vcpu->shadow;
        bool loads_flags = in->operation == OPERATION_POPF || in->operation == OPERATION_IRET;
        return !loads_ss && (loads_flags || vcpu->flags & FLAG_TF);
}

/* One instruction, where something may come after each. */
static void run_single(struct vcpu *vcpu)
{
        bool steps = vcpu->flags & FLAG_TF, shadow = vcpu->shadow;
        const struct block *block = blocks_find(vcpu);
        execute(vcpu, &block->instructions[0]);
        if (shadow)
                vcpu->shadow = false;
        if (steps && steps_after(vcpu, &block->instructions[0]))
                trap_step(vcpu);
}

static void run_block(struct vcpu *vcpu)
{
        const struct block *block = blocks_find(vcpu);
        for (unsigned i = 0; i < block->count; i++) {
                execute(vcpu, &block->instructions[i]);
                if (!block_is_valid(block))
                        break;
        }
}

static bool run_some(struct vcpu *vcpu)
{
        for (;;) {
                /* An instruction that waited for a device comes to its end before anything else. */
                if (!vcpu->accesses_done && !attend(vcpu))
                        return false;
                if (vcpu->accesses_done || vcpu->shadow || vcpu->flags & FLAG_TF)
                        run_single(vcpu);
                else
                        run_block(vcpu);
        }
}

void interpreter_run(struct vcpu *vcpu, struct engine_exit *exit)
{
        *exit = (struct engine_exit){ .kind = ENGINE_EXIT_KICKED };
        vcpu->exit = exit;
        for (;;) {
                enum unwind why = (enum unwind)sigsetjmp(vcpu->unwind, 0);
                if (why == UNWIND_EXIT)
                        break;
                if (why == UNWIND_FAULT) {
                        vcpu->accesses_done = 0;
                        if (!deliver_fault(vcpu))
                                break;
                        continue;
                }
                if (!run_some(vcpu))
                        break;
        }
        exit->task_priority = (uint8_t)vcpu->cr8;
        exit->apic_base = vcpu->apic_base;
}

enum unwind interpreter_try(struct vcpu *vcpu, struct engine_exit *exit)
{
        vcpu->exit = exit;
        enum unwind why = (enum unwind)sigsetjmp(vcpu->unwind, 0);
        if (why != UNWIND_NONE)
                return why;
        run_single(vcpu);
        return UNWIND_NONE;
}
