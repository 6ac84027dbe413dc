/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Arithmetic, logic, data movement and flags: AMD64 APM vol. 3, chapter 3. */
#include "engine/soft/arithmetic.h"
#include "engine/soft/handlers.h"
#include "engine/soft/memory.h"
#include "engine/soft/operand.h"

static bool is_locked(const struct instruction *in)
{
        return in->prefixes & PREFIX_LOCK;
}

/* ---- In place ---- */

static uint64_t change_binary(struct vcpu *vcpu, const struct instruction *in, uint64_t old, uint64_t *flags)
{
        return arithmetic_binary(in->operation, in->operands[0].size, old, operand_read(vcpu, in, 1), flags);
}

static void binary(struct vcpu *vcpu, const struct instruction *in)
{
        operand_modify(vcpu, in, is_locked(in), change_binary);
}

static void compare(struct vcpu *vcpu, const struct instruction *in)
{
        uint64_t a = operand_read(vcpu, in, 0);
        arithmetic_binary(in->operation, in->operands[0].size, a, operand_read(vcpu, in, 1), &vcpu->flags);
}

static uint64_t change_unary(struct vcpu *vcpu, const struct instruction *in, uint64_t old, uint64_t *flags)
{
        (void)vcpu;
        return arithmetic_unary(in->operation, in->operands[0].size, old, flags);
}

static void unary(struct vcpu *vcpu, const struct instruction *in)
{
        operand_modify(vcpu, in, is_locked(in), change_unary);
}

static uint64_t change_shift(struct vcpu *vcpu, const struct instruction *in, uint64_t old, uint64_t *flags)
{
        uint8_t count = (uint8_t)operand_read(vcpu, in, 1);
        return arithmetic_shift(in->operation, in->operands[0].size, old, count, flags);
}

static void shift(struct vcpu *vcpu, const struct instruction *in)
{
        operand_modify(vcpu, in, false, change_shift);
}

static uint64_t change_double_shift(struct vcpu *vcpu, const struct instruction *in, uint64_t old, uint64_t *flags)
{
        uint8_t count = (uint8_t)operand_read(vcpu, in, 2);
        return arithmetic_double_shift(in->operation, in->operands[0].size, old, operand_read(vcpu, in, 1), count,
                                       flags);
}

static void double_shift(struct vcpu *vcpu, const struct instruction *in)
{
        operand_modify(vcpu, in, false, change_double_shift);
}

static uint64_t change_bit(struct vcpu *vcpu, const struct instruction *in, uint64_t old, uint64_t *flags)
{
        return arithmetic_bit(in->operation, in->operands[0].size, old, (unsigned)operand_read(vcpu, in, 1), flags);
}

/* With a register as index the bit may be anywhere in memory: the operand moves there. */
static void bit(struct vcpu *vcpu, const struct instruction *in)
{
        struct instruction moved = *in;
        unsigned size = in->operands[0].size;
        if (in->operands[0].kind == OPERAND_MEMORY && in->operands[1].kind == OPERAND_GENERAL) {
                unsigned unused = 64 - 8 * size;
                int64_t index = (int64_t)(operand_read(vcpu, in, 1) << unused) >> unused;
                moved.memory.displacement += (index >> (3 + __builtin_ctz(size))) * (int64_t)size;
        }
        if (in->operation == OPERATION_BT) {
                uint64_t value = operand_read(vcpu, &moved, 0);
                arithmetic_bit(OPERATION_BT, size, value, (unsigned)operand_read(vcpu, in, 1), &vcpu->flags);
        } else {
                operand_modify(vcpu, &moved, is_locked(in), change_bit);
        }
}

static uint64_t change_exchange(struct vcpu *vcpu, const struct instruction *in, uint64_t old, uint64_t *flags)
{
        (void)old;
        (void)flags;
        return operand_read(vcpu, in, 1);
}

/* XCHG with memory is locked with and without the prefix: APM vol. 3, XCHG. */
static void exchange(struct vcpu *vcpu, const struct instruction *in)
{
        uint64_t old = operand_modify(vcpu, in, true, change_exchange);
        operand_write(vcpu, in, 1, old);
}

static uint64_t change_exchange_add(struct vcpu *vcpu, const struct instruction *in, uint64_t old, uint64_t *flags)
{
        return arithmetic_binary(OPERATION_ADD, in->operands[0].size, old, operand_read(vcpu, in, 1), flags);
}

static void exchange_add(struct vcpu *vcpu, const struct instruction *in)
{
        if (in->operands[0].kind == OPERAND_MEMORY) {
                uint64_t old = operand_modify(vcpu, in, is_locked(in), change_exchange_add);
                operand_write(vcpu, in, 1, old);
                return;
        }
        /* Both may be the same register, which then holds the sum. */
        uint64_t flags = vcpu->flags, old = operand_read(vcpu, in, 0), sum = change_exchange_add(vcpu, in, old, &flags);
        operand_write(vcpu, in, 1, old);
        operand_write(vcpu, in, 0, sum);
        vcpu->flags = flags;
}

static uint64_t change_compare_exchange(struct vcpu *vcpu, const struct instruction *in, uint64_t old, uint64_t *flags)
{
        unsigned size = in->operands[0].size;
        arithmetic_binary(OPERATION_CMP, size, register_read(vcpu, CPU_RAX, size), old, flags);
        return *flags & FLAG_ZF ? operand_read(vcpu, in, 1) : old;
}

/* Where they differ, 32-bit registers keep their upper halves: what processors do. */
static void compare_exchange(struct vcpu *vcpu, const struct instruction *in)
{
        unsigned size = in->operands[0].size;
        uint64_t old;
        if (in->operands[0].kind == OPERAND_MEMORY) {
                old = operand_modify(vcpu, in, is_locked(in), change_compare_exchange);
        } else {
                old = operand_read(vcpu, in, 0);
                uint64_t value = change_compare_exchange(vcpu, in, old, &vcpu->flags);
                if (vcpu->flags & FLAG_ZF)
                        operand_write(vcpu, in, 0, value);
        }
        if (!(vcpu->flags & FLAG_ZF))
                register_write(vcpu, CPU_RAX, size, old);
}

/* Of 8 or 16 bytes at once: both halves are compared before either is written. */
static void compare_exchange_pair(struct vcpu *vcpu, const struct instruction *in)
{
        unsigned half = in->operand_size == 8 ? 8 : 4;
        uint64_t linear = operand_linear(vcpu, in, 2 * half, ACCESS_WRITE);
        if (half == 8 && linear % 16)
                vcpu_fault_code(vcpu, EXCEPTION_GP, 0);
        uint64_t low = register_read(vcpu, CPU_RAX, half), high = register_read(vcpu, CPU_RDX, half);
        uint64_t new_low = register_read(vcpu, CPU_RBX, half), new_high = register_read(vcpu, CPU_RCX, half);
        unsigned char *host = memory_direct(vcpu, linear, 2 * half, ACCESS_WRITE);
        bool equal;
        if (host && half == 8) {
                unsigned __int128 expected = (unsigned __int128)high << 64 | low;
                unsigned __int128 value = (unsigned __int128)new_high << 64 | new_low;
                unsigned __int128 found =
                        __sync_val_compare_and_swap((unsigned __int128 *)(void *)host, expected, value);
                equal = found == expected;
                low = (uint64_t)found;
                high = (uint64_t)(found >> 64);
        } else if (host) {
                uint64_t expected = high << 32 | low;
                uint64_t found =
                        __sync_val_compare_and_swap((uint64_t *)(void *)host, expected, new_high << 32 | new_low);
                equal = found == expected;
                low = found & UINT32_MAX;
                high = found >> 32;
        } else {
                uint64_t was_low = memory_read_to_write(vcpu, linear, half);
                uint64_t was_high = memory_read_to_write(vcpu, linear + half, half);
                equal = was_low == low && was_high == high;
                memory_write(vcpu, linear, half, equal ? new_low : was_low);
                memory_write(vcpu, linear + half, half, equal ? new_high : was_high);
                low = was_low;
                high = was_high;
        }
        vcpu->flags = (vcpu->flags & ~(uint64_t)FLAG_ZF) | (equal ? FLAG_ZF : 0);
        if (!equal) {
                register_write(vcpu, CPU_RAX, half, low);
                register_write(vcpu, CPU_RDX, half, high);
        }
}

/* ---- Multiplication and division ---- */

static void multiply(struct vcpu *vcpu, const struct instruction *in)
{
        unsigned size = in->operands[0].size;
        uint64_t low, a = register_read(vcpu, CPU_RAX, size), b = operand_read(vcpu, in, 0);
        uint64_t high = arithmetic_multiply(in->operation == OPERATION_IMUL, size, a, b, &low, &vcpu->flags);
        if (size == 1) {
                register_write(vcpu, CPU_RAX, 2, high << 8 | low);
                return;
        }
        register_write(vcpu, CPU_RAX, size, low);
        register_write(vcpu, CPU_RDX, size, high);
}

/* Two or three operands: the low half alone. */
static void multiply_signed(struct vcpu *vcpu, const struct instruction *in)
{
        bool three = in->operands[2].kind != OPERAND_NONE;
        uint64_t a = operand_read(vcpu, in, three ? 2 : 0), b = operand_read(vcpu, in, 1);
        operand_write(vcpu, in, 0, arithmetic_multiply_low(in->operands[0].size, a, b, &vcpu->flags));
}

static void divide(struct vcpu *vcpu, const struct instruction *in)
{
        unsigned size = in->operands[0].size;
        uint64_t ax = register_read(vcpu, CPU_RAX, 2);
        uint64_t low = size == 1 ? ax & 0xff : register_read(vcpu, CPU_RAX, size);
        uint64_t high = size == 1 ? ax >> 8 : register_read(vcpu, CPU_RDX, size);
        if (!arithmetic_divide(in->operation == OPERATION_IDIV, size, &high, &low, operand_read(vcpu, in, 0)))
                vcpu_fault(vcpu, EXCEPTION_DE);
        if (size == 1) {
                register_write(vcpu, CPU_RAX, 2, (high & 0xff) << 8 | (low & 0xff));
                return;
        }
        register_write(vcpu, CPU_RAX, size, low);
        register_write(vcpu, CPU_RDX, size, high);
}

static void decimal(struct vcpu *vcpu, const struct instruction *in)
{
        uint8_t base = (uint8_t)in->immediate;
        if (in->operation == OPERATION_AAM && !base)
                vcpu_fault(vcpu, EXCEPTION_DE);
        uint16_t ax = (uint16_t)vcpu->registers[CPU_RAX];
        register_write(vcpu, CPU_RAX, 2, arithmetic_decimal(in->operation, ax, base, &vcpu->flags));
}

/* ---- Bits ---- */

static void count(struct vcpu *vcpu, const struct instruction *in)
{
        unsigned size = in->operands[0].size;
        uint64_t source = operand_read(vcpu, in, 1), old = operand_read(vcpu, in, 0);
        /* TZCNT is of BMI1, which this CPU does not have: then its prefix means nothing. */
        enum operation operation = in->operation == OPERATION_TZCNT ? OPERATION_BSF : in->operation;
        bool scans = operation == OPERATION_BSF || operation == OPERATION_BSR;
        uint64_t value = arithmetic_count(operation, size, old, source, &vcpu->flags);
        /* A scan of zero writes nothing, not even the upper half. */
        if (source || !scans)
                operand_write(vcpu, in, 0, value);
}

static void byte_swap(struct vcpu *vcpu, const struct instruction *in)
{
        uint64_t value = operand_read(vcpu, in, 0);
        /* 16 bits: undefined, and 0 on processors. */
        value = in->operands[0].size == 8   ? __builtin_bswap64(value)
                : in->operands[0].size == 4 ? __builtin_bswap32((uint32_t)value)
                                            : 0;
        operand_write(vcpu, in, 0, value);
}

static void checksum(struct vcpu *vcpu, const struct instruction *in)
{
        uint32_t crc = (uint32_t)operand_read(vcpu, in, 0);
        operand_write(vcpu, in, 0, arithmetic_crc32(crc, operand_read(vcpu, in, 1), in->operands[1].size));
}

static void add_carry(struct vcpu *vcpu, const struct instruction *in)
{
        uint64_t flag = in->operation == OPERATION_ADCX ? FLAG_CF : FLAG_OF, a = operand_read(vcpu, in, 0);
        uint64_t b = operand_read(vcpu, in, 1);
        operand_write(vcpu, in, 0, arithmetic_add_carry(in->operands[0].size, a, b, flag, &vcpu->flags));
}

/* ---- Data movement ---- */

static void move(struct vcpu *vcpu, const struct instruction *in)
{
        operand_write(vcpu, in, 0, operand_read(vcpu, in, 1));
}

static void move_signed(struct vcpu *vcpu, const struct instruction *in)
{
        unsigned unused = 64 - 8 * in->operands[1].size;
        operand_write(vcpu, in, 0, (uint64_t)((int64_t)(operand_read(vcpu, in, 1) << unused) >> unused));
}

static void move_swapped(struct vcpu *vcpu, const struct instruction *in)
{
        unsigned size = in->operands[0].size;
        operand_write(vcpu, in, 0, __builtin_bswap64(operand_read(vcpu, in, 1)) >> (64 - 8 * size));
}

static void load_address(struct vcpu *vcpu, const struct instruction *in)
{
        operand_write(vcpu, in, 0, operand_offset(vcpu, in));
}

static void move_if(struct vcpu *vcpu, const struct instruction *in)
{
        /* The source is read, and a 32-bit destination's upper half cleared, whatever the condition. */
        uint64_t source = operand_read(vcpu, in, 1);
        bool moves = arithmetic_condition(in->opcode, vcpu->flags);
        operand_write(vcpu, in, 0, moves ? source : operand_read(vcpu, in, 0));
}

static void set_if(struct vcpu *vcpu, const struct instruction *in)
{
        operand_write(vcpu, in, 0, arithmetic_condition(in->opcode, vcpu->flags));
}

/* CBW, CWDE, CDQE */
static void widen(struct vcpu *vcpu, const struct instruction *in)
{
        unsigned size = in->operand_size, unused = 64 - 4 * size;
        uint64_t value = register_read(vcpu, CPU_RAX, size / 2);
        register_write(vcpu, CPU_RAX, size, (uint64_t)((int64_t)(value << unused) >> unused));
}

/* CWD, CDQ, CQO */
static void widen_to_dx(struct vcpu *vcpu, const struct instruction *in)
{
        unsigned size = in->operand_size;
        bool negative = register_read(vcpu, CPU_RAX, size) >> (8 * size - 1);
        register_write(vcpu, CPU_RDX, size, negative ? UINT64_MAX : 0);
}

static void translate(struct vcpu *vcpu, const struct instruction *in)
{
        uint64_t offset = (vcpu->registers[CPU_RBX] + (vcpu->registers[CPU_RAX] & 0xff)) & size_mask(in->address_size);
        uint64_t linear = memory_linear(vcpu, in->memory.segment, offset, 1, ACCESS_READ);
        register_write(vcpu, CPU_RAX, 1, memory_read(vcpu, linear, 1));
}

/* ---- The stack ---- */

static void push(struct vcpu *vcpu, const struct instruction *in)
{
        stack_push(vcpu, in->operand_size, operand_read(vcpu, in, 0));
}

/* POP [rSP + n] counts from the pointer as it is afterwards: APM vol. 3, POP. */
static void pop(struct vcpu *vcpu, const struct instruction *in)
{
        uint64_t value = stack_peek(vcpu, in->operand_size, 0), pointer = vcpu->registers[CPU_RSP];
        if (in->operands[0].kind == OPERAND_MEMORY) {
                stack_move(vcpu, in->operand_size);
                uint64_t after = vcpu->registers[CPU_RSP], offset = operand_offset(vcpu, in);
                vcpu->registers[CPU_RSP] = pointer;
                memory_write(vcpu, memory_linear(vcpu, in->memory.segment, offset, in->operand_size, ACCESS_WRITE),
                             in->operand_size, value);
                vcpu->registers[CPU_RSP] = after;
                return;
        }
        stack_move(vcpu, in->operand_size);
        operand_write(vcpu, in, 0, value);
}

static void push_all(struct vcpu *vcpu, const struct instruction *in)
{
        uint64_t pointer = vcpu->registers[CPU_RSP];
        unsigned size = in->operand_size;
        vcpu_checkpoint(vcpu);
        for (unsigned i = CPU_RAX; i <= CPU_RDI; i++)
                stack_push(vcpu, size, i == CPU_RSP ? pointer : vcpu->registers[i]);
}

static void pop_all(struct vcpu *vcpu, const struct instruction *in)
{
        uint64_t values[8];
        unsigned size = in->operand_size;
        for (unsigned i = 0; i < 8; i++)
                values[i] = stack_peek(vcpu, size, (uint64_t)i * size);
        stack_move(vcpu, 8 * (int64_t)size);
        for (unsigned i = 0; i < 8; i++)
                if (CPU_RDI - i != CPU_RSP)
                        register_write(vcpu, CPU_RDI - i, size, values[i]);
}

static void enter(struct vcpu *vcpu, const struct instruction *in)
{
        unsigned size = in->operand_size, level = in->immediate_2 & 31;
        uint64_t frame_base = vcpu->registers[CPU_RBP];
        vcpu_checkpoint(vcpu);
        stack_push(vcpu, size, frame_base);
        uint64_t frame = vcpu->registers[CPU_RSP];
        for (unsigned i = 1; i < level; i++) {
                uint64_t from = (frame_base - (uint64_t)i * size) & stack_mask(vcpu);
                stack_push(vcpu, size, memory_read(vcpu, memory_linear(vcpu, CPU_SS, from, size, ACCESS_READ), size));
        }
        if (level)
                stack_push(vcpu, size, frame);
        stack_move(vcpu, -(int64_t)(in->immediate & 0xffff));
        /* The new top must be writable: APM vol. 3, ENTER. */
        stack_probe(vcpu, size);
        register_write(vcpu, CPU_RBP, size, frame);
}

static void leave(struct vcpu *vcpu, const struct instruction *in)
{
        uint64_t pointer = vcpu->registers[CPU_RSP], frame = vcpu->registers[CPU_RBP];
        uint64_t mask = stack_mask(vcpu);
        uint64_t value = memory_read(vcpu, memory_linear(vcpu, CPU_SS, frame & mask, in->operand_size, ACCESS_READ),
                                     in->operand_size);
        vcpu->registers[CPU_RSP] = (pointer & ~mask) | (frame & mask);
        stack_move(vcpu, in->operand_size);
        register_write(vcpu, CPU_RBP, in->operand_size, value);
}

/* ---- Flags ---- */

static void change_flag(struct vcpu *vcpu, const struct instruction *in)
{
        switch (in->operation) {
        case OPERATION_CLC: vcpu->flags &= ~(uint64_t)FLAG_CF; break;
        case OPERATION_STC: vcpu->flags |= FLAG_CF; break;
        case OPERATION_CMC: vcpu->flags ^= FLAG_CF; break;
        case OPERATION_CLD: vcpu->flags &= ~(uint64_t)FLAG_DF; break;
        default: /* STD */ vcpu->flags |= FLAG_DF; break;
        }
}

static void load_flags(struct vcpu *vcpu, const struct instruction *in)
{
        (void)in;
        uint64_t flags = (vcpu->flags & 0xd5) | RFLAGS_RESERVED;
        vcpu->registers[CPU_RAX] = (vcpu->registers[CPU_RAX] & ~0xff00ULL) | flags << 8;
}

static void store_flags(struct vcpu *vcpu, const struct instruction *in)
{
        (void)in;
        vcpu->flags = (vcpu->flags & ~0xd5ULL) | (vcpu->registers[CPU_RAX] >> 8 & 0xd5);
}

static void carry_to_al(struct vcpu *vcpu, const struct instruction *in)
{
        (void)in;
        register_write(vcpu, CPU_RAX, 1, vcpu->flags & FLAG_CF ? 0xff : 0);
}

static void nothing(struct vcpu *vcpu, const struct instruction *in)
{
        (void)vcpu;
        (void)in;
}

/* Guest memory is the host's: its fence orders what this thread does for the guest as well. */
static void fence(struct vcpu *vcpu, const struct instruction *in)
{
        (void)vcpu;
        (void)in;
        atomic_thread_fence(memory_order_seq_cst);
}

const struct handler_row integer_handlers[] = {
        { OPERATION_ADD, binary },
        { OPERATION_OR, binary },
        { OPERATION_ADC, binary },
        { OPERATION_SBB, binary },
        { OPERATION_AND, binary },
        { OPERATION_SUB, binary },
        { OPERATION_XOR, binary },
        { OPERATION_CMP, compare },
        { OPERATION_TEST, compare },
        { OPERATION_NOT, unary },
        { OPERATION_NEG, unary },
        { OPERATION_INC, unary },
        { OPERATION_DEC, unary },
        { OPERATION_MUL, multiply },
        { OPERATION_IMUL, multiply },
        { OPERATION_IMUL2, multiply_signed },
        { OPERATION_DIV, divide },
        { OPERATION_IDIV, divide },
        { OPERATION_ROL, shift },
        { OPERATION_ROR, shift },
        { OPERATION_RCL, shift },
        { OPERATION_RCR, shift },
        { OPERATION_SHL, shift },
        { OPERATION_SHR, shift },
        { OPERATION_SAR, shift },
        { OPERATION_SHLD, double_shift },
        { OPERATION_SHRD, double_shift },
        { OPERATION_BT, bit },
        { OPERATION_BTS, bit },
        { OPERATION_BTR, bit },
        { OPERATION_BTC, bit },
        { OPERATION_BSF, count },
        { OPERATION_BSR, count },
        { OPERATION_TZCNT, count },
        { OPERATION_LZCNT, count },
        { OPERATION_POPCNT, count },
        { OPERATION_BSWAP, byte_swap },
        { OPERATION_CRC32, checksum },
        { OPERATION_ADCX, add_carry },
        { OPERATION_ADOX, add_carry },
        { OPERATION_DAA, decimal },
        { OPERATION_DAS, decimal },
        { OPERATION_AAA, decimal },
        { OPERATION_AAS, decimal },
        { OPERATION_AAM, decimal },
        { OPERATION_AAD, decimal },
        { OPERATION_MOV, move },
        { OPERATION_MOVZX, move },
        { OPERATION_MOVNTI, move },
        { OPERATION_MOVSX, move_signed },
        { OPERATION_MOVBE, move_swapped },
        { OPERATION_LEA, load_address },
        { OPERATION_XCHG, exchange },
        { OPERATION_XADD, exchange_add },
        { OPERATION_CMPXCHG, compare_exchange },
        { OPERATION_CMPXCHG8B, compare_exchange_pair },
        { OPERATION_CMOVCC, move_if },
        { OPERATION_SETCC, set_if },
        { OPERATION_PUSH, push },
        { OPERATION_POP, pop },
        { OPERATION_PUSHA, push_all },
        { OPERATION_POPA, pop_all },
        { OPERATION_ENTER, enter },
        { OPERATION_LEAVE, leave },
        { OPERATION_XLAT, translate },
        { OPERATION_WIDEN, widen },
        { OPERATION_WIDEN_DX, widen_to_dx },
        { OPERATION_CLC, change_flag },
        { OPERATION_STC, change_flag },
        { OPERATION_CMC, change_flag },
        { OPERATION_CLD, change_flag },
        { OPERATION_STD, change_flag },
        { OPERATION_LAHF, load_flags },
        { OPERATION_SAHF, store_flags },
        { OPERATION_SALC, carry_to_al },
        { OPERATION_NOP, nothing },
        { OPERATION_PAUSE, nothing },
        { OPERATION_LFENCE, nothing },
        { OPERATION_MFENCE, fence },
        { OPERATION_SFENCE, nothing },
        { OPERATION_CLFLUSH, nothing },
        { 0 },
};
