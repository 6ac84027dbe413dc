/* SPDX-License-Identifier: GPL-2.0-or-later */
/* x87, MMX and SSE: what they need of the CPU's state, and their execution as they stand. AMD64 APM vols. 4 and 5. */
#include <string.h>

#include "engine/soft/handlers.h"
#include "engine/soft/memory.h"
#include "engine/soft/operand.h"
#include "engine/soft/thunk.h"

enum { CR0_EM = 1 << 2, CR0_TS = 1 << 3 };
/* Places in the area of FXSAVE: APM vol. 2, figure 11-3. */
enum {
        FX_CONTROL = 0,
        FX_STATUS = 2,
        FX_TAGS = 4,
        FX_OPCODE = 6,
        FX_MXCSR = 24,
        FX_MXCSR_MASK = 28,
        FX_MMX = 32,
        FX_XMM = 160,
        FX_SIZE = 512
};
#define MXCSR_FLAGS 0x3f
#define MXCSR_MASKS 0x1f80
#define MXCSR_VALID 0xffff

static uint32_t mxcsr(const struct vcpu *vcpu)
{
        uint32_t value;
        memcpy(&value, vcpu->floating_point + FX_MXCSR, 4);
        return value;
}

static void set_mxcsr(uint8_t *area, uint32_t value)
{
        memcpy(area + FX_MXCSR, &value, 4);
}

/* APM vol. 2, table 8-6 and vol. 4, section 1.4: who may run such an instruction now. */
static void require_x87(struct vcpu *vcpu)
{
        if (vcpu->cr0 & (CR0_EM | CR0_TS))
                vcpu_fault(vcpu, EXCEPTION_NM);
}

static void require_vector(struct vcpu *vcpu, bool is_mmx)
{
        if (vcpu->cr0 & CR0_EM || (!is_mmx && !(vcpu->cr4 & CR4_OSFXSR)))
                vcpu_fault(vcpu, EXCEPTION_UD);
        if (vcpu->cr0 & CR0_TS)
                vcpu_fault(vcpu, EXCEPTION_NM);
}

/* An unmasked exception of an earlier x87 instruction; the host must not meet it. */
static void require_none_pending(struct vcpu *vcpu)
{
        uint16_t control, status;
        memcpy(&control, vcpu->floating_point + FX_CONTROL, 2);
        memcpy(&status, vcpu->floating_point + FX_STATUS, 2);
        if (status & ~control & 0x3f)
                vcpu_fault(vcpu, EXCEPTION_MF);
}

static bool is_mmx(const struct instruction *in)
{
        return in->operands[0].kind == OPERAND_MMX || in->operands[1].kind == OPERAND_MMX;
}

/* Most memory operands of 16 bytes must be aligned: APM vol. 4, section 1.3.3. These need not. */
static bool may_be_unaligned(const struct instruction *in)
{
        if (in->map == 3)
                return (in->opcode >= 0x60 && in->opcode <= 0x63) || in->opcode == 0xcc;
        if (in->map == 2)
                return in->opcode >= 0xc8 && in->opcode <= 0xcd;
        if (in->map != 1)
                return false;
        bool rep = in->prefixes & PREFIX_REP, repne = in->prefixes & PREFIX_REPNE;
        return in->opcode == 0x10 || in->opcode == 0x11 || (rep && (in->opcode == 0x6f || in->opcode == 0x7f)) ||
               (repne && in->opcode == 0xf0);
}

/*
 * What cpuid.c does not offer is not run, as the host may not have it: SHA, AES, GFNI and carry-less multiplication. The guest's
 * programs would else bring this process down.
 */
static bool is_offered(const struct instruction *in)
{
        if (in->map == 2)
                return in->opcode < 0xc8 || in->opcode > 0xdf;
        return in->map != 3 || (in->opcode != 0x44 && in->opcode < 0xcc);
}

/* FIP, FDP and FOP are those of the host's last x87 instruction: an address of ours, and none of the guest's business. */
static void forget_pointers(uint8_t *area)
{
        memset(area + FX_OPCODE, 0, FX_MXCSR - FX_OPCODE);
}

/*
 * It runs with all SIMD exceptions masked. Where the guest has some unmasked and one of them would have been raised, nothing
 * of the result stays.
 */
static void run_vector_masked(struct vcpu *vcpu, const struct instruction *in, struct thunk_frame *frame)
{
        uint32_t control = mxcsr(vcpu), after;
        set_mxcsr(frame->fx, (control & ~(uint32_t)MXCSR_FLAGS) | MXCSR_MASKS);
        if (thunk_run(vcpu->thunk, in, frame) < 0)
                vcpu_fault(vcpu, EXCEPTION_UD);
        memcpy(&after, frame->fx + FX_MXCSR, 4);
        uint32_t raised = after & MXCSR_FLAGS;
        set_mxcsr(frame->fx, control | raised);
        if (raised & ~(control >> 7)) {
                set_mxcsr(vcpu->floating_point, control | raised);
                vcpu_fault(vcpu, vcpu->cr4 & CR4_OSXMMEXCPT ? EXCEPTION_XF : EXCEPTION_UD);
        }
}

/* Loads and stores of the environment, FINIT and FCLEX see the masks themselves, and raise nothing. */
static bool is_x87_control(const struct instruction *in)
{
        unsigned reg = in->modrm >> 3 & 7;
        if (in->modrm < 0xc0)
                return (in->opcode == 0xd9 && reg >= 4) || (in->opcode == 0xdd && (reg == 4 || reg >= 6));
        return in->opcode == 0xdb && (in->modrm == 0xe2 || in->modrm == 0xe3);
}

/* Those that do not wait for an exception that is pending: APM vol. 5, section 6.4.5. */
static bool waits(const struct instruction *in)
{
        unsigned reg = in->modrm >> 3 & 7;
        bool stores = in->modrm < 0xc0 && ((in->opcode == 0xd9 && reg >= 6) || (in->opcode == 0xdd && reg >= 6));
        bool status = in->opcode == 0xdf && in->modrm == 0xe0;
        return !stores && !status && !(in->modrm >= 0xc0 && is_x87_control(in));
}

#define STATUS_PENDING 0x8080 /* summary and busy */

static void run_x87_masked(struct vcpu *vcpu, const struct instruction *in, struct thunk_frame *frame)
{
        uint16_t control, status;
        memcpy(&control, frame->fx + FX_CONTROL, 2);
        memcpy(&status, frame->fx + FX_STATUS, 2);
        if (waits(in) && status & ~control & 0x3f)
                vcpu_fault(vcpu, EXCEPTION_MF);
        bool masks = !is_x87_control(in);
        uint16_t masked = control | 0x3f, quiet = (uint16_t)(status & ~STATUS_PENDING);
        if (masks)
                memcpy(frame->fx + FX_CONTROL, &masked, 2);
        if (status & ~control & 0x3f)
                memcpy(frame->fx + FX_STATUS, &quiet, 2);
        set_mxcsr(frame->fx, MXCSR_MASKS);
        if (thunk_run(vcpu->thunk, in, frame) < 0)
                vcpu_fault(vcpu, EXCEPTION_UD);
        set_mxcsr(frame->fx, mxcsr(vcpu));
        if (masks)
                memcpy(frame->fx + FX_CONTROL, &control, 2);
        memcpy(&control, frame->fx + FX_CONTROL, 2);
        memcpy(&status, frame->fx + FX_STATUS, 2);
        status = (uint16_t)(status & ~STATUS_PENDING) | (status & ~control & 0x3f ? STATUS_PENDING : 0);
        memcpy(frame->fx + FX_STATUS, &status, 2);
}

static void take_registers(const struct vcpu *vcpu, const struct instruction *in, struct thunk_frame *frame)
{
        memcpy(frame->fx, vcpu->floating_point, FX_SIZE);
        frame->rax = vcpu->registers[CPU_RAX];
        frame->rcx = vcpu->registers[CPU_RCX];
        frame->rdx = vcpu->registers[CPU_RDX];
        frame->reg = in->touches & TOUCHES_GENERAL_REG ? vcpu->registers[in->operands[0].index] : 0;
        if (in->touches & TOUCHES_GENERAL_RM && in->operation == OPERATION_VECTOR)
                frame->rcx = vcpu->registers[in->operands[1].index];
        frame->flags = vcpu->flags & FLAGS_ARITHMETIC;
}

static void give_registers(struct vcpu *vcpu, const struct instruction *in, struct thunk_frame *frame)
{
        forget_pointers(frame->fx);
        memcpy(vcpu->floating_point, frame->fx, FX_SIZE);
        if (in->touches & TOUCHES_GENERAL_REG)
                register_write(vcpu, in->operands[0].index, in->operands[0].size, frame->reg);
        if (in->touches & TOUCHES_RM_WRITE)
                register_write(vcpu, in->operands[1].index, in->operands[1].size, frame->rcx);
        if (in->operation == OPERATION_X87 && in->touches & TOUCHES_GENERAL_RM) /* FNSTSW AX */
                register_write(vcpu, CPU_RAX, 2, frame->rax);
        if (in->touches & TOUCHES_RCX)
                register_write(vcpu, CPU_RCX, 4, frame->rcx);
        if (in->touches & TOUCHES_FLAGS)
                vcpu->flags = (vcpu->flags & ~(uint64_t)FLAGS_ARITHMETIC) | (frame->flags & FLAGS_ARITHMETIC);
}

/* Comes before the address is looked at. */
static void require_aligned(struct vcpu *vcpu, const struct instruction *in)
{
        bool has_base = vcpu->mode != DECODE_64 || in->memory.segment >= CPU_FS;
        uint64_t base = has_base ? vcpu->segments[in->memory.segment].base : 0;
        if ((base + operand_offset(vcpu, in)) % 16)
                vcpu_fault_code(vcpu, EXCEPTION_GP, 0);
}

static void run_as_it_stands(struct vcpu *vcpu, const struct instruction *in, unsigned memory_operand)
{
        struct thunk_frame frame;
        unsigned size = in->operands[memory_operand].size;
        bool has_memory = in->operands[memory_operand].kind == OPERAND_MEMORY;
        bool writes = has_memory && in->touches & TOUCHES_MEMORY_WRITE;
        if (in->operation == OPERATION_VECTOR && has_memory && size == 16 && !may_be_unaligned(in))
                require_aligned(vcpu, in);
        uint64_t linear = has_memory ? operand_linear(vcpu, in, size, writes ? ACCESS_WRITE : ACCESS_READ) : 0;
        memset(frame.memory, 0, sizeof(frame.memory)); /* what is not written must not show our stack */
        if (has_memory && in->touches & TOUCHES_MEMORY_READ)
                memory_read_bytes(vcpu, linear, frame.memory, size);
        take_registers(vcpu, in, &frame);
        if (in->operation == OPERATION_X87)
                run_x87_masked(vcpu, in, &frame);
        else
                run_vector_masked(vcpu, in, &frame);
        if (writes)
                memory_write_bytes(vcpu, linear, frame.memory, size);
        give_registers(vcpu, in, &frame);
}

/* MASKMOVQ, MASKMOVDQU: bytes of the first register whose mask has the highest bit set go to DS:rDI. */
static void store_masked(struct vcpu *vcpu, const struct instruction *in)
{
        bool mmx = is_mmx(in);
        unsigned size = mmx ? 8 : 16, base = mmx ? FX_MMX : FX_XMM;
        const uint8_t *data = vcpu->floating_point + base + 16 * in->operands[0].index;
        const uint8_t *mask = vcpu->floating_point + base + 16 * in->operands[1].index;
        uint64_t offset = register_read(vcpu, CPU_RDI, in->address_size);
        uint64_t linear = memory_linear(vcpu, in->memory.segment, offset, size, ACCESS_WRITE);
        for (unsigned i = 0; i < size; i++)
                if (mask[i] & 0x80)
                        memory_write(vcpu, linear + i, 1, data[i]);
        if (mmx) { /* as every MMX instruction: all registers valid, the top is the first */
                vcpu->floating_point[FX_TAGS] = 0xff;
                vcpu->floating_point[FX_STATUS + 1] &= (uint8_t)~0x38;
        }
}

static void run_vector(struct vcpu *vcpu, const struct instruction *in)
{
        if (!is_offered(in))
                vcpu_fault(vcpu, EXCEPTION_UD);
        require_vector(vcpu, is_mmx(in));
        if (is_mmx(in))
                require_none_pending(vcpu);
        if (in->touches & TOUCHES_RDI)
                store_masked(vcpu, in);
        else
                run_as_it_stands(vcpu, in, 1);
}

static void run_x87(struct vcpu *vcpu, const struct instruction *in)
{
        require_x87(vcpu);
        run_as_it_stands(vcpu, in, 0);
}

static void empty_mmx(struct vcpu *vcpu, const struct instruction *in)
{
        (void)in;
        require_vector(vcpu, true);
        require_none_pending(vcpu);
        memset(vcpu->floating_point + FX_TAGS, 0, 2);
}

static void wait(struct vcpu *vcpu, const struct instruction *in)
{
        (void)in;
        if ((vcpu->cr0 & (CR0_MP | CR0_TS)) == (CR0_MP | CR0_TS))
                vcpu_fault(vcpu, EXCEPTION_NM);
        require_none_pending(vcpu);
}

/* ---- The state as a whole ---- */

static void require_state(struct vcpu *vcpu)
{
        if (vcpu->cr0 & (CR0_EM | CR0_TS))
                vcpu_fault(vcpu, EXCEPTION_NM);
}

/* FXSAVE with 64-bit operands keeps wide pointers, which are 0 here; the rest is one form. */
static void save_state(struct vcpu *vcpu, const struct instruction *in)
{
        require_state(vcpu);
        uint64_t linear = operand_linear(vcpu, in, FX_SIZE, ACCESS_WRITE);
        if (linear % 16)
                vcpu_fault_code(vcpu, EXCEPTION_GP, 0);
        uint32_t valid = MXCSR_VALID;
        memcpy(vcpu->floating_point + FX_MXCSR_MASK, &valid, 4);
        bool has_xmm = vcpu->cr4 & CR4_OSFXSR;
        unsigned registers = vcpu->mode == DECODE_64 ? 16 : 8;
        memory_write_bytes(vcpu, linear, vcpu->floating_point, has_xmm ? FX_XMM + 16 * registers : FX_XMM);
}

static void restore_state(struct vcpu *vcpu, const struct instruction *in)
{
        require_state(vcpu);
        uint64_t linear = operand_linear(vcpu, in, FX_SIZE, ACCESS_READ);
        if (linear % 16)
                vcpu_fault_code(vcpu, EXCEPTION_GP, 0);
        uint8_t area[FX_SIZE];
        memcpy(area, vcpu->floating_point, FX_SIZE);
        bool has_xmm = vcpu->cr4 & CR4_OSFXSR;
        unsigned registers = vcpu->mode == DECODE_64 ? 16 : 8;
        memory_read_bytes(vcpu, linear, area, has_xmm ? FX_XMM + 16 * registers : FX_XMM);
        if (!has_xmm)
                set_mxcsr(area, mxcsr(vcpu));
        uint32_t control;
        memcpy(&control, area + FX_MXCSR, 4);
        if (control & ~(uint32_t)MXCSR_VALID)
                vcpu_fault_code(vcpu, EXCEPTION_GP, 0);
        forget_pointers(area);
        memcpy(vcpu->floating_point, area, FX_SIZE);
}

static void load_control(struct vcpu *vcpu, const struct instruction *in)
{
        require_vector(vcpu, false);
        uint32_t value = (uint32_t)memory_read(vcpu, operand_linear(vcpu, in, 4, ACCESS_READ), 4);
        if (value & ~(uint32_t)MXCSR_VALID)
                vcpu_fault_code(vcpu, EXCEPTION_GP, 0);
        set_mxcsr(vcpu->floating_point, value);
}

static void store_control(struct vcpu *vcpu, const struct instruction *in)
{
        require_vector(vcpu, false);
        memory_write(vcpu, operand_linear(vcpu, in, 4, ACCESS_WRITE), 4, mxcsr(vcpu));
}

const struct handler_row vector_handlers[] = {
        { OPERATION_VECTOR, run_vector },    { OPERATION_X87, run_x87 },           { OPERATION_EMMS, empty_mmx },
        { OPERATION_FWAIT, wait },           { OPERATION_FXSAVE, save_state },     { OPERATION_FXRSTOR, restore_state },
        { OPERATION_LDMXCSR, load_control }, { OPERATION_STMXCSR, store_control }, { 0 },
};
