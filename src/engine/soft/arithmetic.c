/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Compiled without a red zone: PUSHF writes below the stack pointer. */
#include "engine/soft/arithmetic.h"

#include <stddef.h>

#include "engine/soft/vcpu.h"

static void put_flags(uint64_t *flags, uint64_t found, uint64_t which)
{
        *flags = (*flags & ~which) | (found & which);
}

/* One function for each width: `instruction` is the host's, with the suffix that the width wants. */
#define WIDTHS(X, ...)                                                                                                 \
        X(uint8_t, b, __VA_ARGS__) X(uint16_t, w, __VA_ARGS__) X(uint32_t, l, __VA_ARGS__) X(uint64_t, q, __VA_ARGS__)

#define BINARY(type, suffix, name)                                                                                     \
        static uint64_t name##_##suffix(uint64_t a, uint64_t b, uint64_t *flags)                                       \
        {                                                                                                              \
                type value = (type)a;                                                                                  \
                uint64_t found;                                                                                        \
                __asm__("btl $0, %k3\n\t" #name #suffix " %2, %0\n\tpushfq\n\tpopq %1"                                 \
                        : "+r"(value), "=&r"(found)                                                                    \
                        : "r"((type)b), "r"((uint32_t)*flags)                                                          \
                        : "cc", "memory");                                                                             \
                put_flags(flags, found, FLAGS_ARITHMETIC);                                                             \
                return value;                                                                                          \
        }
WIDTHS(BINARY, add)
WIDTHS(BINARY, or)
WIDTHS(BINARY, adc)
WIDTHS(BINARY, sbb)
WIDTHS(BINARY, and)
WIDTHS(BINARY, sub)
WIDTHS(BINARY, xor)
WIDTHS(BINARY, cmp)
WIDTHS(BINARY, test)

#define UNARY(type, suffix, name, which)                                                                               \
        static uint64_t name##_##suffix(uint64_t a, uint64_t *flags)                                                   \
        {                                                                                                              \
                type value = (type)a;                                                                                  \
                uint64_t found;                                                                                        \
                __asm__(#name #suffix " %0\n\tpushfq\n\tpopq %1" : "+r"(value), "=&r"(found) : : "cc", "memory");      \
                put_flags(flags, found, which);                                                                        \
                return value;                                                                                          \
        }
WIDTHS(UNARY, not, 0)
WIDTHS(UNARY, neg, FLAGS_ARITHMETIC)
WIDTHS(UNARY, inc, FLAGS_ARITHMETIC & ~FLAG_CF)
WIDTHS(UNARY, dec, FLAGS_ARITHMETIC & ~FLAG_CF)

/* The flags go in as a whole: what a shift leaves alone, and RCL and RCR's carry. */
#define SHIFT(type, suffix, name)                                                                                      \
        static uint64_t name##_##suffix(uint64_t a, uint8_t count, uint64_t *flags)                                    \
        {                                                                                                              \
                type value = (type)a;                                                                                  \
                uint64_t found = *flags & FLAGS_ARITHMETIC;                                                            \
                __asm__("pushq %1\n\tpopfq\n\t" #name #suffix " %%cl, %0\n\tpushfq\n\tpopq %1"                         \
                        : "+r"(value), "+r"(found)                                                                     \
                        : "c"(count)                                                                                   \
                        : "cc", "memory");                                                                             \
                put_flags(flags, found, FLAGS_ARITHMETIC);                                                             \
                return value;                                                                                          \
        }
WIDTHS(SHIFT, rol)
WIDTHS(SHIFT, ror)
WIDTHS(SHIFT, rcl)
WIDTHS(SHIFT, rcr)
WIDTHS(SHIFT, shl)
WIDTHS(SHIFT, shr)
WIDTHS(SHIFT, sar)

typedef uint64_t (*binary_function)(uint64_t, uint64_t, uint64_t *);
typedef uint64_t (*unary_function)(uint64_t, uint64_t *);
typedef uint64_t (*shift_function)(uint64_t, uint8_t, uint64_t *);

#define BY_WIDTH(name)                                                                                                 \
        {                                                                                                              \
                name##_b, name##_w, name##_l, name##_q                                                                 \
        }

static unsigned width_of(unsigned size)
{
        return (unsigned)__builtin_ctz(size);
}

uint64_t arithmetic_binary(enum operation operation, unsigned size, uint64_t a, uint64_t b, uint64_t *flags)
{
        static const binary_function functions[][4] = {
                [OPERATION_ADD] = BY_WIDTH(add), [OPERATION_OR] = BY_WIDTH(or),   [OPERATION_ADC] = BY_WIDTH(adc),
                [OPERATION_SBB] = BY_WIDTH(sbb), [OPERATION_AND] = BY_WIDTH(and), [OPERATION_SUB] = BY_WIDTH(sub),
                [OPERATION_XOR] = BY_WIDTH(xor), [OPERATION_CMP] = BY_WIDTH(cmp), [OPERATION_TEST] = BY_WIDTH(test),
        };
        return functions[operation][width_of(size)](a, b, flags);
}

uint64_t arithmetic_unary(enum operation operation, unsigned size, uint64_t a, uint64_t *flags)
{
        static const unary_function functions[][4] = {
                [OPERATION_NOT] = BY_WIDTH(not ),
                [OPERATION_NEG] = BY_WIDTH(neg),
                [OPERATION_INC] = BY_WIDTH(inc),
                [OPERATION_DEC] = BY_WIDTH(dec),
        };
        return functions[operation][width_of(size)](a, flags);
}

uint64_t arithmetic_shift(enum operation operation, unsigned size, uint64_t a, uint8_t count, uint64_t *flags)
{
        static const shift_function functions[][4] = {
                [OPERATION_ROL] = BY_WIDTH(rol), [OPERATION_ROR] = BY_WIDTH(ror), [OPERATION_RCL] = BY_WIDTH(rcl),
                [OPERATION_RCR] = BY_WIDTH(rcr), [OPERATION_SHL] = BY_WIDTH(shl), [OPERATION_SHR] = BY_WIDTH(shr),
                [OPERATION_SAR] = BY_WIDTH(sar),
        };
        return functions[operation][width_of(size)](a, count, flags);
}

#define DOUBLE_SHIFT(type, suffix, name)                                                                               \
        static uint64_t name##_##suffix(uint64_t a, uint64_t b, uint8_t count, uint64_t *flags)                        \
        {                                                                                                              \
                type value = (type)a;                                                                                  \
                uint64_t found = *flags & FLAGS_ARITHMETIC;                                                            \
                __asm__("pushq %1\n\tpopfq\n\t" #name #suffix " %%cl, %2, %0\n\tpushfq\n\tpopq %1"                     \
                        : "+r"(value), "+r"(found)                                                                     \
                        : "r"((type)b), "c"(count)                                                                     \
                        : "cc", "memory");                                                                             \
                put_flags(flags, found, FLAGS_ARITHMETIC);                                                             \
                return value;                                                                                          \
        }
#define WIDE_WIDTHS(X, ...) X(uint16_t, w, __VA_ARGS__) X(uint32_t, l, __VA_ARGS__) X(uint64_t, q, __VA_ARGS__)
WIDE_WIDTHS(DOUBLE_SHIFT, shld)
WIDE_WIDTHS(DOUBLE_SHIFT, shrd)

uint64_t arithmetic_double_shift(enum operation operation, unsigned size, uint64_t a, uint64_t b, uint8_t count,
                                 uint64_t *flags)
{
        typedef uint64_t (*function)(uint64_t, uint64_t, uint8_t, uint64_t *);
        static const function left[] = { shld_w, shld_l, shld_q }, right[] = { shrd_w, shrd_l, shrd_q };
        return (operation == OPERATION_SHLD ? left : right)[width_of(size) - 1](a, b, count, flags);
}

#define COUNT(type, suffix, name)                                                                                      \
        static uint64_t name##_##suffix(uint64_t old, uint64_t b, uint64_t *flags)                                     \
        {                                                                                                              \
                type value = (type)old;                                                                                \
                uint64_t found = *flags & FLAGS_ARITHMETIC;                                                            \
                __asm__("pushq %1\n\tpopfq\n\t" #name #suffix " %2, %0\n\tpushfq\n\tpopq %1"                           \
                        : "+r"(value), "+r"(found)                                                                     \
                        : "r"((type)b)                                                                                 \
                        : "cc", "memory");                                                                             \
                put_flags(flags, found, FLAGS_ARITHMETIC);                                                             \
                return value;                                                                                          \
        }
WIDE_WIDTHS(COUNT, bsf)
WIDE_WIDTHS(COUNT, bsr)
WIDE_WIDTHS(COUNT, tzcnt)
WIDE_WIDTHS(COUNT, lzcnt)
WIDE_WIDTHS(COUNT, popcnt)

uint64_t arithmetic_count(enum operation operation, unsigned size, uint64_t old, uint64_t b, uint64_t *flags)
{
        static const binary_function functions[][4] = {
                [OPERATION_BSF] = { NULL, bsf_w, bsf_l, bsf_q },
                [OPERATION_BSR] = { NULL, bsr_w, bsr_l, bsr_q },
                [OPERATION_TZCNT] = { NULL, tzcnt_w, tzcnt_l, tzcnt_q },
                [OPERATION_LZCNT] = { NULL, lzcnt_w, lzcnt_l, lzcnt_q },
                [OPERATION_POPCNT] = { NULL, popcnt_w, popcnt_l, popcnt_q },
        };
        return functions[operation][width_of(size)](old, b, flags);
}

/* The other flags are undefined; AMD's processors leave them. */
#define FLAGS_PRODUCT (FLAG_CF | FLAG_OF)

#define MULTIPLY(type, suffix, name)                                                                                   \
        static uint64_t name##_##suffix(uint64_t a, uint64_t b, uint64_t *low, uint64_t *flags)                        \
        {                                                                                                              \
                type value = (type)a, high = 0;                                                                        \
                uint64_t found;                                                                                        \
                __asm__(#name #suffix " %3\n\tpushfq\n\tpopq %2"                                                       \
                        : "+a"(value), "=&d"(high), "=&r"(found)                                                       \
                        : "r"((type)b)                                                                                 \
                        : "cc", "memory");                                                                             \
                put_flags(flags, found, FLAGS_PRODUCT);                                                                \
                *low = value;                                                                                          \
                return high;                                                                                           \
        }
WIDE_WIDTHS(MULTIPLY, mul)
WIDE_WIDTHS(MULTIPLY, imul)

/* The byte form leaves its product in AX. */
#define MULTIPLY_BYTE(name)                                                                                            \
        static uint64_t name##_b(uint64_t a, uint64_t b, uint64_t *low, uint64_t *flags)                               \
        {                                                                                                              \
                uint16_t value = (uint8_t)a;                                                                           \
                uint64_t found;                                                                                        \
                __asm__(#name "b %2\n\tpushfq\n\tpopq %1"                                                              \
                        : "+a"(value), "=&r"(found)                                                                    \
                        : "r"((uint8_t)b)                                                                              \
                        : "cc", "memory");                                                                             \
                put_flags(flags, found, FLAGS_PRODUCT);                                                                \
                *low = value & 0xff;                                                                                   \
                return value >> 8;                                                                                     \
        }
MULTIPLY_BYTE(mul)
MULTIPLY_BYTE(imul)

uint64_t arithmetic_multiply(bool is_signed, unsigned size, uint64_t a, uint64_t b, uint64_t *low, uint64_t *flags)
{
        typedef uint64_t (*function)(uint64_t, uint64_t, uint64_t *, uint64_t *);
        static const function signed_ones[] = BY_WIDTH(imul), unsigned_ones[] = BY_WIDTH(mul);
        return (is_signed ? signed_ones : unsigned_ones)[width_of(size)](a, b, low, flags);
}

#define MULTIPLY_LOW(type, suffix, name)                                                                               \
        static uint64_t name##_low_##suffix(uint64_t a, uint64_t b, uint64_t *flags)                                   \
        {                                                                                                              \
                type value = (type)a;                                                                                  \
                uint64_t found;                                                                                        \
                __asm__(#name #suffix " %2, %0\n\tpushfq\n\tpopq %1"                                                   \
                        : "+r"(value), "=&r"(found)                                                                    \
                        : "r"((type)b)                                                                                 \
                        : "cc", "memory");                                                                             \
                put_flags(flags, found, FLAGS_PRODUCT);                                                                \
                return value;                                                                                          \
        }
WIDE_WIDTHS(MULTIPLY_LOW, imul)

uint64_t arithmetic_multiply_low(unsigned size, uint64_t a, uint64_t b, uint64_t *flags)
{
        static const binary_function functions[] = { NULL, imul_low_w, imul_low_l, imul_low_q };
        return functions[width_of(size)](a, b, flags);
}

static unsigned __int128 extend(unsigned __int128 value, unsigned bits)
{
        unsigned unused = 128 - bits;
        return (unsigned __int128)((__int128)(value << unused) >> unused);
}

bool arithmetic_divide(bool is_signed, unsigned size, uint64_t *high, uint64_t *low, uint64_t divisor)
{
        unsigned bits = 8 * size;
        uint64_t mask = size_mask(size);
        unsigned __int128 dividend = (unsigned __int128)(*high & mask) << bits | (*low & mask), by = divisor & mask;
        if (!by)
                return false;
        if (!is_signed) {
                unsigned __int128 quotient = dividend / by;
                if (quotient > mask)
                        return false;
                *high = (uint64_t)(dividend % by);
                *low = (uint64_t)quotient;
                return true;
        }
        __int128 top = (__int128)extend(dividend, 2 * bits), bottom = (__int128)extend(by, bits);
        /* The one quotient that overflows even here. */
        if (bits == 64 && bottom == -1 && top == (__int128)1 << 127)
                return false;
        __int128 quotient = top / bottom;
        if (quotient != (__int128)extend((unsigned __int128)quotient, bits))
                return false;
        *high = (uint64_t)(top % bottom) & mask;
        *low = (uint64_t)quotient & mask;
        return true;
}

uint64_t arithmetic_bit(enum operation operation, unsigned size, uint64_t a, unsigned bit, uint64_t *flags)
{
        uint64_t one = 1ULL << (bit % (8 * size));
        put_flags(flags, a & one ? FLAG_CF : 0, FLAG_CF);
        switch (operation) {
        case OPERATION_BTS: return a | one;
        case OPERATION_BTR: return a & ~one;
        case OPERATION_BTC: return a ^ one;
        default: return a;
        }
}

uint64_t arithmetic_add_carry(unsigned size, uint64_t a, uint64_t b, uint64_t flag, uint64_t *flags)
{
        uint64_t mask = size_mask(size);
        unsigned __int128 sum = (unsigned __int128)(a & mask) + (b & mask) + (*flags & flag ? 1 : 0);
        put_flags(flags, sum >> (8 * size) ? flag : 0, flag);
        return (uint64_t)sum & mask;
}

static uint64_t flags_of_byte(uint8_t value)
{
        return (value ? 0 : FLAG_ZF) | (value & 0x80 ? FLAG_SF : 0) | (__builtin_parity(value) ? 0 : FLAG_PF);
}

static uint16_t adjust_packed(bool subtract, uint8_t al, uint64_t *flags)
{
        bool carry = *flags & FLAG_CF, half = *flags & FLAG_AF;
        uint8_t before = al;
        bool low = (before & 0xf) > 9 || half, high = before > 0x99 || carry;
        bool borrow = subtract && low && before < 6;
        if (low)
                al = (uint8_t)(subtract ? al - 6 : al + 6);
        if (high)
                al = (uint8_t)(subtract ? al - 0x60 : al + 0x60);
        put_flags(flags, flags_of_byte(al) | (low ? FLAG_AF : 0) | (high || borrow ? FLAG_CF : 0),
                  FLAGS_ARITHMETIC & ~FLAG_OF);
        return al;
}

static uint16_t adjust_unpacked(bool subtract, uint16_t ax, uint64_t *flags)
{
        bool adjust = (ax & 0xf) > 9 || *flags & FLAG_AF;
        if (adjust)
                ax = (uint16_t)(subtract ? ax - 0x106 : ax + 0x106);
        put_flags(flags, adjust ? FLAG_AF | FLAG_CF : 0, FLAG_AF | FLAG_CF);
        return ax & 0xff0f;
}

uint16_t arithmetic_decimal(enum operation operation, uint16_t ax, uint8_t base, uint64_t *flags)
{
        uint8_t al = (uint8_t)ax, ah = (uint8_t)(ax >> 8);
        switch (operation) {
        case OPERATION_DAA:
        case OPERATION_DAS: return (uint16_t)(ah << 8 | adjust_packed(operation == OPERATION_DAS, al, flags));
        case OPERATION_AAA:
        case OPERATION_AAS: return adjust_unpacked(operation == OPERATION_AAS, ax, flags);
        case OPERATION_AAM:
                put_flags(flags, flags_of_byte(al % base), FLAG_SF | FLAG_ZF | FLAG_PF);
                return (uint16_t)((al / base) << 8 | al % base);
        default: /* AAD */
                al = (uint8_t)(al + ah * base);
                put_flags(flags, flags_of_byte(al), FLAG_SF | FLAG_ZF | FLAG_PF);
                return al;
        }
}

bool arithmetic_condition(unsigned condition, uint64_t flags)
{
        bool below = flags & FLAG_CF, equal = flags & FLAG_ZF;
        bool less = !(flags & FLAG_SF) != !(flags & FLAG_OF);
        bool found = false;
        switch (condition >> 1 & 7) {
        case 0: found = flags & FLAG_OF; break;
        case 1: found = below; break;
        case 2: found = equal; break;
        case 3: found = below || equal; break;
        case 4: found = flags & FLAG_SF; break;
        case 5: found = flags & FLAG_PF; break;
        case 6: found = less; break;
        case 7: found = less || equal; break;
        }
        return found != (condition & 1);
}

uint32_t arithmetic_crc32(uint32_t crc, uint64_t value, unsigned size)
{
        for (unsigned i = 0; i < size; i++) {
                crc ^= (uint8_t)(value >> (8 * i));
                for (unsigned bit = 0; bit < 8; bit++)
                        crc = crc >> 1 ^ (crc & 1 ? 0x82f63b78 : 0); /* SDM vol. 2, CRC32: 11EDC6F41, reflected */
        }
        return crc;
}
