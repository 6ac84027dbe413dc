/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Near transfers: AMD64 APM vol. 1, section 3.7. */
#include "engine/soft/arithmetic.h"
#include "engine/soft/handlers.h"
#include "engine/soft/memory.h"
#include "engine/soft/operand.h"

static void go_to(struct vcpu *vcpu, const struct instruction *in, uint64_t target)
{
        target &= size_mask(in->operand_size);
        bool valid = vcpu->mode == DECODE_64 ? (uint64_t)((int64_t)(target << 16) >> 16) == target
                                             : target <= vcpu->segments[CPU_CS].limit;
        if (!valid)
                vcpu_fault_code(vcpu, EXCEPTION_GP, 0);
        vcpu->next_rip = target;
}

static uint64_t target_of(struct vcpu *vcpu, const struct instruction *in)
{
        return in->operands[0].kind == OPERAND_RELATIVE ? vcpu->next_rip + (uint64_t)in->immediate
                                                        : operand_read(vcpu, in, 0);
}

static void jump(struct vcpu *vcpu, const struct instruction *in)
{
        go_to(vcpu, in, target_of(vcpu, in));
}

static void jump_if(struct vcpu *vcpu, const struct instruction *in)
{
        if (arithmetic_condition(in->opcode, vcpu->flags))
                jump(vcpu, in);
}

static void call(struct vcpu *vcpu, const struct instruction *in)
{
        uint64_t from = vcpu->next_rip;
        go_to(vcpu, in, target_of(vcpu, in));
        stack_push(vcpu, in->operand_size, from);
}

static void ret(struct vcpu *vcpu, const struct instruction *in)
{
        go_to(vcpu, in, stack_peek(vcpu, in->operand_size, 0));
        stack_move(vcpu, in->operand_size + (in->immediate & 0xffff));
}

static void loop(struct vcpu *vcpu, const struct instruction *in)
{
        uint64_t count = register_read(vcpu, CPU_RCX, in->address_size) - 1;
        bool zero = vcpu->flags & FLAG_ZF;
        bool taken = (count & size_mask(in->address_size)) &&
                     (in->operation == OPERATION_LOOP || zero == (in->operation == OPERATION_LOOPE));
        if (taken)
                jump(vcpu, in);
        register_write(vcpu, CPU_RCX, in->address_size, count);
}

static void jump_if_no_count(struct vcpu *vcpu, const struct instruction *in)
{
        if (!register_read(vcpu, CPU_RCX, in->address_size))
                jump(vcpu, in);
}

const struct handler_row control_handlers[] = {
        { OPERATION_JMP, jump },
        { OPERATION_JCC, jump_if },
        { OPERATION_CALL, call },
        { OPERATION_RET, ret },
        { OPERATION_LOOP, loop },
        { OPERATION_LOOPE, loop },
        { OPERATION_LOOPNE, loop },
        { OPERATION_JCXZ, jump_if_no_count },
        { 0 },
};
