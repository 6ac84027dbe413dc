/* SPDX-License-Identifier: GPL-2.0-or-later */
/* System instructions: AMD64 APM vol. 3, chapter 4. */
#include <x86intrin.h>

#include "engine/soft/cpuid.h"
#include "engine/soft/handlers.h"
#include "engine/soft/memory.h"
#include "engine/soft/msr.h"
#include "engine/soft/operand.h"
#include "engine/soft/segment.h"

enum { CR4_TSD = 1 << 2, CR4_DE = 1 << 3, CR4_FSGSBASE = 1 << 16, CR4_SMEP = 1 << 20, CR4_SMAP = 1 << 21 };
enum { CR0_TS = 1 << 3, CR0_NW = 1 << 29, CR0_CD = 1 << 30 };
/* TSD to OSXMMEXCPT, FSGSBASE, SMEP, SMAP: what cpuid.c offers. */
#define CR4_KNOWN 0x003107fcULL

static void require_level_0(struct vcpu *vcpu)
{
        if (vcpu->cpl)
                vcpu_fault_code(vcpu, EXCEPTION_GP, 0);
}

static noreturn void refuse(struct vcpu *vcpu)
{
        vcpu_fault_code(vcpu, EXCEPTION_GP, 0);
}

/* ---- Control registers: APM vol. 2, section 3.1 ---- */

static void set_cr0(struct vcpu *vcpu, uint64_t value)
{
        value = (value | CR0_ET) & UINT32_MAX;
        bool paging = value & CR0_PG, was_paging = vcpu->cr0 & CR0_PG;
        if ((paging && !(value & CR0_PE)) || (value & CR0_NW && !(value & CR0_CD)))
                refuse(vcpu);
        if (paging && !was_paging && vcpu->efer & EFER_LME) {
                if (!(vcpu->cr4 & CR4_PAE) || vcpu->segments[CPU_CS].attributes & SEGMENT_LONG)
                        refuse(vcpu);
                vcpu->efer |= EFER_LMA;
        }
        if (!paging && was_paging) {
                if (vcpu->mode == DECODE_64)
                        refuse(vcpu);
                vcpu->efer &= ~(uint64_t)EFER_LMA;
        }
        vcpu->cr0 = value;
        if (!(value & CR0_PE))
                vcpu->cpl = 0;
        memory_flush(vcpu, true);
        vcpu_find_mode(vcpu);
}

static void set_cr4(struct vcpu *vcpu, uint64_t value)
{
        if (value & ~CR4_KNOWN || (vcpu_long(vcpu) && !(value & CR4_PAE)))
                refuse(vcpu);
        vcpu->cr4 = value;
        memory_flush(vcpu, true);
}

static void move_to_control(struct vcpu *vcpu, const struct instruction *in)
{
        require_level_0(vcpu);
        uint64_t value = operand_read(vcpu, in, 1);
        switch (in->operands[0].index) {
        case 0:
                if (value >> 32)
                        refuse(vcpu);
                set_cr0(vcpu, value);
                break;
        case 2: vcpu->cr2 = value; break;
        case 3:
                if (value >> 52)
                        refuse(vcpu);
                vcpu->cr3 = value;
                memory_flush(vcpu, false);
                break;
        case 4: set_cr4(vcpu, value); break;
        default:
                if (value & ~15ULL)
                        refuse(vcpu);
                vcpu->priority_lowered |= value < vcpu->cr8;
                vcpu->cr8 = value;
                break;
        }
}

static void move_from_control(struct vcpu *vcpu, const struct instruction *in)
{
        require_level_0(vcpu);
        const uint64_t values[] = {
                [0] = vcpu->cr0, [2] = vcpu->cr2, [3] = vcpu->cr3, [4] = vcpu->cr4, [8] = vcpu->cr8
        };
        operand_write(vcpu, in, 0, values[in->operands[1].index]);
}

static unsigned debug_register(struct vcpu *vcpu, unsigned index)
{
        require_level_0(vcpu);
        if (index == 4 || index == 5) {
                if (vcpu->cr4 & CR4_DE)
                        vcpu_fault(vcpu, EXCEPTION_UD);
                index += 2;
        }
        return index;
}

static void move_to_debug(struct vcpu *vcpu, const struct instruction *in)
{
        unsigned index = debug_register(vcpu, in->operands[0].index);
        uint64_t value = operand_read(vcpu, in, 1);
        if (index >= 6 && value >> 32)
                refuse(vcpu);
        if (index < 4)
                vcpu->debug[index] = value;
        else if (index == 6)
                vcpu->dr6 = (value & 0xe00f) | 0xffff0ff0; /* APM vol. 2, section 13.1.1.3 */
        else
                vcpu->dr7 = (value & 0xffff2fff) | 0x400;
}

static void move_from_debug(struct vcpu *vcpu, const struct instruction *in)
{
        unsigned index = debug_register(vcpu, in->operands[1].index);
        operand_write(vcpu, in, 0, index < 4 ? vcpu->debug[index] : index == 6 ? vcpu->dr6 : vcpu->dr7);
}

static void clear_task_switched(struct vcpu *vcpu, const struct instruction *in)
{
        (void)in;
        require_level_0(vcpu);
        vcpu->cr0 &= ~(uint64_t)CR0_TS;
}

static void store_machine_status(struct vcpu *vcpu, const struct instruction *in)
{
        operand_write(vcpu, in, 0, vcpu->cr0);
}

static void load_machine_status(struct vcpu *vcpu, const struct instruction *in)
{
        require_level_0(vcpu);
        uint64_t value = operand_read(vcpu, in, 0) & 0xf;
        set_cr0(vcpu, (vcpu->cr0 & ~0xeULL) | value | (vcpu->cr0 & CR0_PE));
}

/* ---- Tables ---- */

static void store_table(struct vcpu *vcpu, const struct instruction *in)
{
        const struct cpu_table *table = in->operation == OPERATION_SGDT ? &vcpu->gdt : &vcpu->idt;
        unsigned size = vcpu->mode == DECODE_64 ? 8 : 4;
        uint64_t linear = operand_linear(vcpu, in, size + 2, ACCESS_WRITE);
        memory_read_to_write(vcpu, linear + 2, size);
        memory_write(vcpu, linear, 2, table->limit);
        memory_write(vcpu, linear + 2, size, table->base & size_mask(size));
}

static void load_table(struct vcpu *vcpu, const struct instruction *in)
{
        require_level_0(vcpu);
        struct cpu_table *table = in->operation == OPERATION_LGDT ? &vcpu->gdt : &vcpu->idt;
        unsigned size = vcpu->mode == DECODE_64 ? 8 : 4;
        uint64_t linear = operand_linear(vcpu, in, size + 2, ACCESS_READ);
        uint64_t limit = memory_read(vcpu, linear, 2), base = memory_read(vcpu, linear + 2, size);
        if (vcpu->mode != DECODE_64 && in->operand_size == 2)
                base &= 0xffffff;
        if (vcpu->mode == DECODE_64 && (uint64_t)((int64_t)(base << 16) >> 16) != base)
                refuse(vcpu);
        *table = (struct cpu_table){ base, (uint16_t)limit };
}

/* ---- Translations ---- */

static void invalidate_page(struct vcpu *vcpu, const struct instruction *in)
{
        require_level_0(vcpu);
        uint64_t offset = operand_offset(vcpu, in);
        if (vcpu->mode != DECODE_64)
                offset = (vcpu->segments[in->memory.segment].base + offset) & UINT32_MAX;
        else if (in->memory.segment >= CPU_FS)
                offset += vcpu->segments[in->memory.segment].base;
        memory_flush_page(vcpu, offset);
}

static void forget_caches(struct vcpu *vcpu, const struct instruction *in)
{
        (void)in;
        require_level_0(vcpu);
}

/* ---- MSRs, time, identity ---- */

static void read_msr(struct vcpu *vcpu, const struct instruction *in)
{
        (void)in;
        require_level_0(vcpu);
        uint64_t value;
        if (!msr_read(vcpu, (uint32_t)vcpu->registers[CPU_RCX], &value))
                refuse(vcpu);
        register_write(vcpu, CPU_RAX, 4, value);
        register_write(vcpu, CPU_RDX, 4, value >> 32);
}

static void write_msr(struct vcpu *vcpu, const struct instruction *in)
{
        (void)in;
        require_level_0(vcpu);
        uint64_t value = (vcpu->registers[CPU_RDX] << 32) | (vcpu->registers[CPU_RAX] & UINT32_MAX);
        if (!msr_write(vcpu, (uint32_t)vcpu->registers[CPU_RCX], value))
                refuse(vcpu);
}

static void read_time(struct vcpu *vcpu, const struct instruction *in)
{
        if (vcpu->cr4 & CR4_TSD && vcpu->cpl)
                refuse(vcpu);
        uint64_t value = tsc_read(vcpu);
        register_write(vcpu, CPU_RAX, 4, value);
        register_write(vcpu, CPU_RDX, 4, value >> 32);
        if (in->operation == OPERATION_RDTSCP)
                register_write(vcpu, CPU_RCX, 4, vcpu->tsc_aux);
}

static void identify(struct vcpu *vcpu, const struct instruction *in)
{
        (void)in;
        atomic_thread_fence(memory_order_seq_cst); /* it serializes: APM vol. 2, section 7.6.4 */
        struct cpuid found = cpuid_read(vcpu, (uint32_t)vcpu->registers[CPU_RAX], (uint32_t)vcpu->registers[CPU_RCX]);
        register_write(vcpu, CPU_RAX, 4, found.eax);
        register_write(vcpu, CPU_RBX, 4, found.ebx);
        register_write(vcpu, CPU_RCX, 4, found.ecx);
        register_write(vcpu, CPU_RDX, 4, found.edx);
}

/* ---- Fast system calls: APM vol. 2, section 6.1 ---- */

static void flat_segment(struct vcpu *vcpu, unsigned segment, uint16_t selector, uint16_t attributes)
{
        vcpu->segments[segment] = (struct cpu_segment){ 0, UINT32_MAX, selector, attributes };
}

enum { CODE_64 = 0xa9b, CODE_32 = 0xc9b, DATA = 0xc93, LEVEL_3 = 3 << SEGMENT_DPL_SHIFT };

static void system_call(struct vcpu *vcpu, const struct instruction *in)
{
        (void)in;
        if (!(vcpu->efer & EFER_SCE))
                vcpu_fault(vcpu, EXCEPTION_UD);
        uint16_t selector = (uint16_t)(vcpu->star >> 32 & 0xfffc);
        if (!vcpu_long(vcpu)) {
                register_write(vcpu, CPU_RCX, 4, vcpu->next_rip);
                vcpu->next_rip = vcpu->star & UINT32_MAX;
                vcpu->flags &= ~(uint64_t)(FLAG_IF | FLAG_VM | FLAG_RF);
                flat_segment(vcpu, CPU_CS, selector, CODE_32);
        } else {
                vcpu->registers[CPU_RCX] = vcpu->next_rip;
                vcpu->registers[CPU_R11] = vcpu->flags & ~(uint64_t)FLAG_RF;
                vcpu->next_rip = vcpu->mode == DECODE_64 ? vcpu->lstar : vcpu->cstar;
                vcpu->flags = (vcpu->flags & ~vcpu->flag_mask & ~(uint64_t)FLAG_RF) | RFLAGS_RESERVED;
                flat_segment(vcpu, CPU_CS, selector, CODE_64);
        }
        flat_segment(vcpu, CPU_SS, (uint16_t)(selector + 8), DATA);
        vcpu->cpl = 0;
        vcpu_find_mode(vcpu);
}

static void system_return(struct vcpu *vcpu, const struct instruction *in)
{
        if (!(vcpu->efer & EFER_SCE))
                vcpu_fault(vcpu, EXCEPTION_UD);
        if (vcpu->cpl || !vcpu_protected(vcpu))
                refuse(vcpu);
        uint16_t selector = (uint16_t)(vcpu->star >> 48);
        bool to_64 = in->operand_size == 8;
        if (vcpu->mode == DECODE_64) {
                vcpu->next_rip = to_64 ? vcpu->registers[CPU_RCX] : vcpu->registers[CPU_RCX] & UINT32_MAX;
                vcpu->flags = (vcpu->registers[CPU_R11] & 0x3c7fd7) | RFLAGS_RESERVED;
        } else {
                vcpu->next_rip = vcpu->registers[CPU_RCX] & UINT32_MAX;
                vcpu->flags |= FLAG_IF;
        }
        flat_segment(vcpu, CPU_CS, (uint16_t)((to_64 ? selector + 16 : selector) | 3),
                     (to_64 ? CODE_64 : CODE_32) | LEVEL_3);
        flat_segment(vcpu, CPU_SS, (uint16_t)((selector + 8) | 3), DATA | LEVEL_3);
        vcpu->cpl = 3;
        vcpu_find_mode(vcpu);
}

static void system_enter(struct vcpu *vcpu, const struct instruction *in)
{
        (void)in;
        /* AMD's processors have none in long mode: APM vol. 3, SYSENTER. */
        if (vcpu_long(vcpu))
                vcpu_fault(vcpu, EXCEPTION_UD);
        uint16_t selector = (uint16_t)(vcpu->sysenter_cs & 0xfffc);
        if (!vcpu_protected(vcpu) || !selector)
                refuse(vcpu);
        vcpu->flags &= ~(uint64_t)(FLAG_VM | FLAG_IF | FLAG_RF);
        flat_segment(vcpu, CPU_CS, selector, CODE_32);
        flat_segment(vcpu, CPU_SS, (uint16_t)(selector + 8), DATA);
        vcpu->registers[CPU_RSP] = vcpu->sysenter_rsp & UINT32_MAX;
        vcpu->next_rip = vcpu->sysenter_rip & UINT32_MAX;
        vcpu->cpl = 0;
        vcpu_find_mode(vcpu);
}

static void system_exit(struct vcpu *vcpu, const struct instruction *in)
{
        (void)in;
        if (vcpu_long(vcpu))
                vcpu_fault(vcpu, EXCEPTION_UD);
        uint16_t selector = (uint16_t)(vcpu->sysenter_cs & 0xfffc);
        if (!vcpu_protected(vcpu) || vcpu->cpl || !selector)
                refuse(vcpu);
        flat_segment(vcpu, CPU_CS, (uint16_t)((selector + 16) | 3), CODE_32 | LEVEL_3);
        flat_segment(vcpu, CPU_SS, (uint16_t)((selector + 24) | 3), DATA | LEVEL_3);
        vcpu->next_rip = vcpu->registers[CPU_RDX] & UINT32_MAX;
        vcpu->registers[CPU_RSP] = vcpu->registers[CPU_RCX] & UINT32_MAX;
        vcpu->cpl = 3;
        vcpu_find_mode(vcpu);
}

/* ---- The rest ---- */

static void halt(struct vcpu *vcpu, const struct instruction *in)
{
        (void)in;
        require_level_0(vcpu);
        vcpu->halted = true;
}

static void swap_gs(struct vcpu *vcpu, const struct instruction *in)
{
        (void)in;
        if (vcpu->mode != DECODE_64)
                vcpu_fault(vcpu, EXCEPTION_UD);
        require_level_0(vcpu);
        uint64_t base = vcpu->segments[CPU_GS].base;
        vcpu->segments[CPU_GS].base = vcpu->kernel_gs_base;
        vcpu->kernel_gs_base = base;
}

static void segment_base(struct vcpu *vcpu, const struct instruction *in)
{
        if (vcpu->mode != DECODE_64 || !(vcpu->cr4 & CR4_FSGSBASE))
                vcpu_fault(vcpu, EXCEPTION_UD);
        bool is_fs = in->operation == OPERATION_RDFSBASE || in->operation == OPERATION_WRFSBASE;
        bool writes = in->operation == OPERATION_WRFSBASE || in->operation == OPERATION_WRGSBASE;
        uint64_t *base = &vcpu->segments[is_fs ? CPU_FS : CPU_GS].base;
        if (!writes) {
                operand_write(vcpu, in, 0, *base);
                return;
        }
        uint64_t value = operand_read(vcpu, in, 0);
        if ((uint64_t)((int64_t)(value << 16) >> 16) != value)
                refuse(vcpu);
        *base = value;
}

static void access_check(struct vcpu *vcpu, const struct instruction *in)
{
        if (vcpu->cpl || !(vcpu->cr0 & CR0_PE))
                vcpu_fault(vcpu, EXCEPTION_UD);
        vcpu->flags = in->operation == OPERATION_STAC ? vcpu->flags | FLAG_AC : vcpu->flags & ~(uint64_t)FLAG_AC;
}

static void undefined(struct vcpu *vcpu, const struct instruction *in)
{
        (void)in;
        vcpu_fault(vcpu, EXCEPTION_UD);
}

const struct handler_row system_handlers[] = {
        { OPERATION_MOV_TO_CONTROL, move_to_control },
        { OPERATION_MOV_FROM_CONTROL, move_from_control },
        { OPERATION_MOV_TO_DEBUG, move_to_debug },
        { OPERATION_MOV_FROM_DEBUG, move_from_debug },
        { OPERATION_CLTS, clear_task_switched },
        { OPERATION_SMSW, store_machine_status },
        { OPERATION_LMSW, load_machine_status },
        { OPERATION_SGDT, store_table },
        { OPERATION_SIDT, store_table },
        { OPERATION_LGDT, load_table },
        { OPERATION_LIDT, load_table },
        { OPERATION_INVLPG, invalidate_page },
        { OPERATION_INVD, forget_caches },
        { OPERATION_WBINVD, forget_caches },
        { OPERATION_RDMSR, read_msr },
        { OPERATION_WRMSR, write_msr },
        { OPERATION_RDTSC, read_time },
        { OPERATION_RDTSCP, read_time },
        { OPERATION_CPUID, identify },
        { OPERATION_SYSCALL, system_call },
        { OPERATION_SYSRET, system_return },
        { OPERATION_SYSENTER, system_enter },
        { OPERATION_SYSEXIT, system_exit },
        { OPERATION_HLT, halt },
        { OPERATION_SWAPGS, swap_gs },
        { OPERATION_RDFSBASE, segment_base },
        { OPERATION_RDGSBASE, segment_base },
        { OPERATION_WRFSBASE, segment_base },
        { OPERATION_WRGSBASE, segment_base },
        { OPERATION_CLAC, access_check },
        { OPERATION_STAC, access_check },
        { OPERATION_UD, undefined },
        { 0 },
};
