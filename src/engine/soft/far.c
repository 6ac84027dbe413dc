/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Far transfers, returns and software interrupts: AMD64 APM vol. 2, sections 4.10 and 8.9; vol. 3, CALL, JMP, RET, IRET. */
#include "engine/soft/handlers.h"
#include "engine/soft/interrupt.h"
#include "engine/soft/memory.h"
#include "engine/soft/operand.h"
#include "engine/soft/segment.h"

struct far_target {
        uint16_t selector;
        uint64_t offset;
};

static struct far_target target_of(struct vcpu *vcpu, const struct instruction *in)
{
        if (in->operands[0].kind == OPERAND_IMMEDIATE_2)
                return (struct far_target){ in->immediate_2, (uint64_t)in->immediate };
        unsigned size = in->operand_size;
        uint64_t linear = operand_linear(vcpu, in, size + 2, ACCESS_READ);
        uint64_t offset = memory_read(vcpu, linear, size);
        return (struct far_target){ (uint16_t)memory_read(vcpu, linear + size, 2), offset };
}

static void check_offset(struct vcpu *vcpu, uint64_t offset)
{
        bool valid = vcpu->mode == DECODE_64 ? (uint64_t)((int64_t)(offset << 16) >> 16) == offset
                                             : offset <= vcpu->segments[CPU_CS].limit;
        if (!valid)
                vcpu_fault_code(vcpu, EXCEPTION_GP, 0);
}

/* The code descriptor of a direct jump or call, checked. */
static struct descriptor direct_code(struct vcpu *vcpu, uint16_t selector)
{
        uint16_t name = selector & (uint16_t)~SELECTOR_RPL;
        if (!name)
                vcpu_fault_code(vcpu, EXCEPTION_GP, 0);
        struct descriptor code = descriptor_read(vcpu, selector, EXCEPTION_GP);
        unsigned type = descriptor_type(&code), level = descriptor_level(&code);
        bool is_long = vcpu_long(vcpu), is_gate = type == 12 || (!is_long && (type == 4 || type == 5));
        bool may_use = level >= vcpu->cpl && level >= (selector & SELECTOR_RPL);
        if (may_use && (is_gate || (!is_long && (type == 1 || type == 9))))
                vcpu_cannot(vcpu, "a far transfer through a gate or task segment");
        bool is_code = (type & 0x18) == 0x18, conforming = type & 4;
        bool is_64 = code.low >> 53 & 1, is_32 = code.low >> 54 & 1;
        bool allowed = conforming ? level <= vcpu->cpl : level == vcpu->cpl && (selector & SELECTOR_RPL) <= vcpu->cpl;
        if (!is_code || !allowed || (is_long && is_64 && is_32))
                vcpu_fault_code(vcpu, EXCEPTION_GP, name);
        if (!descriptor_present(&code))
                vcpu_fault_code(vcpu, EXCEPTION_NP, name);
        return code;
}

static void enter_code(struct vcpu *vcpu, const struct far_target *target, unsigned size)
{
        if (vcpu_protected(vcpu)) {
                struct descriptor code = direct_code(vcpu, target->selector);
                segment_load_code(vcpu, target->selector, &code, vcpu->cpl);
        } else {
                segment_load_real(vcpu, CPU_CS, target->selector);
        }
        uint64_t offset = target->offset & size_mask(size);
        check_offset(vcpu, offset);
        vcpu->next_rip = offset;
}

static void jump_far(struct vcpu *vcpu, const struct instruction *in)
{
        struct far_target target = target_of(vcpu, in);
        vcpu_checkpoint(vcpu);
        enter_code(vcpu, &target, in->operand_size);
}

static void call_far(struct vcpu *vcpu, const struct instruction *in)
{
        struct far_target target = target_of(vcpu, in);
        uint64_t from = vcpu->next_rip;
        uint16_t selector = vcpu->segments[CPU_CS].selector;
        vcpu_checkpoint(vcpu);
        if (vcpu_protected(vcpu))
                direct_code(vcpu, target.selector);
        stack_push(vcpu, in->operand_size, selector);
        stack_push(vcpu, in->operand_size, from);
        enter_code(vcpu, &target, in->operand_size);
}

/* ---- Returns ---- */

struct far_return {
        uint64_t rip, rsp, flags;
        uint16_t cs, ss;
        bool has_stack;
};

static void return_to_level(struct vcpu *vcpu, const struct far_return *back)
{
        uint16_t name = back->cs & (uint16_t)~SELECTOR_RPL;
        unsigned level = back->cs & SELECTOR_RPL;
        if (!name || level < vcpu->cpl)
                vcpu_fault_code(vcpu, EXCEPTION_GP, name);
        struct descriptor code = descriptor_read(vcpu, back->cs, EXCEPTION_GP);
        unsigned type = descriptor_type(&code), own = descriptor_level(&code);
        bool is_code = (type & 0x18) == 0x18, conforming = type & 4;
        bool is_64 = code.low >> 53 & 1, is_32 = code.low >> 54 & 1;
        if (!is_code || (conforming ? own > level : own != level) || (vcpu_long(vcpu) && is_64 && is_32))
                vcpu_fault_code(vcpu, EXCEPTION_GP, name);
        if (!descriptor_present(&code))
                vcpu_fault_code(vcpu, EXCEPTION_NP, name);
        bool outward = level != vcpu->cpl;
        segment_load_code(vcpu, back->cs, &code, level);
        if (back->has_stack) {
                segment_load_stack(vcpu, back->ss, level, EXCEPTION_GP);
                unsigned width = vcpu->mode == DECODE_64 || vcpu_long(vcpu)               ? 8
                                 : vcpu->segments[CPU_SS].attributes & SEGMENT_DEFAULT_32 ? 4
                                                                                          : 2;
                register_write(vcpu, CPU_RSP, width, back->rsp);
        }
        if (outward)
                segment_drop_inner(vcpu);
        check_offset(vcpu, back->rip);
        vcpu->next_rip = back->rip;
}

static void return_far(struct vcpu *vcpu, const struct instruction *in)
{
        unsigned size = in->operand_size;
        uint64_t drop = in->immediate & 0xffff;
        struct far_return back = { .rip = stack_peek(vcpu, size, 0), .cs = (uint16_t)stack_peek(vcpu, size, size) };
        vcpu_checkpoint(vcpu);
        if (!vcpu_protected(vcpu)) {
                segment_load_real(vcpu, CPU_CS, back.cs);
                check_offset(vcpu, back.rip);
                stack_move(vcpu, (int64_t)(2 * size + drop));
                vcpu->next_rip = back.rip;
                return;
        }
        back.has_stack = (back.cs & SELECTOR_RPL) > vcpu->cpl;
        if (back.has_stack) {
                back.rsp = stack_peek(vcpu, size, 2 * size + drop) + drop;
                back.ss = (uint16_t)stack_peek(vcpu, size, 3 * size + drop);
        } else {
                stack_move(vcpu, (int64_t)(2 * size + drop));
        }
        return_to_level(vcpu, &back);
}

/* Which flags IRET and POPF may change: APM vol. 3, IRET. RF would hold back breakpoints, of which there are none. */
static void load_flags(struct vcpu *vcpu, uint64_t flags, unsigned size, unsigned level)
{
        uint64_t changes = FLAGS_ARITHMETIC | FLAG_TF | FLAG_DF | FLAG_NT;
        if (size >= 4)
                changes |= FLAG_AC | FLAG_ID;
        if (level <= (vcpu->flags & FLAG_IOPL) >> 12)
                changes |= FLAG_IF;
        if (!level)
                changes |= FLAG_IOPL | (size >= 4 ? FLAG_VIF | FLAG_VIP : 0);
        vcpu->flags = (vcpu->flags & ~changes) | (flags & changes) | RFLAGS_RESERVED;
}

static void return_to_virtual(struct vcpu *vcpu, const struct far_return *back)
{
        static const uint8_t data[] = { CPU_ES, CPU_DS, CPU_FS, CPU_GS };
        uint64_t rsp = stack_peek(vcpu, 4, 12);
        uint16_t ss = (uint16_t)stack_peek(vcpu, 4, 16), selectors[4];
        for (unsigned i = 0; i < 4; i++)
                selectors[i] = (uint16_t)stack_peek(vcpu, 4, 20 + 4 * i);
        vcpu->flags = (back->flags & 0x3f7fd5) | RFLAGS_RESERVED;
        segment_load_real(vcpu, CPU_CS, back->cs);
        segment_load_real(vcpu, CPU_SS, ss);
        for (unsigned i = 0; i < 4; i++)
                segment_load_real(vcpu, data[i], selectors[i]);
        vcpu->registers[CPU_RSP] = rsp;
        vcpu->cpl = 3;
        vcpu_find_mode(vcpu);
        vcpu->next_rip = back->rip & 0xffff;
}

/* NT is the program's to set: what it leads to must be a task, or the return faults. APM vol. 2, section 12.3.2. */
static noreturn void return_to_task(struct vcpu *vcpu)
{
        const struct cpu_segment *task = &vcpu->segments[CPU_TR];
        uint16_t link = (uint16_t)memory_read_system(vcpu, task->base, 2), name = link & (uint16_t)~SELECTOR_RPL;
        struct descriptor descriptor;
        bool is_task = name && !(link & SELECTOR_LOCAL) && descriptor_find(vcpu, link, &descriptor) &&
                       (descriptor_type(&descriptor) & ~8U) == 3;
        if (!is_task)
                vcpu_fault_code(vcpu, EXCEPTION_TS, name);
        vcpu_cannot(vcpu, "a return from a nested task");
}

static void interrupt_return(struct vcpu *vcpu, const struct instruction *in)
{
        unsigned size = in->operand_size;
        if (vcpu->flags & FLAG_VM && (vcpu->flags & FLAG_IOPL) != FLAG_IOPL)
                vcpu_fault_code(vcpu, EXCEPTION_GP, 0);
        struct far_return back = { .rip = stack_peek(vcpu, size, 0),
                                   .cs = (uint16_t)stack_peek(vcpu, size, size),
                                   .flags = stack_peek(vcpu, size, 2 * size) };
        vcpu_checkpoint(vcpu);
        vcpu->nmi_masked = false;
        if (!vcpu_protected(vcpu)) {
                segment_load_real(vcpu, CPU_CS, back.cs);
                stack_move(vcpu, 3 * (int64_t)size);
                uint64_t kept = vcpu->flags & FLAG_IOPL;
                load_flags(vcpu, back.flags, size, vcpu->flags & FLAG_VM ? 3 : 0);
                if (vcpu->flags & FLAG_VM)
                        vcpu->flags = (vcpu->flags & ~(uint64_t)FLAG_IOPL) | kept;
                vcpu->next_rip = back.rip;
                return;
        }
        if (vcpu->flags & FLAG_NT) {
                if (vcpu_long(vcpu))
                        vcpu_fault_code(vcpu, EXCEPTION_GP, 0);
                return_to_task(vcpu);
        }
        if (size == 4 && back.flags & FLAG_VM && !vcpu->cpl && !vcpu_long(vcpu)) {
                return_to_virtual(vcpu, &back);
                return;
        }
        back.has_stack = vcpu->mode == DECODE_64 || (back.cs & SELECTOR_RPL) > vcpu->cpl;
        if (back.has_stack) {
                back.rsp = stack_peek(vcpu, size, 3 * size);
                back.ss = (uint16_t)stack_peek(vcpu, size, 4 * size);
        } else {
                stack_move(vcpu, 3 * (int64_t)size);
        }
        unsigned level = vcpu->cpl;
        return_to_level(vcpu, &back);
        load_flags(vcpu, back.flags, size, level);
}

/* ---- Software interrupts and flags ---- */

static void software_interrupt(struct vcpu *vcpu, const struct instruction *in)
{
        uint8_t vector = in->operation == OPERATION_INT3   ? EXCEPTION_BP
                         : in->operation == OPERATION_INTO ? EXCEPTION_OF
                         : in->operation == OPERATION_INT1 ? EXCEPTION_DB
                                                           : (uint8_t)in->immediate;
        if (in->operation == OPERATION_INTO && !(vcpu->flags & FLAG_OF))
                return;
        if (in->operation == OPERATION_INT && vcpu->flags & FLAG_VM && (vcpu->flags & FLAG_IOPL) != FLAG_IOPL)
                vcpu_fault_code(vcpu, EXCEPTION_GP, 0);
        struct event event = { .kind = EVENT_SOFTWARE, .vector = vector, .rip = vcpu->next_rip };
        if (in->operation == OPERATION_INT1)
                event.kind = EVENT_EXTERNAL;
        interrupt_enter(vcpu, &event);
}

static void check_bound(struct vcpu *vcpu, const struct instruction *in)
{
        unsigned size = in->operand_size, unused = 64 - 8 * size;
        uint64_t linear = operand_linear(vcpu, in, 2 * size, ACCESS_READ);
        int64_t index = (int64_t)(operand_read(vcpu, in, 0) << unused) >> unused;
        int64_t lower = (int64_t)(memory_read(vcpu, linear, size) << unused) >> unused;
        int64_t upper = (int64_t)(memory_read(vcpu, linear + size, size) << unused) >> unused;
        if (index < lower || index > upper)
                vcpu_fault(vcpu, EXCEPTION_BR);
}

static void check_virtual(struct vcpu *vcpu)
{
        if (vcpu->flags & FLAG_VM && (vcpu->flags & FLAG_IOPL) != FLAG_IOPL)
                vcpu_fault_code(vcpu, EXCEPTION_GP, 0);
}

static void push_flags(struct vcpu *vcpu, const struct instruction *in)
{
        check_virtual(vcpu);
        stack_push(vcpu, in->operand_size, (vcpu->flags & ~(uint64_t)(FLAG_VM | FLAG_RF)) | RFLAGS_RESERVED);
}

static void pop_flags(struct vcpu *vcpu, const struct instruction *in)
{
        check_virtual(vcpu);
        uint64_t flags = stack_peek(vcpu, in->operand_size, 0) & ~(uint64_t)FLAG_RF, kept = vcpu->flags;
        stack_move(vcpu, in->operand_size);
        load_flags(vcpu, flags, in->operand_size, vcpu->flags & FLAG_VM ? 3 : vcpu->cpl);
        if (kept & FLAG_VM)
                vcpu->flags = (vcpu->flags & ~(uint64_t)FLAG_IF) | (flags & FLAG_IF);
}

/* CLI and STI: APM vol. 2, section 8.1.4. */
static void change_interrupts(struct vcpu *vcpu, const struct instruction *in)
{
        unsigned level = vcpu->flags & FLAG_VM ? 3 : vcpu->cpl;
        if (vcpu->cr0 & CR0_PE && level > (vcpu->flags & FLAG_IOPL) >> 12)
                vcpu_fault_code(vcpu, EXCEPTION_GP, 0);
        bool enables = in->operation == OPERATION_STI;
        vcpu->shadow |= enables && !(vcpu->flags & FLAG_IF);
        vcpu->flags = enables ? vcpu->flags | FLAG_IF : vcpu->flags & ~(uint64_t)FLAG_IF;
}

const struct handler_row far_handlers[] = {
        { OPERATION_JMP_FAR, jump_far },        { OPERATION_CALL_FAR, call_far },
        { OPERATION_RET_FAR, return_far },      { OPERATION_IRET, interrupt_return },
        { OPERATION_INT, software_interrupt },  { OPERATION_INT1, software_interrupt },
        { OPERATION_INT3, software_interrupt }, { OPERATION_INTO, software_interrupt },
        { OPERATION_BOUND, check_bound },       { OPERATION_PUSHF, push_flags },
        { OPERATION_POPF, pop_flags },          { OPERATION_CLI, change_interrupts },
        { OPERATION_STI, change_interrupts },   { 0 },
};
