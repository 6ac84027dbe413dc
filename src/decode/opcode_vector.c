/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What x87, MMX, SSE, AVX and BMI instructions touch: Intel SDM vol. 2, appendix A, tables.
 *
 * A mandatory prefix chooses among up to four instructions of one opcode, so a row has four cells: without prefix, 66,
 * F3, F2. A cell of 0 is no instruction.
 */
#include <stddef.h>

#include "decode/instruction.h"
#include "decode/opcode.h"

/* A cell: bytes of memory in the low bits. */
enum {
        SIZE = 0x3f,
        Y = 0x3f, /* 4 or 8, by REX.W */
        READ = 1 << 6,
        WRITE = 1 << 7,
        GREG = 1 << 8,
        GRM = 1 << 9,
        FLAGS = 1 << 10,
        RCX = 1 << 11,
        RDI = 1 << 12,
        MEM = 1 << 13, /* memory only */
        REG = 1 << 14, /* registers only */
        MMX = 1 << 15,
        FULL = 1 << 16, /* doubles with VEX.L */
        WIDER = 1 << 17,
        IMM = 1 << 18,
};
#define R16 (16 | READ | FULL)
#define R8  (8 | READ)
#define R4  (4 | READ)
#define R2  (2 | READ)
#define R1  (1 | READ)
#define RY  (Y | READ)
#define W16 (16 | WRITE | FULL)
#define W8  (8 | WRITE)
#define W4  (4 | WRITE)
#define W2  (2 | WRITE)
#define W1  (1 | WRITE)
#define WY  (Y | WRITE)
#define P8  (R8 | MMX) /* MMX without prefix, XMM with 66: most of the old integer instructions */

struct cells {
        uint32_t cell[4];
};

#define CELLS(none, p66, pf3, pf2)                                                                                     \
        {                                                                                                              \
                {                                                                                                      \
                        none, p66, pf3, pf2                                                                            \
                }                                                                                                      \
        }
#define INTEGER       CELLS(P8, R16, 0, 0)
#define SCALARS       CELLS(R16, R16, R4, R8)
#define PACKED        CELLS(R16, R16, 0, 0)
#define ONLY_66(cell) CELLS(0, cell, 0, 0)
/* A shift by a vector takes 16 bytes of memory at any length. */
#define SHIFT   CELLS(P8, 16 | READ, 0, 0)
#define SHIFTED CELLS(REG | MMX | IMM, REG | IMM, 0, 0)

/* clang-format off */
static const struct cells map_two[256] = {
        [0x10] = CELLS(R16, R16, R4, R8),
        [0x11] = CELLS(W16, W16, W4, W8),
        [0x12] = CELLS(R8, R8 | MEM, R16, R8 | WIDER),
        [0x13] = CELLS(W8 | MEM, W8 | MEM, 0, 0),
        [0x14] = PACKED, [0x15] = PACKED,
        [0x16] = CELLS(R8, R8 | MEM, R16, 0),
        [0x17] = CELLS(W8 | MEM, W8 | MEM, 0, 0),
        [0x28] = PACKED,
        [0x29] = CELLS(W16, W16, 0, 0),
        [0x2a] = CELLS(P8, P8, RY | GRM, RY | GRM),
        [0x2b] = CELLS(W16 | MEM, W16 | MEM, 0, 0),
        [0x2c] = CELLS(P8, 16 | READ | MMX, R4 | GREG, R8 | GREG),
        [0x2d] = CELLS(P8, 16 | READ | MMX, R4 | GREG, R8 | GREG),
        [0x2e] = CELLS(R4 | FLAGS, R8 | FLAGS, 0, 0),
        [0x2f] = CELLS(R4 | FLAGS, R8 | FLAGS, 0, 0),
        [0x50] = CELLS(REG | GREG, REG | GREG, 0, 0),
        [0x51] = SCALARS,
        [0x52] = CELLS(R16, 0, R4, 0),
        [0x53] = CELLS(R16, 0, R4, 0),
        [0x54] = PACKED, [0x55] = PACKED, [0x56] = PACKED, [0x57] = PACKED,
        [0x58] = SCALARS, [0x59] = SCALARS,
        [0x5a] = CELLS(R8 | FULL, R16, R4, R8),
        [0x5b] = CELLS(R16, R16, R16, 0),
        [0x5c] = SCALARS, [0x5d] = SCALARS, [0x5e] = SCALARS, [0x5f] = SCALARS,
        [0x60 ... 0x62] = CELLS(R4 | MMX, R16, 0, 0),
        [0x63 ... 0x65] = INTEGER, [0x66 ... 0x68] = INTEGER, [0x69 ... 0x6b] = INTEGER,
        [0x6c] = ONLY_66(R16), [0x6d] = ONLY_66(R16),
        [0x6e] = CELLS(RY | GRM | MMX, RY | GRM, 0, 0),
        [0x6f] = CELLS(P8, R16, R16, 0),
        [0x70] = CELLS(P8 | IMM, R16 | IMM, R16 | IMM, R16 | IMM),
        [0x71 ... 0x73] = SHIFTED,
        [0x74 ... 0x76] = INTEGER,
        [0x7c] = CELLS(0, R16, 0, R16), [0x7d] = CELLS(0, R16, 0, R16),
        [0x7e] = CELLS(WY | GRM | MMX, WY | GRM, R8, 0),
        [0x7f] = CELLS(W8 | MMX, W16, W16, 0),
        [0xc2] = CELLS(R16 | IMM, R16 | IMM, R4 | IMM, R8 | IMM),
        [0xc4] = CELLS(R2 | GRM | IMM | MMX, R2 | GRM | IMM, 0, 0),
        [0xc5] = CELLS(REG | GREG | IMM | MMX, REG | GREG | IMM, 0, 0),
        [0xc6] = CELLS(R16 | IMM, R16 | IMM, 0, 0),
        [0xd0] = CELLS(0, R16, 0, R16),
        [0xd1 ... 0xd3] = SHIFT, [0xd4] = INTEGER, [0xd5] = INTEGER,
        [0xd6] = CELLS(0, W8, REG | MMX, REG | MMX),
        [0xd7] = CELLS(REG | GREG | MMX, REG | GREG, 0, 0),
        [0xd8 ... 0xda] = INTEGER, [0xdb ... 0xdd] = INTEGER, [0xde ... 0xe0] = INTEGER, [0xe1] = SHIFT, [0xe2] = SHIFT, [0xe3] = INTEGER,
        [0xe4] = INTEGER, [0xe5] = INTEGER,
        [0xe6] = CELLS(0, R16, R8 | FULL, R16),
        [0xe7] = CELLS(W8 | MEM | MMX, W16 | MEM, 0, 0),
        [0xe8 ... 0xea] = INTEGER, [0xeb ... 0xed] = INTEGER, [0xee] = INTEGER, [0xef] = INTEGER,
        [0xf0] = CELLS(0, 0, 0, R16 | MEM),
        [0xf1 ... 0xf3] = SHIFT, [0xf4 ... 0xf6] = INTEGER,
        [0xf7] = CELLS(REG | RDI | MMX, REG | RDI, 0, 0),
        [0xf8 ... 0xfa] = INTEGER, [0xfb ... 0xfd] = INTEGER, [0xfe] = INTEGER,
};

static const struct cells map_38[256] = {
        [0x00 ... 0x02] = INTEGER, [0x03 ... 0x05] = INTEGER, [0x06 ... 0x08] = INTEGER, [0x09 ... 0x0b] = INTEGER,
        [0x10] = ONLY_66(R16), [0x14] = ONLY_66(R16), [0x15] = ONLY_66(R16),
        [0x17] = ONLY_66(R16 | FLAGS),
        [0x1c ... 0x1e] = INTEGER,
        [0x20] = ONLY_66(R8 | FULL), [0x21] = ONLY_66(R4 | FULL), [0x22] = ONLY_66(R2 | FULL),
        [0x23] = ONLY_66(R8 | FULL), [0x24] = ONLY_66(R4 | FULL), [0x25] = ONLY_66(R8 | FULL),
        [0x28] = ONLY_66(R16), [0x29] = ONLY_66(R16), [0x2a] = ONLY_66(R16 | MEM), [0x2b] = ONLY_66(R16),
        [0x30] = ONLY_66(R8 | FULL), [0x31] = ONLY_66(R4 | FULL), [0x32] = ONLY_66(R2 | FULL),
        [0x33] = ONLY_66(R8 | FULL), [0x34] = ONLY_66(R4 | FULL), [0x35] = ONLY_66(R8 | FULL),
        [0x37] = ONLY_66(R16), [0x38 ... 0x3a] = ONLY_66(R16), [0x3b ... 0x3d] = ONLY_66(R16), [0x3e ... 0x40] = ONLY_66(R16),
        [0x41] = ONLY_66(R16),
        [0xc8 ... 0xca] = CELLS(16 | READ, 0, 0, 0), [0xcb ... 0xcd] = CELLS(16 | READ, 0, 0, 0),
        [0xcf] = ONLY_66(R16),
        [0xdb] = ONLY_66(R16), [0xdc ... 0xde] = ONLY_66(R16), [0xdf] = ONLY_66(R16),
};

static const struct cells map_3a[256] = {
        [0x08] = ONLY_66(R16 | IMM), [0x09] = ONLY_66(R16 | IMM), [0x0a] = ONLY_66(R4 | IMM),
        [0x0b] = ONLY_66(R8 | IMM), [0x0c ... 0x0e] = ONLY_66(R16 | IMM),
        [0x0f] = CELLS(P8 | IMM, R16 | IMM, 0, 0),
        [0x14] = ONLY_66(W1 | GRM | IMM), [0x15] = ONLY_66(W2 | GRM | IMM), [0x16] = ONLY_66(WY | GRM | IMM),
        [0x17] = ONLY_66(W4 | GRM | IMM),
        [0x20] = ONLY_66(R1 | GRM | IMM), [0x21] = ONLY_66(R4 | IMM), [0x22] = ONLY_66(RY | GRM | IMM),
        [0x40 ... 0x42] = ONLY_66(R16 | IMM), [0x44] = ONLY_66(R16 | IMM),
        [0x60] = ONLY_66(16 | READ | FLAGS | IMM), [0x61] = ONLY_66(16 | READ | FLAGS | RCX | IMM),
        [0x62] = ONLY_66(16 | READ | FLAGS | IMM), [0x63] = ONLY_66(16 | READ | FLAGS | RCX | IMM),
        [0xcc] = CELLS(16 | READ | IMM, 0, 0, 0), [0xce] = ONLY_66(R16 | IMM), [0xcf] = ONLY_66(R16 | IMM),
        [0xdf] = ONLY_66(16 | READ | IMM),
};

/* What VEX alone has. */
static const struct cells vex_two[256] = {
        /* Arithmetic of AVX-512's mask registers. */
        [0x41] = CELLS(REG, REG, 0, 0), [0x42] = CELLS(REG, REG, 0, 0), [0x44] = CELLS(REG, REG, 0, 0),
        [0x45] = CELLS(REG, REG, 0, 0), [0x46] = CELLS(REG, REG, 0, 0), [0x47] = CELLS(REG, REG, 0, 0),
        [0x4a] = CELLS(REG, REG, 0, 0), [0x4b] = CELLS(REG, REG, 0, 0),
        [0x77] = CELLS(0, 0, 0, 0),
        [0x90] = CELLS(R8, R4, 0, 0), [0x91] = CELLS(W8 | MEM, W4 | MEM, 0, 0),
        [0x92] = CELLS(REG | GRM, REG | GRM, 0, REG | GRM), [0x93] = CELLS(REG | GREG, REG | GREG, 0, REG | GREG),
        [0x98] = CELLS(REG | FLAGS, REG | FLAGS, 0, 0), [0x99] = CELLS(REG | FLAGS, REG | FLAGS, 0, 0),
};

static const struct cells vex_38[256] = {
        [0x0c] = ONLY_66(R16), [0x0d] = ONLY_66(R16), [0x0e] = ONLY_66(R16 | FLAGS), [0x0f] = ONLY_66(R16 | FLAGS),
        [0x13] = ONLY_66(R8 | FULL), [0x16] = ONLY_66(R16),
        [0x18] = ONLY_66(R4), [0x19] = ONLY_66(R8), [0x1a] = ONLY_66(16 | READ | MEM),
        [0x2c] = ONLY_66(R16 | MEM), [0x2d] = ONLY_66(R16 | MEM),
        [0x2e] = ONLY_66(W16 | MEM), [0x2f] = ONLY_66(W16 | MEM),
        [0x36] = ONLY_66(R16), [0x45 ... 0x47] = ONLY_66(R16),
        [0x50 ... 0x52] = ONLY_66(R16), [0x53] = ONLY_66(R16),
        [0x58] = ONLY_66(R4), [0x59] = ONLY_66(R8), [0x5a] = ONLY_66(16 | READ | MEM),
        [0x78] = ONLY_66(R1), [0x79] = ONLY_66(R2),
        [0x8c] = ONLY_66(R16 | MEM), [0x8e] = ONLY_66(W16 | MEM),
        /* Gathers: as many elements as fit; their size is not that of one access. */
        [0x90 ... 0x92] = ONLY_66(R8 | MEM), [0x93] = ONLY_66(R8 | MEM),
        [0x96 ... 0x98] = ONLY_66(R16), [0x99] = ONLY_66(RY), [0x9a] = ONLY_66(R16), [0x9b] = ONLY_66(RY),
        [0x9c] = ONLY_66(R16), [0x9d] = ONLY_66(RY), [0x9e] = ONLY_66(R16), [0x9f] = ONLY_66(RY),
        [0xa6 ... 0xa8] = ONLY_66(R16), [0xa9] = ONLY_66(RY), [0xaa] = ONLY_66(R16), [0xab] = ONLY_66(RY),
        [0xac] = ONLY_66(R16), [0xad] = ONLY_66(RY), [0xae] = ONLY_66(R16), [0xaf] = ONLY_66(RY),
        [0xb6 ... 0xb8] = ONLY_66(R16), [0xb9] = ONLY_66(RY), [0xba] = ONLY_66(R16), [0xbb] = ONLY_66(RY),
        [0xbc] = ONLY_66(R16), [0xbd] = ONLY_66(RY), [0xbe] = ONLY_66(R16), [0xbf] = ONLY_66(RY),
        /* BMI: all registers are general ones. */
        [0xf2] = CELLS(RY | GREG | GRM | FLAGS, 0, 0, 0),
        [0xf3] = CELLS(RY | GREG | GRM | FLAGS, 0, 0, 0),
        [0xf5] = CELLS(RY | GREG | GRM | FLAGS, 0, RY | GREG | GRM, RY | GREG | GRM),
        [0xf6] = CELLS(0, 0, 0, RY | GREG | GRM),
        [0xf7] = CELLS(RY | GREG | GRM | FLAGS, RY | GREG | GRM, RY | GREG | GRM, RY | GREG | GRM),
};

static const struct cells vex_3a[256] = {
        [0x00] = ONLY_66(R16 | IMM), [0x01] = ONLY_66(R16 | IMM), [0x02] = ONLY_66(R16 | IMM),
        [0x04 ... 0x06] = ONLY_66(R16 | IMM),
        [0x18] = ONLY_66(16 | READ | IMM), [0x19] = ONLY_66(16 | WRITE | IMM), [0x1d] = ONLY_66(W8 | FULL | IMM),
        /* Shifts of AVX-512's mask registers. */
        [0x30] = ONLY_66(REG | IMM), [0x31] = ONLY_66(REG | IMM), [0x32] = ONLY_66(REG | IMM),
        [0x33] = ONLY_66(REG | IMM),
        [0x38] = ONLY_66(16 | READ | IMM), [0x39] = ONLY_66(16 | WRITE | IMM), [0x46] = ONLY_66(R16 | IMM),
        [0x4a ... 0x4c] = ONLY_66(R16 | IMM),
        [0xf0] = CELLS(0, 0, 0, RY | GREG | GRM | IMM),
};

static const struct cells *const legacy_maps[] = { [1] = map_two, [2] = map_38, [3] = map_3a };
static const struct cells *const vex_maps[] = { [1] = vex_two, [2] = vex_38, [3] = vex_3a };

/* x87: what the memory forms of D8 to DF do, by ModRM.reg. */
static const uint32_t x87_memory[8][8] = {
        { R4, R4, R4, R4, R4, R4, R4, R4 },
        { R4, 0, W4, W4, 28 | READ, R2, 28 | WRITE, W2 },
        { R4, R4, R4, R4, R4, R4, R4, R4 },
        { R4, W4, W4, W4, 0, 10 | READ, 0, 10 | WRITE },
        { R8, R8, R8, R8, R8, R8, R8, R8 },
        { R8, W8, W8, W8, READ | Y, 0, WRITE | Y, W2 },
        { R2, R2, R2, R2, R2, R2, R2, R2 },
        { R2, W2, W2, W2, 10 | READ, R8, 10 | WRITE, W8 },
};
/* clang-format on */

/* Register forms that are instructions: a bit for each of ModRM C0 to FF. */
static const uint64_t x87_register[8] = {
        0xffffffffffffffff, /* D8 */
        0xffff7f33ff01ffff, /* D9: D1-D7, E2, E3, E6, E7, EF are none; D8-DF is FSTP's alias */
        0x00000200ffffffff, /* DA: of E0-FF only E9 */
        0x00ffff1fffffffff, /* DB: E5-E7, F8-FF are none */
        0xffffffffffffffff, /* DC */
        0x0000ffffffffffff, /* DD */
        0xffffffff02ffffff, /* DE: of D8-DF only D9 */
        0x00ffff01ffffffff, /* DF: E1-E7, F8-FF are none */
};

static struct vector_access access_of(uint32_t cell)
{
        struct vector_access access = { .size = cell & SIZE, .form = FORM_VALID };
        if (access.size == Y)
                access.size = VECTOR_Y;
        static const struct {
                uint32_t bit;
                uint8_t touches;
                uint16_t form;
        } meanings[] = {
                { READ, TOUCHES_MEMORY_READ, 0 }, { WRITE, TOUCHES_MEMORY_WRITE, 0 },
                { GREG, TOUCHES_GENERAL_REG, 0 }, { GRM, TOUCHES_GENERAL_RM, 0 },
                { FLAGS, TOUCHES_FLAGS, 0 },      { RCX, TOUCHES_RCX, 0 },
                { RDI, TOUCHES_RDI, 0 },          { MEM, 0, FORM_MEMORY },
                { REG, 0, FORM_REGISTER },        { MMX, 0, FORM_MMX },
                { FULL, 0, FORM_FULL },           { WIDER, 0, FORM_WIDER },
                { IMM, 0, FORM_IMMEDIATE },
        };
        for (size_t i = 0; i < sizeof(meanings) / sizeof(meanings[0]); i++) {
                if (cell & meanings[i].bit) {
                        access.touches |= meanings[i].touches;
                        access.form |= meanings[i].form;
                }
        }
        return access;
}

/* 0F 71 to 0F 73: which shifts there are, a bit for each ModRM.reg; with 66, and without. */
static bool is_shift(uint8_t opcode, uint8_t reg, bool wide)
{
        static const uint8_t with[] = { 0x54, 0x54, 0xcc }, without[] = { 0x54, 0x54, 0x44 };
        return (wide ? with : without)[opcode - 0x71] >> reg & 1;
}

struct vector_access vector_access(uint8_t map, uint8_t opcode, uint8_t prefix, uint8_t modrm, bool vex)
{
        unsigned column = prefix == 0x66 ? 1 : prefix == 0xf3 ? 2 : prefix == 0xf2 ? 3 : 0;
        uint32_t cell = vex ? vex_maps[map][opcode].cell[column] : 0;
        if (!cell) {
                cell = legacy_maps[map][opcode].cell[column];
                if (vex && cell & MMX)
                        return (struct vector_access){ 0 };
        }
        bool memory = modrm < 0xc0;
        if (!cell || (memory && cell & REG) || (!memory && cell & MEM))
                return (struct vector_access){ 0 };
        if (map == 1 && opcode >= 0x71 && opcode <= 0x73 && !is_shift(opcode, modrm >> 3 & 7, column == 1))
                return (struct vector_access){ 0 };
        struct vector_access access = access_of(cell);
        if (memory && cell & GRM)
                access.touches &= (uint8_t)~TOUCHES_GENERAL_RM;
        if (!memory && cell & GRM && cell & WRITE)
                access.touches |= TOUCHES_RM_WRITE;
        if (!memory)
                access.touches &= (uint8_t) ~(TOUCHES_MEMORY_READ | TOUCHES_MEMORY_WRITE);
        return access;
}

struct vector_access x87_access(uint8_t opcode, uint8_t modrm, bool wide)
{
        unsigned row = opcode & 7;
        if (modrm >= 0xc0) {
                struct vector_access access = { .form = x87_register[row] >> (modrm - 0xc0) & 1 ? FORM_VALID : 0 };
                /* FNSTSW AX; FCMOVcc reads the flags, FCOMI and FUCOMI write them. */
                if (opcode == 0xdf && modrm == 0xe0)
                        access.touches = TOUCHES_GENERAL_RM;
                else if (modrm < 0xe0 ? opcode == 0xda || opcode == 0xdb
                                      : modrm >= 0xe8 && (opcode == 0xdb || opcode == 0xdf))
                        access.touches = TOUCHES_FLAGS;
                return access;
        }
        uint32_t cell = x87_memory[row][modrm >> 3 & 7];
        if (!cell)
                return (struct vector_access){ 0 };
        struct vector_access access = access_of(cell);
        /* FLDENV and FNSTENV take 14 bytes with 16-bit operands, FRSTOR and FNSAVE 94: SDM vol. 1, section 8.1.10. */
        if (access.size == 28 && !wide)
                access.size = 14;
        else if (access.size == VECTOR_Y)
                access.size = wide ? 108 : 94;
        return access;
}
