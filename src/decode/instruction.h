/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * One decoded x86 instruction: its meaning, its operands and its length. AMD64 APM vol. 3 (24594), chapter 1 and
 * appendix A; Intel SDM vol. 2, chapter 2 and appendix A. Where the two differ (a 66 prefix before a near branch in
 * 64-bit mode), as Intel has it.
 *
 * The decoder is a function of the bytes and the mode alone: it keeps no state, reads no register and raises no
 * exception. Engines use it to interpret and to translate, hypervisors to find the length and the operands of what
 * left the guest.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "decode/operation.h"

/* The processor raises #GP for a longer one: APM vol. 3, section 1.1. */
#define INSTRUCTION_MAX 15

/* The default sizes of code: from CS.D and CS.L. */
enum decode_mode { DECODE_16, DECODE_32, DECODE_64 };

enum operand_kind {
        OPERAND_NONE,
        OPERAND_GENERAL,   /* index: 0-15 */
        OPERAND_HIGH_BYTE, /* AH, CH, DH, BH; index: 0-3, the register whose bits 8-15 are meant */
        OPERAND_MEMORY,    /* as `memory` says */
        OPERAND_IMMEDIATE, /* the value in `immediate`, extended to 64 bits */
        OPERAND_IMMEDIATE_2,
        OPERAND_RELATIVE, /* `immediate` is to be added to the address of the next instruction */
        OPERAND_SEGMENT,  /* index: enum cpu_segment_register */
        OPERAND_CONTROL,
        OPERAND_DEBUG,
        OPERAND_VECTOR, /* index: 0-15; XMM or YMM */
        OPERAND_MMX,
};

struct operand {
        uint8_t kind; /* enum operand_kind */
        uint8_t index;
        uint8_t size; /* bytes; 0 where it has none (LEA's memory) */
};

#define OPERANDS_MAX  4
#define REGISTER_NONE 0xff
#define REGISTER_RIP  0x10 /* as base: the address of the next instruction */

/* base + index * scale + displacement, cut to the address size, in `segment`. */
struct memory_operand {
        uint8_t base, index; /* 0-15, REGISTER_NONE, REGISTER_RIP */
        uint8_t scale;       /* 1, 2, 4 or 8 */
        uint8_t segment;     /* enum cpu_segment_register */
        int64_t displacement;
};

enum {
        PREFIX_LOCK = 1 << 0,
        PREFIX_REP = 1 << 1,   /* F3 */
        PREFIX_REPNE = 1 << 2, /* F2 */
        PREFIX_OPERAND = 1 << 3,
        PREFIX_ADDRESS = 1 << 4,
        PREFIX_REX = 1 << 5,
        PREFIX_SEGMENT = 1 << 6,
};

/* What instructions that are executed as they stand touch besides vector registers. */
enum {
        TOUCHES_MEMORY_READ = 1 << 0,
        TOUCHES_MEMORY_WRITE = 1 << 1,
        TOUCHES_GENERAL_REG = 1 << 2, /* ModRM.reg is a general register; it is written */
        TOUCHES_GENERAL_RM = 1 << 3,  /* ModRM.rm, if a register, is a general one */
        TOUCHES_FLAGS = 1 << 4,
        TOUCHES_RCX = 1 << 5,      /* written */
        TOUCHES_RDI = 1 << 6,      /* memory at DS:rDI is written */
        TOUCHES_RM_WRITE = 1 << 7, /* the general register of ModRM.rm is written, not read */
};

struct instruction {
        uint16_t operation; /* enum operation */
        uint8_t length;     /* bytes, at most INSTRUCTION_MAX */
        uint8_t prefixes;   /* PREFIX_… */
        uint8_t rex;        /* W R X B in bits 3-0, also those of VEX */
        uint8_t map;        /* 0: one byte, 1: 0F, 2: 0F 38, 3: 0F 3A */
        uint8_t opcode;     /* its last byte */
        uint8_t opcode_at;  /* offset of `opcode` */
        bool has_modrm;
        uint8_t modrm;
        uint8_t modrm_at;
        uint8_t operand_size;   /* effective: 2, 4 or 8 bytes */
        uint8_t address_size;   /* effective: 2, 4 or 8 bytes */
        uint8_t touches;        /* TOUCHES_… of OPERATION_X87, VECTOR and VEX */
        uint8_t vector_length;  /* of VEX and EVEX: 16, 32 or 64 bytes */
        uint8_t vector_operand; /* VEX.vvvv, not inverted */
        struct operand operands[OPERANDS_MAX];
        struct memory_operand memory;
        int64_t immediate;
        uint16_t immediate_2; /* ENTER's level, a far pointer's selector */
};

enum decode_result {
        DECODE_DONE,
        DECODE_INVALID,   /* no instruction: #UD */
        DECODE_TOO_LONG,  /* more than INSTRUCTION_MAX bytes: #GP */
        DECODE_TRUNCATED, /* the bytes end before the instruction does: fetch more */
};

/*
 * Decodes the instruction at `bytes`, of which `available` may be read. *instruction is filled on DECODE_DONE; after
 * DECODE_INVALID its length is that of what was looked at.
 */
enum decode_result instruction_decode(const uint8_t *bytes, size_t available, enum decode_mode mode,
                                      struct instruction *instruction);

/* "ADD", "JCC", …; for messages. */
const char *operation_name(enum operation operation);
