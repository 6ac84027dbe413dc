/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "engine/soft/operand.h"

#include "engine/soft/memory.h"

uint64_t register_read(const struct vcpu *vcpu, unsigned index, unsigned size)
{
        return vcpu->registers[index] & size_mask(size);
}

void register_write(struct vcpu *vcpu, unsigned index, unsigned size, uint64_t value)
{
        uint64_t mask = size_mask(size == 4 ? 8 : size);
        if (size == 4)
                value &= UINT32_MAX;
        vcpu->registers[index] = (vcpu->registers[index] & ~mask) | (value & mask);
}

uint64_t operand_offset(const struct vcpu *vcpu, const struct instruction *in)
{
        const struct memory_operand *memory = &in->memory;
        uint64_t offset = (uint64_t)memory->displacement;
        if (memory->base == REGISTER_RIP)
                offset += vcpu->next_rip;
        else if (memory->base != REGISTER_NONE)
                offset += vcpu->registers[memory->base];
        if (memory->index != REGISTER_NONE)
                offset += vcpu->registers[memory->index] * memory->scale;
        return offset & size_mask(in->address_size);
}

uint64_t operand_linear(struct vcpu *vcpu, const struct instruction *in, unsigned size, enum access access)
{
        return memory_linear(vcpu, in->memory.segment, operand_offset(vcpu, in), size, access);
}

uint64_t operand_read(struct vcpu *vcpu, const struct instruction *in, unsigned number)
{
        const struct operand *operand = &in->operands[number];
        switch (operand->kind) {
        case OPERAND_GENERAL: return register_read(vcpu, operand->index, operand->size);
        case OPERAND_HIGH_BYTE: return vcpu->registers[operand->index] >> 8 & 0xff;
        case OPERAND_MEMORY:
                return memory_read(vcpu, operand_linear(vcpu, in, operand->size, ACCESS_READ), operand->size);
        default: return (uint64_t)in->immediate & size_mask(operand->size);
        }
}

void operand_write(struct vcpu *vcpu, const struct instruction *in, unsigned number, uint64_t value)
{
        const struct operand *operand = &in->operands[number];
        if (operand->kind == OPERAND_GENERAL)
                register_write(vcpu, operand->index, operand->size, value);
        else if (operand->kind == OPERAND_HIGH_BYTE)
                vcpu->registers[operand->index] = (vcpu->registers[operand->index] & ~0xff00ULL) | (value & 0xff) << 8;
        else
                memory_write(vcpu, operand_linear(vcpu, in, operand->size, ACCESS_WRITE), operand->size,
                             value & size_mask(operand->size));
}

#define EXCHANGE(type)                                                                                                 \
        case sizeof(type): {                                                                                           \
                type now = (type)old;                                                                                  \
                return atomic_compare_exchange_strong((_Atomic type *)(void *)host, &now, (type)value);                \
        }

static bool exchange(unsigned char *host, unsigned size, uint64_t old, uint64_t value)
{
        switch (size) {
                EXCHANGE(uint8_t)
                EXCHANGE(uint16_t)
                EXCHANGE(uint32_t)
                EXCHANGE(uint64_t)
        default: return false;
        }
}

static uint64_t modify_memory(struct vcpu *vcpu, const struct instruction *in, bool locked, operand_change change)
{
        unsigned size = in->operands[0].size;
        uint64_t linear = operand_linear(vcpu, in, size, ACCESS_WRITE);
        unsigned char *host = locked ? memory_direct(vcpu, linear, size, ACCESS_WRITE) : NULL;
        for (;;) {
                uint64_t flags = vcpu->flags;
                /* From where it is written: the page that was read before may be another until the guest says so. */
                uint64_t old = host ? bytes_read(host, size) : memory_read_to_write(vcpu, linear, size);
                uint64_t value = change(vcpu, in, old, &flags);
                if (host && !exchange(host, size, old, value & size_mask(size)))
                        continue;
                if (!host)
                        memory_write(vcpu, linear, size, value & size_mask(size));
                if (!host && locked)
                        atomic_thread_fence(memory_order_seq_cst);
                vcpu->flags = flags;
                return old;
        }
}

uint64_t operand_modify(struct vcpu *vcpu, const struct instruction *in, bool locked, operand_change change)
{
        if (in->operands[0].kind == OPERAND_MEMORY)
                return modify_memory(vcpu, in, locked, change);
        uint64_t flags = vcpu->flags, old = operand_read(vcpu, in, 0), value = change(vcpu, in, old, &flags);
        operand_write(vcpu, in, 0, value);
        vcpu->flags = flags;
        return old;
}

/* ---- The stack ---- */

static unsigned stack_width(const struct vcpu *vcpu)
{
        if (vcpu->mode == DECODE_64)
                return 8;
        return vcpu->segments[CPU_SS].attributes & SEGMENT_DEFAULT_32 ? 4 : 2;
}

uint64_t stack_mask(const struct vcpu *vcpu)
{
        return size_mask(stack_width(vcpu));
}

void stack_push(struct vcpu *vcpu, unsigned size, uint64_t value)
{
        uint64_t to = (vcpu->registers[CPU_RSP] - size) & size_mask(stack_width(vcpu));
        memory_write(vcpu, memory_linear(vcpu, CPU_SS, to, size, ACCESS_WRITE), size, value & size_mask(size));
        stack_move(vcpu, -(int64_t)size);
}

uint64_t stack_peek(struct vcpu *vcpu, unsigned size, uint64_t offset)
{
        uint64_t from = (vcpu->registers[CPU_RSP] + offset) & size_mask(stack_width(vcpu));
        return memory_read(vcpu, memory_linear(vcpu, CPU_SS, from, size, ACCESS_READ), size);
}

void stack_move(struct vcpu *vcpu, int64_t bytes)
{
        unsigned width = stack_width(vcpu);
        register_write(vcpu, CPU_RSP, width, vcpu->registers[CPU_RSP] + (uint64_t)bytes);
}

void stack_probe(struct vcpu *vcpu, unsigned size)
{
        uint64_t at = vcpu->registers[CPU_RSP] & size_mask(stack_width(vcpu));
        memory_read_to_write(vcpu, memory_linear(vcpu, CPU_SS, at, size, ACCESS_WRITE), size);
}
