/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The opcode maps: what each opcode means and takes. Read by decode.c alone.
 *
 * Operands have the names of Intel SDM vol. 2, appendix A.2: E is ModRM's register or memory, G its register, I an
 * immediate, J a relative target, M memory only, R register only, O a plain address, Z the register in the opcode's
 * low bits, S, C and D segment, control and debug registers; b, w, d, q are 1, 2, 4 and 8 bytes, v the operand size,
 * z the same but at most 4, y 4 or 8, m as wide as an address, p a far pointer.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "decode/operation.h"

enum operand_code {
        O_NONE,
        Eb,
        Ew,
        Ed,
        Ev,
        Ey,
        Em,
        Gb,
        Gw,
        Gd,
        Gv,
        Gy,
        Gz,
        Gm,
        Ib,
        Ibs, /* one byte, extended with its sign to the operand size */
        Iw,
        Iz,
        Iv,
        Jb,
        Jz,
        Ap,
        Ob,
        Ov,
        M, /* of no size, or of one that the operation knows */
        Mw,
        Mq,
        Mdq,
        Mv,
        My,
        Mp,
        Rv,
        Ry,
        Rd,
        Sw,
        Esw, /* 2 bytes of memory, or a whole register: what a segment register is stored to */
        Cy,
        Dy,
        Zb,
        Zv,
        Zz,
        AL,
        rAX,
        eAX, /* at most 4 bytes */
        CL,
        DX,
        ONE,
        String_b,
        String_v,
        String_z,
        SegES,
        SegCS,
        SegSS,
        SegDS,
        SegFS,
        SegGS,
};

enum {
        ROW_LOCK = 1 << 0,     /* may have a LOCK prefix if its first operand is memory */
        ROW_WIDE = 1 << 1,     /* 64 bits wide by default in 64-bit mode */
        ROW_BRANCH = 1 << 2,   /* near branch: always 64 bits wide there */
        ROW_NOT_64 = 1 << 3,   /* #UD in 64-bit mode */
        ROW_MEMORY = 1 << 4,   /* ModRM must be memory */
        ROW_REGISTER = 1 << 5, /* ModRM must be a register */
        ROW_MODRM = 1 << 6,    /* has a ModRM byte that no operand mentions */
        ROW_GROUP = 1 << 7,    /* `operation` is the number of a group: ModRM.reg says more */
        ROW_PLAIN = 1 << 8,    /* #UD with a 66, F2 or F3 prefix */
};

struct opcode {
        uint16_t operation;
        uint8_t operands[3];
        uint16_t flags;
};

/* ModRM.reg chooses in a group; a group that differs for memory and register has two tables of eight. */
enum opcode_group {
        GROUP_1A,
        GROUP_3_BYTE,
        GROUP_3,
        GROUP_4,
        GROUP_5,
        GROUP_6,
        GROUP_7_MEMORY,
        GROUP_7_REGISTER,
        GROUP_8,
        GROUP_9_MEMORY,
        GROUP_9_REGISTER,
        GROUP_11_BYTE,
        GROUP_11,
        GROUP_15_MEMORY,
        GROUP_15_REGISTER,
        GROUP_15_REGISTER_REP,
        GROUPS,
};

extern const struct opcode opcodes_one[256];
extern const struct opcode opcodes_two[256];
extern const struct opcode opcode_groups[GROUPS][8];

/* Opcodes of the second map that a mandatory F3 prefix turns into another instruction; NULL if it does not. */
const struct opcode *opcode_two_rep(uint8_t opcode);
/* 0F 01 with a register: `modrm` as a whole chooses. */
const struct opcode *opcode_group_7(uint8_t modrm);
/* 0F 38 and 0F 3A that are no vector instructions; `prefix` is 0, 0x66, 0xF3 or 0xF2. NULL: a vector one, or none. */
const struct opcode *opcode_three(uint8_t map, uint8_t opcode, uint8_t prefix);

/* A vector instruction: TOUCHES_… and bytes of memory. */
struct vector_access {
        uint8_t touches;
        uint8_t size;  /* 0: none; VECTOR_Y: 4 or 8 by REX.W */
        uint16_t form; /* FORM_… */
};
#define VECTOR_Y 0xff
enum {
        FORM_VALID = 1 << 0,
        FORM_MEMORY = 1 << 1,   /* only with memory */
        FORM_REGISTER = 1 << 2, /* only with registers */
        FORM_IMMEDIATE = 1 << 3,
        FORM_MMX = 1 << 4,   /* 64-bit MMX registers */
        FORM_FULL = 1 << 5,  /* under VEX.L the memory operand doubles */
        FORM_WIDER = 1 << 6, /* under VEX.L it quadruples */
};

/* `map` is 1, 2 or 3. `vex`: the VEX form is asked for. */
struct vector_access vector_access(uint8_t map, uint8_t opcode, uint8_t prefix, uint8_t modrm, bool vex);
/* x87, `opcode` D8 to DF. `wide`: 32-bit layout of the environment. */
struct vector_access x87_access(uint8_t opcode, uint8_t modrm, bool wide);
