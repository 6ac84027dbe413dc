/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * String instructions and ports: AMD64 APM vol. 3, MOVS, CMPS, STOS, LODS, SCAS, INS, OUTS, IN, OUT.
 *
 * A repeated one is many: each element is through before the next begins, and an interrupt may come between. Whole runs
 * within pages are done at once where nothing can tell the difference.
 */
#include <string.h>

#include "engine/soft/arithmetic.h"
#include "engine/soft/handlers.h"
#include "engine/soft/memory.h"
#include "engine/soft/operand.h"
#include "engine/soft/port_rights.h"

/* Elements between two looks at whether somebody wants the CPU. */
#define ELEMENTS_AT_ONCE 65536

struct string {
        struct vcpu *vcpu;
        const struct instruction *in;
        unsigned size;
        int64_t step;
        bool repeats;
};

static uint64_t source_linear(const struct string *string, unsigned size)
{
        uint64_t offset = register_read(string->vcpu, CPU_RSI, string->in->address_size);
        return memory_linear(string->vcpu, string->in->memory.segment, offset, size, ACCESS_READ);
}

static uint64_t target_linear(const struct string *string, unsigned size, enum access access)
{
        uint64_t offset = register_read(string->vcpu, CPU_RDI, string->in->address_size);
        return memory_linear(string->vcpu, CPU_ES, offset, size, access);
}

static void advance(const struct string *string, enum cpu_register index, uint64_t count)
{
        unsigned width = string->in->address_size;
        uint64_t value = string->vcpu->registers[index] + (uint64_t)string->step * count;
        register_write(string->vcpu, index, width, value);
}

/* ---- One element ---- */

/* Returns whether a repetition goes on. */
static bool one_element(const struct string *string)
{
        struct vcpu *vcpu = string->vcpu;
        const struct instruction *in = string->in;
        unsigned size = string->size;
        uint64_t a, b;
        switch (in->operation) {
        case OPERATION_MOVS:
                a = memory_read(vcpu, source_linear(string, size), size);
                memory_write(vcpu, target_linear(string, size, ACCESS_WRITE), size, a);
                advance(string, CPU_RSI, 1);
                advance(string, CPU_RDI, 1);
                return true;
        case OPERATION_STOS:
                memory_write(vcpu, target_linear(string, size, ACCESS_WRITE), size, register_read(vcpu, CPU_RAX, size));
                advance(string, CPU_RDI, 1);
                return true;
        case OPERATION_LODS:
                register_write(vcpu, CPU_RAX, size, memory_read(vcpu, source_linear(string, size), size));
                advance(string, CPU_RSI, 1);
                return true;
        case OPERATION_CMPS:
                a = memory_read(vcpu, source_linear(string, size), size);
                b = memory_read(vcpu, target_linear(string, size, ACCESS_READ), size);
                arithmetic_binary(OPERATION_CMP, size, a, b, &vcpu->flags);
                advance(string, CPU_RSI, 1);
                advance(string, CPU_RDI, 1);
                break;
        case OPERATION_SCAS:
                b = memory_read(vcpu, target_linear(string, size, ACCESS_READ), size);
                arithmetic_binary(OPERATION_CMP, size, register_read(vcpu, CPU_RAX, size), b, &vcpu->flags);
                advance(string, CPU_RDI, 1);
                break;
        case OPERATION_INS:
                a = target_linear(string, size, ACCESS_WRITE);
                memory_read_to_write(vcpu, a, size);
                memory_write(vcpu, a, size, port_access(vcpu, (uint16_t)vcpu->registers[CPU_RDX], size, false, 0));
                advance(string, CPU_RDI, 1);
                return true;
        default: /* OUTS */
                a = memory_read(vcpu, source_linear(string, size), size);
                port_access(vcpu, (uint16_t)vcpu->registers[CPU_RDX], size, true, a);
                advance(string, CPU_RSI, 1);
                return true;
        }
        bool equal = vcpu->flags & FLAG_ZF;
        return in->prefixes & PREFIX_REP ? equal : !equal;
}

/* ---- Runs ---- */

/* Elements from the offset in `index` upwards that lie in one page and do not wrap around the address size. */
static uint64_t run_length(const struct string *string, uint64_t linear, enum cpu_register index, uint64_t count)
{
        unsigned width = string->in->address_size;
        uint64_t to_wrap = size_mask(width) - register_read(string->vcpu, index, width);
        uint64_t in_page = (GUEST_PAGE_SIZE - linear % GUEST_PAGE_SIZE) / string->size;
        uint64_t here = to_wrap / string->size < in_page ? to_wrap / string->size : in_page;
        return here < count ? here : count;
}

/* How many elements of MOVS or STOS were done at once; 0: one by one. */
static uint64_t whole_run(const struct string *string, uint64_t count)
{
        struct vcpu *vcpu = string->vcpu;
        unsigned operation = string->in->operation, size = string->size;
        if ((operation != OPERATION_MOVS && operation != OPERATION_STOS) || vcpu->flags & FLAG_DF ||
            string->in->address_size == 2 || count < 2)
                return 0;
        uint64_t to = target_linear(string, size, ACCESS_WRITE), run = run_length(string, to, CPU_RDI, count);
        uint64_t from = operation == OPERATION_MOVS ? source_linear(string, size) : 0;
        if (operation == OPERATION_MOVS)
                run = run_length(string, from, CPU_RSI, run);
        if (run < 2)
                return 0;
        /* Segments with limits: the last element must be inside too. */
        unsigned bytes = (unsigned)(run * size);
        target_linear(string, bytes, ACCESS_WRITE);
        const unsigned char *source = NULL;
        if (operation == OPERATION_MOVS) {
                source_linear(string, bytes);
                source = memory_direct(vcpu, from, bytes, ACCESS_READ);
        }
        unsigned char *target = memory_direct(vcpu, to, bytes, ACCESS_WRITE);
        if (!target || (operation == OPERATION_MOVS && !source))
                return 0;
        if (operation == OPERATION_STOS) {
                uint64_t value = register_read(vcpu, CPU_RAX, size);
                for (uint64_t i = 0; i < run; i++)
                        memcpy(target + i * size, &value, size);
                advance(string, CPU_RDI, run);
                return run;
        }
        /* A copy onto itself further up repeats a pattern, which memmove() would not. */
        if (target > source && target < source + bytes)
                return 0;
        memmove(target, source, bytes);
        advance(string, CPU_RSI, run);
        advance(string, CPU_RDI, run);
        return run;
}

static void repeat(const struct string *string)
{
        struct vcpu *vcpu = string->vcpu;
        unsigned width = string->in->address_size;
        /* A step is one element; after a device's one somebody may want the CPU, as each of them left run(). */
        bool steps = vcpu->flags & FLAG_TF, asked = false;
        for (uint64_t total = 0; total < ELEMENTS_AT_ONCE && !asked;) {
                uint64_t count = register_read(vcpu, CPU_RCX, width);
                if (!count)
                        return;
                uint64_t done = steps ? 0 : whole_run(string, count);
                bool goes_on = done || one_element(string);
                register_write(vcpu, CPU_RCX, width, count - (done ? done : 1));
                asked = vcpu->accesses_done || steps;
                vcpu->accesses_done = vcpu->accesses_used = 0;
                if (!goes_on)
                        return;
                total += done ? done : 1;
        }
        if (register_read(vcpu, CPU_RCX, width))
                vcpu->next_rip = vcpu->rip;
}

static void run_string(struct vcpu *vcpu, const struct instruction *in)
{
        unsigned size = in->operands[0].size;
        struct string string = {
                .vcpu = vcpu,
                .in = in,
                .size = size,
                .step = vcpu->flags & FLAG_DF ? -(int64_t)size : (int64_t)size,
                .repeats = in->prefixes & (PREFIX_REP | PREFIX_REPNE),
        };
        if (in->operation == OPERATION_INS || in->operation == OPERATION_OUTS)
                port_check(vcpu, (uint16_t)vcpu->registers[CPU_RDX], size);
        if (string.repeats)
                repeat(&string);
        else
                one_element(&string);
}

/* ---- Ports ---- */

static void in_port(struct vcpu *vcpu, const struct instruction *in)
{
        uint16_t port = (uint16_t)operand_read(vcpu, in, 1);
        unsigned size = in->operands[0].size;
        port_check(vcpu, port, size);
        operand_write(vcpu, in, 0, port_access(vcpu, port, size, false, 0));
}

static void out_port(struct vcpu *vcpu, const struct instruction *in)
{
        uint16_t port = (uint16_t)operand_read(vcpu, in, 0);
        unsigned size = in->operands[1].size;
        port_check(vcpu, port, size);
        port_access(vcpu, port, size, true, operand_read(vcpu, in, 1));
}

const struct handler_row string_handlers[] = {
        { OPERATION_MOVS, run_string }, { OPERATION_CMPS, run_string },
        { OPERATION_STOS, run_string }, { OPERATION_LODS, run_string },
        { OPERATION_SCAS, run_string }, { OPERATION_INS, run_string },
        { OPERATION_OUTS, run_string }, { OPERATION_IN, in_port },
        { OPERATION_OUT, out_port },    { 0 },
};
