/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "engine/soft/interrupt.h"

#include "engine/soft/memory.h"
#include "engine/soft/operand.h"
#include "engine/soft/segment.h"

/* Types of gates: APM vol. 2, table 4-5 and 4-6. Bit 3 is set for 32 (or 64) bits, bit 0 for trap gates. */
enum { GATE_TASK = 5, GATE_INTERRUPT_16 = 6, GATE_TRAP_16 = 7, GATE_INTERRUPT = 14, GATE_TRAP = 15 };
/* Bits of an error code that names a descriptor: APM vol. 2, figure 8-1. */
enum { CODE_EXTERNAL = 1, CODE_IDT = 2 };

struct gate {
        uint64_t offset;
        uint16_t selector;
        unsigned type, level, stack; /* stack: of the interrupt stack table, long mode */
        bool present;
};

struct entry {
        struct vcpu *vcpu;
        const struct event *event;
        struct gate gate;
        uint32_t external; /* CODE_EXTERNAL or 0 */
        unsigned size;     /* of what is pushed */
        struct descriptor code;
        unsigned level; /* the new one */
        uint64_t old_rsp, old_flags;
        uint16_t old_ss, old_cs;
        bool from_virtual;
};

bool interrupt_doubles(uint8_t first, uint8_t second)
{
        static const uint32_t contributory =
                1 << EXCEPTION_DE | 1 << EXCEPTION_TS | 1 << EXCEPTION_NP | 1 << EXCEPTION_SS | 1 << EXCEPTION_GP;
        bool second_contributes = contributory >> second & 1;
        if (first == EXCEPTION_PF)
                return second_contributes || second == EXCEPTION_PF;
        return contributory >> first & 1 && second_contributes;
}

static noreturn void refuse(const struct entry *entry, enum exception exception)
{
        vcpu_fault_code(entry->vcpu, exception, (uint32_t)entry->event->vector << 3 | CODE_IDT | entry->external);
}

static void read_gate(struct entry *entry)
{
        struct vcpu *vcpu = entry->vcpu;
        bool is_long = vcpu_long(vcpu);
        unsigned bytes = is_long ? 16 : 8;
        uint64_t offset = (uint64_t)entry->event->vector * bytes;
        if (offset + bytes - 1 > vcpu->idt.limit)
                refuse(entry, EXCEPTION_GP);
        uint64_t low = memory_read_system(vcpu, vcpu->idt.base + offset, 8);
        uint64_t high = is_long ? memory_read_system(vcpu, vcpu->idt.base + offset + 8, 8) : 0;
        entry->gate = (struct gate){
                .offset = (low & 0xffff) | (low >> 32 & 0xffff0000) | high << 32,
                .selector = (uint16_t)(low >> 16),
                .type = low >> 40 & 0x1f,
                .level = low >> 45 & 3,
                .stack = is_long ? low >> 32 & 7 : 0,
                .present = low >> 47 & 1,
        };
        unsigned type = entry->gate.type;
        bool known = type == GATE_INTERRUPT || type == GATE_TRAP ||
                     (!is_long && (type == GATE_INTERRUPT_16 || type == GATE_TRAP_16 || type == GATE_TASK));
        if (!known || (entry->event->kind == EVENT_SOFTWARE && entry->gate.level < vcpu->cpl))
                refuse(entry, EXCEPTION_GP);
        if (!entry->gate.present)
                refuse(entry, EXCEPTION_NP);
        if (type == GATE_TASK)
                vcpu_cannot(vcpu, "a task gate: tasks switched by hardware");
        if (type == GATE_INTERRUPT_16 || type == GATE_TRAP_16)
                entry->gate.offset &= 0xffff;
        entry->size = is_long ? 8 : type & 8 ? 4 : 2;
}

static void read_code(struct entry *entry)
{
        struct vcpu *vcpu = entry->vcpu;
        uint16_t selector = entry->gate.selector, name = selector & (uint16_t)~SELECTOR_RPL;
        if (!name)
                vcpu_fault_code(vcpu, EXCEPTION_GP, entry->external);
        if (!descriptor_find(vcpu, selector, &entry->code))
                vcpu_fault_code(vcpu, EXCEPTION_GP, name | entry->external);
        unsigned type = descriptor_type(&entry->code), level = descriptor_level(&entry->code);
        bool is_code = (type & 0x18) == 0x18, is_64 = entry->code.low >> 53 & 1, is_32 = entry->code.low >> 54 & 1;
        if (!is_code || level > vcpu->cpl || (vcpu_long(vcpu) && (!is_64 || is_32)))
                vcpu_fault_code(vcpu, EXCEPTION_GP, name | entry->external);
        if (!descriptor_present(&entry->code))
                vcpu_fault_code(vcpu, EXCEPTION_NP, name | entry->external);
        entry->level = type & 4 ? vcpu->cpl : level;
        if (entry->from_virtual && entry->level)
                vcpu_fault_code(vcpu, EXCEPTION_GP, name | entry->external);
}

/* A field of the task segment: APM vol. 2, section 12.2.5. */
static uint64_t task_field(const struct entry *entry, unsigned offset, unsigned size)
{
        struct vcpu *vcpu = entry->vcpu;
        const struct cpu_segment *task = &vcpu->segments[CPU_TR];
        if (offset + size - 1 > task->limit)
                vcpu_fault_code(vcpu, EXCEPTION_TS, (task->selector & ~SELECTOR_RPL) | entry->external);
        return memory_read_system(vcpu, task->base + offset, size);
}

static void switch_stack_long(struct entry *entry)
{
        struct vcpu *vcpu = entry->vcpu;
        bool changes = entry->level != vcpu->cpl;
        uint64_t rsp = vcpu->registers[CPU_RSP];
        if (entry->gate.stack)
                rsp = task_field(entry, 0x24 + 8 * (entry->gate.stack - 1), 8);
        else if (changes)
                rsp = task_field(entry, 4 + 8 * entry->level, 8);
        segment_load_code(vcpu, entry->gate.selector, &entry->code, entry->level);
        if (changes)
                vcpu->segments[CPU_SS] =
                        (struct cpu_segment){ .selector = (uint16_t)entry->level,
                                              .attributes = (uint16_t)(entry->level << SEGMENT_DPL_SHIFT) };
        vcpu->registers[CPU_RSP] = rsp & ~15ULL;
        stack_push(vcpu, 8, entry->old_ss);
        stack_push(vcpu, 8, entry->old_rsp);
}

static void switch_stack(struct entry *entry)
{
        struct vcpu *vcpu = entry->vcpu;
        bool is_16 = !(vcpu->segments[CPU_TR].attributes & 8);
        uint64_t pointer =
                is_16 ? task_field(entry, 2 + 4 * entry->level, 2) : task_field(entry, 4 + 8 * entry->level, 4);
        uint16_t selector = (uint16_t)(is_16 ? task_field(entry, 4 + 4 * entry->level, 2)
                                             : task_field(entry, 8 + 8 * entry->level, 2));
        static const uint8_t data[] = { CPU_GS, CPU_FS, CPU_DS, CPU_ES };
        vcpu->flags &= ~(uint64_t)FLAG_VM;
        segment_load_stack(vcpu, selector, entry->level, EXCEPTION_TS);
        segment_load_code(vcpu, entry->gate.selector, &entry->code, entry->level);
        vcpu->registers[CPU_RSP] = pointer;
        for (unsigned i = 0; entry->from_virtual && i < sizeof(data); i++) {
                stack_push(vcpu, entry->size, vcpu->segments[data[i]].selector);
                vcpu->segments[data[i]] = (struct cpu_segment){ 0 };
        }
        stack_push(vcpu, entry->size, entry->old_ss);
        stack_push(vcpu, entry->size, entry->old_rsp);
}

static void enter_protected(struct entry *entry)
{
        struct vcpu *vcpu = entry->vcpu;
        read_gate(entry);
        read_code(entry);
        if (vcpu_long(vcpu))
                switch_stack_long(entry);
        else if (entry->level != vcpu->cpl || entry->from_virtual)
                switch_stack(entry);
        else
                segment_load_code(vcpu, entry->gate.selector, &entry->code, entry->level);
        stack_push(vcpu, entry->size, entry->old_flags);
        stack_push(vcpu, entry->size, entry->old_cs);
        stack_push(vcpu, entry->size, entry->event->rip);
        if (entry->event->has_code)
                stack_push(vcpu, entry->size, entry->event->code);
        bool reaches = vcpu->mode == DECODE_64 ? is_canonical(entry->gate.offset)
                                               : entry->gate.offset <= vcpu->segments[CPU_CS].limit;
        if (!reaches)
                vcpu_fault_code(vcpu, EXCEPTION_GP, entry->external);
        vcpu->flags &= ~(uint64_t)(FLAG_TF | FLAG_NT | FLAG_RF | FLAG_VM);
        if (!(entry->gate.type & 1))
                vcpu->flags &= ~(uint64_t)FLAG_IF;
        vcpu->next_rip = entry->gate.offset;
}

/* APM vol. 2, section 8.6. */
static void enter_real(struct entry *entry)
{
        struct vcpu *vcpu = entry->vcpu;
        unsigned offset = entry->event->vector * 4;
        if (offset + 3 > vcpu->idt.limit)
                refuse(entry, EXCEPTION_GP);
        uint64_t vector = memory_read_system(vcpu, vcpu->idt.base + offset, 4);
        stack_push(vcpu, 2, entry->old_flags);
        stack_push(vcpu, 2, entry->old_cs);
        stack_push(vcpu, 2, entry->event->rip);
        vcpu->flags &= ~(uint64_t)(FLAG_IF | FLAG_TF | FLAG_AC | FLAG_RF);
        segment_load_real(vcpu, CPU_CS, (uint16_t)(vector >> 16));
        vcpu->next_rip = vector & 0xffff;
}

void interrupt_enter(struct vcpu *vcpu, const struct event *event)
{
        struct entry entry = {
                .vcpu = vcpu,
                .event = event,
                .external = event->kind == EVENT_SOFTWARE ? 0 : CODE_EXTERNAL,
                .old_rsp = vcpu->registers[CPU_RSP],
                .old_flags = vcpu->flags,
                .old_ss = vcpu->segments[CPU_SS].selector,
                .old_cs = vcpu->segments[CPU_CS].selector,
                .from_virtual = vcpu->flags & FLAG_VM,
        };
        vcpu_checkpoint(vcpu);
        /* A fault's handler returns to the instruction itself, whose breakpoint must not trap once more. */
        if (event->kind == EVENT_EXCEPTION && event->vector != EXCEPTION_DB)
                entry.old_flags |= FLAG_RF;
        if (vcpu->cr0 & CR0_PE)
                enter_protected(&entry);
        else
                enter_real(&entry);
}
