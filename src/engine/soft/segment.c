/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "engine/soft/segment.h"

#include "engine/soft/handlers.h"
#include "engine/soft/memory.h"
#include "engine/soft/operand.h"

/* Types of system descriptors: APM vol. 2, table 4-5. */
enum { TYPE_LDT = 2, TYPE_TSS_16 = 1, TYPE_TSS = 9, TYPE_BUSY = 2 };
enum { TYPE_ACCESSED = 1, TYPE_WRITABLE = 2, TYPE_READABLE = 2, TYPE_CONFORMING = 4, TYPE_CODE = 8, TYPE_SEGMENT = 16 };

bool descriptor_find(struct vcpu *vcpu, uint16_t selector, struct descriptor *descriptor)
{
        const struct cpu_segment *local = &vcpu->segments[CPU_LDTR];
        bool is_local = selector & SELECTOR_LOCAL;
        if (is_local && !(local->attributes & SEGMENT_PRESENT))
                return false;
        uint64_t base = is_local ? local->base : vcpu->gdt.base, limit = is_local ? local->limit : vcpu->gdt.limit;
        uint64_t offset = selector & ~7U;
        if (offset + 7 > limit)
                return false;
        *descriptor = (struct descriptor){ base + offset, memory_read_system(vcpu, base + offset, 8), 0 };
        bool is_system = !(descriptor_type(descriptor) & TYPE_SEGMENT);
        if (!is_system || !vcpu_long(vcpu))
                return true;
        if (offset + 15 > limit)
                return false;
        descriptor->high = memory_read_system(vcpu, base + offset + 8, 8);
        return true;
}

struct descriptor descriptor_read(struct vcpu *vcpu, uint16_t selector, enum exception exception)
{
        struct descriptor descriptor;
        if (!descriptor_find(vcpu, selector, &descriptor))
                vcpu_fault_code(vcpu, exception, selector & ~SELECTOR_RPL);
        return descriptor;
}

struct cpu_segment descriptor_segment(uint16_t selector, const struct descriptor *descriptor)
{
        uint64_t low = descriptor->low;
        uint32_t limit = (uint32_t)((low & 0xffff) | (low >> 32 & 0xf0000));
        uint16_t attributes = (uint16_t)((low >> 40 & 0xff) | (low >> 44 & 0xf00));
        if (attributes & SEGMENT_GRANULAR)
                limit = limit << 12 | 0xfff;
        uint64_t base = (low >> 16 & 0xffffff) | (low >> 32 & 0xff000000);
        return (struct cpu_segment){ base | descriptor->high << 32, limit, selector, attributes };
}

static void mark_accessed(struct vcpu *vcpu, const struct descriptor *descriptor)
{
        if (!(descriptor->low >> 40 & TYPE_ACCESSED))
                memory_write_system(vcpu, descriptor->at + 5, 1, (descriptor->low >> 40 & 0xff) | TYPE_ACCESSED);
}

void segment_load_real(struct vcpu *vcpu, unsigned segment, uint16_t selector)
{
        struct cpu_segment *loaded = &vcpu->segments[segment];
        loaded->selector = selector;
        loaded->base = (uint64_t)selector << 4;
        if (vcpu->flags & FLAG_VM)
                *loaded = (struct cpu_segment){ (uint64_t)selector << 4, 0xffff, selector, 0xf3 };
}

void segment_load_stack(struct vcpu *vcpu, uint16_t selector, unsigned level, enum exception exception)
{
        uint16_t code = selector & (uint16_t)~SELECTOR_RPL;
        if (!code) {
                /* Null is allowed in 64-bit mode below level 3: APM vol. 2, section 4.11.1. */
                if (vcpu->mode != DECODE_64 || level == 3 || (selector & SELECTOR_RPL) != level)
                        vcpu_fault_code(vcpu, exception, 0);
                vcpu->segments[CPU_SS] = (struct cpu_segment){ .selector = selector,
                                                               .attributes = (uint16_t)(level << SEGMENT_DPL_SHIFT) };
                return;
        }
        struct descriptor descriptor = descriptor_read(vcpu, selector, exception);
        unsigned type = descriptor_type(&descriptor);
        if ((selector & SELECTOR_RPL) != level || descriptor_level(&descriptor) != level ||
            (type & (TYPE_SEGMENT | TYPE_CODE | TYPE_WRITABLE)) != (TYPE_SEGMENT | TYPE_WRITABLE))
                vcpu_fault_code(vcpu, exception, code);
        if (!descriptor_present(&descriptor))
                vcpu_fault_code(vcpu, EXCEPTION_SS, code);
        mark_accessed(vcpu, &descriptor);
        vcpu->segments[CPU_SS] = descriptor_segment(selector, &descriptor);
}

static void load_data(struct vcpu *vcpu, unsigned segment, uint16_t selector)
{
        uint16_t code = selector & (uint16_t)~SELECTOR_RPL;
        if (!code) {
                /* A null selector hides the segment but, on AMD's processors, keeps base and limit. */
                vcpu->segments[segment].selector = selector;
                vcpu->segments[segment].attributes &= (uint16_t)~SEGMENT_PRESENT;
                return;
        }
        struct descriptor descriptor = descriptor_read(vcpu, selector, EXCEPTION_GP);
        unsigned type = descriptor_type(&descriptor), level = descriptor_level(&descriptor);
        bool is_code = type & TYPE_CODE, conforming = is_code && type & TYPE_CONFORMING;
        if (!(type & TYPE_SEGMENT) || (is_code && !(type & TYPE_READABLE)) ||
            (!conforming && (level < vcpu->cpl || level < (selector & SELECTOR_RPL))))
                vcpu_fault_code(vcpu, EXCEPTION_GP, code);
        if (!descriptor_present(&descriptor))
                vcpu_fault_code(vcpu, EXCEPTION_NP, code);
        mark_accessed(vcpu, &descriptor);
        vcpu->segments[segment] = descriptor_segment(selector, &descriptor);
}

void segment_load(struct vcpu *vcpu, unsigned segment, uint16_t selector)
{
        if (!vcpu_protected(vcpu))
                segment_load_real(vcpu, segment, selector);
        else if (segment == CPU_SS)
                segment_load_stack(vcpu, selector, vcpu->cpl, EXCEPTION_GP);
        else
                load_data(vcpu, segment, selector);
}

void segment_load_code(struct vcpu *vcpu, uint16_t selector, const struct descriptor *descriptor, unsigned level)
{
        mark_accessed(vcpu, descriptor);
        vcpu->segments[CPU_CS] = descriptor_segment((uint16_t)((selector & ~SELECTOR_RPL) | level), descriptor);
        vcpu->cpl = level;
        vcpu_find_mode(vcpu);
}

void segment_drop_inner(struct vcpu *vcpu)
{
        static const uint8_t data[] = { CPU_ES, CPU_DS, CPU_FS, CPU_GS };
        for (unsigned i = 0; i < sizeof(data); i++) {
                struct cpu_segment *segment = &vcpu->segments[data[i]];
                unsigned level = segment->attributes >> SEGMENT_DPL_SHIFT & 3;
                bool conforming =
                        (segment->attributes & (TYPE_CODE | TYPE_CONFORMING)) == (TYPE_CODE | TYPE_CONFORMING);
                if (segment->attributes & SEGMENT_PRESENT && level < vcpu->cpl && !conforming) {
                        segment->selector = 0;
                        segment->attributes &= (uint16_t)~SEGMENT_PRESENT;
                }
        }
}

/* ---- Instructions ---- */

static void move_from_segment(struct vcpu *vcpu, const struct instruction *in)
{
        operand_write(vcpu, in, 0, vcpu->segments[in->operands[1].index].selector);
}

static void move_to_segment(struct vcpu *vcpu, const struct instruction *in)
{
        segment_load(vcpu, in->operands[0].index, (uint16_t)operand_read(vcpu, in, 1));
        vcpu->shadow |= in->operands[0].index == CPU_SS;
}

static void push_segment(struct vcpu *vcpu, const struct instruction *in)
{
        stack_push(vcpu, in->operand_size, vcpu->segments[in->operands[0].index].selector);
}

static void pop_segment(struct vcpu *vcpu, const struct instruction *in)
{
        segment_load(vcpu, in->operands[0].index, (uint16_t)stack_peek(vcpu, in->operand_size, 0));
        stack_move(vcpu, in->operand_size);
        vcpu->shadow |= in->operands[0].index == CPU_SS;
}

/* LES, LDS, LSS, LFS, LGS */
static void load_far(struct vcpu *vcpu, const struct instruction *in)
{
        static const uint8_t by_opcode[] = { [0] = CPU_SS, [2] = CPU_FS, [3] = CPU_GS };
        unsigned segment = in->map == 0 ? (in->opcode == 0xc4 ? CPU_ES : CPU_DS) : by_opcode[in->opcode - 0xb2];
        unsigned size = in->operands[0].size;
        uint64_t linear = operand_linear(vcpu, in, size + 2, ACCESS_READ);
        uint64_t offset = memory_read(vcpu, linear, size);
        segment_load(vcpu, segment, (uint16_t)memory_read(vcpu, linear + size, 2));
        operand_write(vcpu, in, 0, offset);
}

static void require_protected(struct vcpu *vcpu)
{
        if (!vcpu_protected(vcpu))
                vcpu_fault(vcpu, EXCEPTION_UD);
}

static void require_level_0(struct vcpu *vcpu)
{
        if (vcpu->cpl)
                vcpu_fault_code(vcpu, EXCEPTION_GP, 0);
}

static void load_local_table(struct vcpu *vcpu, const struct instruction *in)
{
        require_protected(vcpu);
        require_level_0(vcpu);
        uint16_t selector = (uint16_t)operand_read(vcpu, in, 0), code = selector & (uint16_t)~SELECTOR_RPL;
        if (!code) {
                vcpu->segments[CPU_LDTR] = (struct cpu_segment){ .selector = selector };
                return;
        }
        if (selector & SELECTOR_LOCAL)
                vcpu_fault_code(vcpu, EXCEPTION_GP, code);
        struct descriptor descriptor = descriptor_read(vcpu, selector, EXCEPTION_GP);
        if (descriptor_type(&descriptor) != TYPE_LDT)
                vcpu_fault_code(vcpu, EXCEPTION_GP, code);
        if (!descriptor_present(&descriptor))
                vcpu_fault_code(vcpu, EXCEPTION_NP, code);
        vcpu->segments[CPU_LDTR] = descriptor_segment(selector, &descriptor);
}

static void load_task(struct vcpu *vcpu, const struct instruction *in)
{
        require_protected(vcpu);
        require_level_0(vcpu);
        uint16_t selector = (uint16_t)operand_read(vcpu, in, 0), code = selector & (uint16_t)~SELECTOR_RPL;
        if (!code || selector & SELECTOR_LOCAL)
                vcpu_fault_code(vcpu, EXCEPTION_GP, code);
        struct descriptor descriptor = descriptor_read(vcpu, selector, EXCEPTION_GP);
        unsigned type = descriptor_type(&descriptor);
        if (type != TYPE_TSS && (type != TYPE_TSS_16 || vcpu_long(vcpu)))
                vcpu_fault_code(vcpu, EXCEPTION_GP, code);
        if (!descriptor_present(&descriptor))
                vcpu_fault_code(vcpu, EXCEPTION_NP, code);
        memory_write_system(vcpu, descriptor.at + 5, 1, (descriptor.low >> 40 & 0xff) | TYPE_BUSY);
        vcpu->segments[CPU_TR] = descriptor_segment(selector, &descriptor);
        vcpu->segments[CPU_TR].attributes |= TYPE_BUSY;
}

static void store_selector(struct vcpu *vcpu, const struct instruction *in)
{
        require_protected(vcpu);
        unsigned segment = in->operation == OPERATION_SLDT ? CPU_LDTR : CPU_TR;
        operand_write(vcpu, in, 0, vcpu->segments[segment].selector);
}

/* Which descriptors LAR and LSL speak of: APM vol. 3, LAR and LSL. */
static bool is_visible(const struct vcpu *vcpu, uint16_t selector, const struct descriptor *descriptor, bool with_gates)
{
        static const uint16_t with_limit = 1 << 1 | 1 << 2 | 1 << 3 | 1 << 9 | 1 << 11;
        static const uint16_t gates = 1 << 4 | 1 << 5 | 1 << 12;
        unsigned type = descriptor_type(descriptor), level = descriptor_level(descriptor);
        uint16_t systems = vcpu_long(vcpu)
                                   ? (with_gates ? 1 << 2 | 1 << 9 | 1 << 11 | 1 << 12 : 1 << 2 | 1 << 9 | 1 << 11)
                                   : (with_gates ? with_limit | gates : with_limit);
        bool conforming =
                (type & (TYPE_SEGMENT | TYPE_CODE | TYPE_CONFORMING)) == (TYPE_SEGMENT | TYPE_CODE | TYPE_CONFORMING);
        if (!(type & TYPE_SEGMENT) && !(systems >> type & 1))
                return false;
        return conforming || (level >= vcpu->cpl && level >= (selector & SELECTOR_RPL));
}

static void describe(struct vcpu *vcpu, const struct instruction *in)
{
        require_protected(vcpu);
        uint16_t selector = (uint16_t)operand_read(vcpu, in, 1);
        struct descriptor descriptor;
        bool rights = in->operation == OPERATION_LAR;
        bool found = selector & ~SELECTOR_RPL && descriptor_find(vcpu, selector, &descriptor) &&
                     is_visible(vcpu, selector, &descriptor, rights);
        vcpu->flags = (vcpu->flags & ~(uint64_t)FLAG_ZF) | (found ? FLAG_ZF : 0);
        if (found)
                operand_write(vcpu, in, 0,
                              rights ? descriptor.low >> 32 & 0x00ffff00
                                     : descriptor_segment(selector, &descriptor).limit);
}

static void verify(struct vcpu *vcpu, const struct instruction *in)
{
        require_protected(vcpu);
        uint16_t selector = (uint16_t)operand_read(vcpu, in, 0);
        struct descriptor descriptor;
        bool found = selector & ~SELECTOR_RPL && descriptor_find(vcpu, selector, &descriptor) &&
                     descriptor_type(&descriptor) & TYPE_SEGMENT && is_visible(vcpu, selector, &descriptor, false);
        unsigned type = found ? descriptor_type(&descriptor) : 0;
        bool code = type & TYPE_CODE;
        if (in->operation == OPERATION_VERR)
                found = found && (!code || type & TYPE_READABLE);
        else
                found = found && !code && type & TYPE_WRITABLE;
        vcpu->flags = (vcpu->flags & ~(uint64_t)FLAG_ZF) | (found ? FLAG_ZF : 0);
}

static void adjust_level(struct vcpu *vcpu, const struct instruction *in)
{
        require_protected(vcpu);
        uint16_t target = (uint16_t)operand_read(vcpu, in, 0), source = (uint16_t)operand_read(vcpu, in, 1);
        bool raises = (target & SELECTOR_RPL) < (source & SELECTOR_RPL);
        if (raises)
                operand_write(vcpu, in, 0, (uint64_t)((target & ~SELECTOR_RPL) | (source & SELECTOR_RPL)));
        vcpu->flags = (vcpu->flags & ~(uint64_t)FLAG_ZF) | (raises ? FLAG_ZF : 0);
}

const struct handler_row segment_handlers[] = {
        { OPERATION_MOV_FROM_SEGMENT, move_from_segment },
        { OPERATION_MOV_TO_SEGMENT, move_to_segment },
        { OPERATION_PUSH_SEGMENT, push_segment },
        { OPERATION_POP_SEGMENT, pop_segment },
        { OPERATION_LOAD_FAR, load_far },
        { OPERATION_LLDT, load_local_table },
        { OPERATION_LTR, load_task },
        { OPERATION_SLDT, store_selector },
        { OPERATION_STR, store_selector },
        { OPERATION_LAR, describe },
        { OPERATION_LSL, describe },
        { OPERATION_VERR, verify },
        { OPERATION_VERW, verify },
        { OPERATION_ARPL, adjust_level },
        { 0 },
};
