/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What integer instructions compute, and the flags that they leave: AMD64 APM vol. 3, chapter 3.
 *
 * The host's own instruction does it, so flags that the manuals leave undefined are those of the host's processor. Values
 * are in the low `size` bytes (1, 2, 4 or 8); *flags is RFLAGS, of which only the arithmetic ones are read and written.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "decode/operation.h"

/* ADD, OR, ADC, SBB, AND, SUB, XOR, CMP, TEST; CMP and TEST return the first operand. */
uint64_t arithmetic_binary(enum operation operation, unsigned size, uint64_t a, uint64_t b, uint64_t *flags);
/* NOT, NEG, INC, DEC. */
uint64_t arithmetic_unary(enum operation operation, unsigned size, uint64_t a, uint64_t *flags);
/* ROL, ROR, RCL, RCR, SHL, SHR, SAR; a count of 0 leaves the flags. */
uint64_t arithmetic_shift(enum operation operation, unsigned size, uint64_t a, uint8_t count, uint64_t *flags);
/* SHLD, SHRD; size 2, 4 or 8. */
uint64_t arithmetic_double_shift(enum operation operation, unsigned size, uint64_t a, uint64_t b, uint8_t count,
                                 uint64_t *flags);
/* BSF, BSR (which return `old` where b is 0), TZCNT, LZCNT, POPCNT; size 2, 4 or 8. */
uint64_t arithmetic_count(enum operation operation, unsigned size, uint64_t old, uint64_t b, uint64_t *flags);
/* The whole product: *low and the returned high half. */
uint64_t arithmetic_multiply(bool is_signed, unsigned size, uint64_t a, uint64_t b, uint64_t *low, uint64_t *flags);
/* The low half alone, as IMUL with two or three operands; size 2, 4 or 8. */
uint64_t arithmetic_multiply_low(unsigned size, uint64_t a, uint64_t b, uint64_t *flags);
/* Returns false where the processor raises #DE. high:low / divisor, halves of `size` bytes. */
bool arithmetic_divide(bool is_signed, unsigned size, uint64_t *high, uint64_t *low, uint64_t divisor);
/* BT, BTS, BTR, BTC of a bit within `size`: returns the new value and sets CF. */
uint64_t arithmetic_bit(enum operation operation, unsigned size, uint64_t a, unsigned bit, uint64_t *flags);
/* ADCX (carry) and ADOX. */
uint64_t arithmetic_add_carry(unsigned size, uint64_t a, uint64_t b, uint64_t flag, uint64_t *flags);
/* DAA, DAS, AAA, AAS on AX; AAM and AAD with their base (AAM of 0 is #DE: the caller's to check). */
uint16_t arithmetic_decimal(enum operation operation, uint16_t ax, uint8_t base, uint64_t *flags);
/* The condition in the low four bits of an opcode: APM vol. 3, table A-1. */
bool arithmetic_condition(unsigned condition, uint64_t flags);
/* CRC-32C of `size` bytes. */
uint32_t arithmetic_crc32(uint32_t crc, uint64_t value, unsigned size);
