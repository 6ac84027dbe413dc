/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The maps of instructions that are not vector ones: Intel SDM vol. 2, appendix A, tables. */
#include <stddef.h>

#include "decode/opcode.h"

#define ROW(name, first, second, third, flags)                                                                         \
        {                                                                                                              \
                OPERATION_##name, { first, second, third }, flags                                                      \
        }
#define NONE(name)         ROW(name, O_NONE, O_NONE, O_NONE, 0)
#define ONE_(name, a, f)   ROW(name, a, O_NONE, O_NONE, f)
#define TWO(name, a, b, f) ROW(name, a, b, O_NONE, f)
#define GROUP(group, ...)                                                                                              \
        {                                                                                                              \
                group, { __VA_ARGS__ }, ROW_GROUP                                                                      \
        }

/* clang-format off */
#define ARITHMETIC(at, name, locks)                                                                                      \
        [at]     = TWO(name, Eb, Gb, locks), [at + 1] = TWO(name, Ev, Gv, locks), [at + 2] = TWO(name, Gb, Eb, 0),       \
        [at + 3] = TWO(name, Gv, Ev, 0),     [at + 4] = TWO(name, AL, Ib, 0),     [at + 5] = TWO(name, rAX, Iz, 0)

const struct opcode opcodes_one[256] = {
        ARITHMETIC(0x00, ADD, ROW_LOCK),
        [0x06] = ONE_(PUSH_SEGMENT, SegES, ROW_NOT_64),
        [0x07] = ONE_(POP_SEGMENT, SegES, ROW_NOT_64),
        ARITHMETIC(0x08, OR, ROW_LOCK),
        [0x0e] = ONE_(PUSH_SEGMENT, SegCS, ROW_NOT_64),
        ARITHMETIC(0x10, ADC, ROW_LOCK),
        [0x16] = ONE_(PUSH_SEGMENT, SegSS, ROW_NOT_64),
        [0x17] = ONE_(POP_SEGMENT, SegSS, ROW_NOT_64),
        ARITHMETIC(0x18, SBB, ROW_LOCK),
        [0x1e] = ONE_(PUSH_SEGMENT, SegDS, ROW_NOT_64),
        [0x1f] = ONE_(POP_SEGMENT, SegDS, ROW_NOT_64),
        ARITHMETIC(0x20, AND, ROW_LOCK),
        [0x27] = ROW(DAA, O_NONE, O_NONE, O_NONE, ROW_NOT_64),
        ARITHMETIC(0x28, SUB, ROW_LOCK),
        [0x2f] = ROW(DAS, O_NONE, O_NONE, O_NONE, ROW_NOT_64),
        ARITHMETIC(0x30, XOR, ROW_LOCK),
        [0x37] = ROW(AAA, O_NONE, O_NONE, O_NONE, ROW_NOT_64),
        ARITHMETIC(0x38, CMP, 0),
        [0x3f] = ROW(AAS, O_NONE, O_NONE, O_NONE, ROW_NOT_64),
        [0x40 ... 0x47] = ONE_(INC, Zv, ROW_NOT_64),
        [0x48 ... 0x4f] = ONE_(DEC, Zv, ROW_NOT_64),
        [0x50 ... 0x57] = ONE_(PUSH, Zv, ROW_WIDE),
        [0x58 ... 0x5f] = ONE_(POP, Zv, ROW_WIDE),
        [0x60] = ROW(PUSHA, O_NONE, O_NONE, O_NONE, ROW_NOT_64),
        [0x61] = ROW(POPA, O_NONE, O_NONE, O_NONE, ROW_NOT_64),
        [0x62] = TWO(BOUND, Gv, M, ROW_NOT_64 | ROW_MEMORY),
        [0x63] = TWO(ARPL, Ew, Gw, ROW_NOT_64), /* MOVSXD in 64-bit mode */
        [0x68] = ONE_(PUSH, Iz, ROW_WIDE),
        [0x69] = ROW(IMUL2, Gv, Ev, Iz, 0),
        [0x6a] = ONE_(PUSH, Ibs, ROW_WIDE),
        [0x6b] = ROW(IMUL2, Gv, Ev, Ibs, 0),
        [0x6c] = ONE_(INS, String_b, 0),
        [0x6d] = ONE_(INS, String_z, 0),
        [0x6e] = ONE_(OUTS, String_b, 0),
        [0x6f] = ONE_(OUTS, String_z, 0),
        [0x70 ... 0x7f] = ONE_(JCC, Jb, ROW_BRANCH),
        /* 80-83: the arithmetic of ModRM.reg, in decode.c. */
        [0x84] = TWO(TEST, Eb, Gb, 0),
        [0x85] = TWO(TEST, Ev, Gv, 0),
        [0x86] = TWO(XCHG, Eb, Gb, ROW_LOCK),
        [0x87] = TWO(XCHG, Ev, Gv, ROW_LOCK),
        [0x88] = TWO(MOV, Eb, Gb, 0),
        [0x89] = TWO(MOV, Ev, Gv, 0),
        [0x8a] = TWO(MOV, Gb, Eb, 0),
        [0x8b] = TWO(MOV, Gv, Ev, 0),
        [0x8c] = TWO(MOV_FROM_SEGMENT, Esw, Sw, 0),
        [0x8d] = TWO(LEA, Gv, M, ROW_MEMORY),
        [0x8e] = TWO(MOV_TO_SEGMENT, Sw, Ew, 0),
        [0x8f] = GROUP(GROUP_1A, Ev),
        [0x90 ... 0x97] = TWO(XCHG, Zv, rAX, 0), /* 90 itself is NOP or PAUSE */
        [0x98] = NONE(WIDEN),
        [0x99] = NONE(WIDEN_DX),
        [0x9a] = ONE_(CALL_FAR, Ap, ROW_NOT_64),
        [0x9b] = NONE(FWAIT),
        [0x9c] = ROW(PUSHF, O_NONE, O_NONE, O_NONE, ROW_WIDE),
        [0x9d] = ROW(POPF, O_NONE, O_NONE, O_NONE, ROW_WIDE),
        [0x9e] = NONE(SAHF),
        [0x9f] = NONE(LAHF),
        [0xa0] = TWO(MOV, AL, Ob, 0),
        [0xa1] = TWO(MOV, rAX, Ov, 0),
        [0xa2] = TWO(MOV, Ob, AL, 0),
        [0xa3] = TWO(MOV, Ov, rAX, 0),
        [0xa4] = ONE_(MOVS, String_b, 0),
        [0xa5] = ONE_(MOVS, String_v, 0),
        [0xa6] = ONE_(CMPS, String_b, 0),
        [0xa7] = ONE_(CMPS, String_v, 0),
        [0xa8] = TWO(TEST, AL, Ib, 0),
        [0xa9] = TWO(TEST, rAX, Iz, 0),
        [0xaa] = ONE_(STOS, String_b, 0),
        [0xab] = ONE_(STOS, String_v, 0),
        [0xac] = ONE_(LODS, String_b, 0),
        [0xad] = ONE_(LODS, String_v, 0),
        [0xae] = ONE_(SCAS, String_b, 0),
        [0xaf] = ONE_(SCAS, String_v, 0),
        [0xb0 ... 0xb7] = TWO(MOV, Zb, Ib, 0),
        [0xb8 ... 0xbf] = TWO(MOV, Zv, Iv, 0),
        /* C0, C1, D0-D3: the shift of ModRM.reg, in decode.c. */
        [0xc2] = ONE_(RET, Iw, ROW_BRANCH),
        [0xc3] = ROW(RET, O_NONE, O_NONE, O_NONE, ROW_BRANCH),
        [0xc4] = TWO(LOAD_FAR, Gz, Mp, ROW_NOT_64 | ROW_MEMORY),
        [0xc5] = TWO(LOAD_FAR, Gz, Mp, ROW_NOT_64 | ROW_MEMORY),
        [0xc6] = GROUP(GROUP_11_BYTE, Eb, Ib),
        [0xc7] = GROUP(GROUP_11, Ev, Iz),
        [0xc8] = ROW(ENTER, Iw, O_NONE, O_NONE, ROW_WIDE), /* and a byte, in decode.c */
        [0xc9] = ROW(LEAVE, O_NONE, O_NONE, O_NONE, ROW_WIDE),
        [0xca] = ONE_(RET_FAR, Iw, 0),
        [0xcb] = NONE(RET_FAR),
        [0xcc] = NONE(INT3),
        [0xcd] = ONE_(INT, Ib, 0),
        [0xce] = ROW(INTO, O_NONE, O_NONE, O_NONE, ROW_NOT_64),
        [0xcf] = NONE(IRET),
        [0xd4] = ONE_(AAM, Ib, ROW_NOT_64),
        [0xd5] = ONE_(AAD, Ib, ROW_NOT_64),
        [0xd6] = ROW(SALC, O_NONE, O_NONE, O_NONE, ROW_NOT_64),
        [0xd7] = NONE(XLAT),
        [0xd8 ... 0xdf] = ROW(X87, O_NONE, O_NONE, O_NONE, ROW_MODRM),
        [0xe0] = ONE_(LOOPNE, Jb, ROW_BRANCH),
        [0xe1] = ONE_(LOOPE, Jb, ROW_BRANCH),
        [0xe2] = ONE_(LOOP, Jb, ROW_BRANCH),
        [0xe3] = ONE_(JCXZ, Jb, ROW_BRANCH),
        [0xe4] = TWO(IN, AL, Ib, 0),
        [0xe5] = TWO(IN, eAX, Ib, 0),
        [0xe6] = TWO(OUT, Ib, AL, 0),
        [0xe7] = TWO(OUT, Ib, eAX, 0),
        [0xe8] = ONE_(CALL, Jz, ROW_BRANCH),
        [0xe9] = ONE_(JMP, Jz, ROW_BRANCH),
        [0xea] = ONE_(JMP_FAR, Ap, ROW_NOT_64),
        [0xeb] = ONE_(JMP, Jb, ROW_BRANCH),
        [0xec] = TWO(IN, AL, DX, 0),
        [0xed] = TWO(IN, eAX, DX, 0),
        [0xee] = TWO(OUT, DX, AL, 0),
        [0xef] = TWO(OUT, DX, eAX, 0),
        [0xf1] = NONE(INT1),
        [0xf4] = NONE(HLT),
        [0xf5] = NONE(CMC),
        [0xf6] = GROUP(GROUP_3_BYTE, Eb),
        [0xf7] = GROUP(GROUP_3, Ev),
        [0xf8] = NONE(CLC),
        [0xf9] = NONE(STC),
        [0xfa] = NONE(CLI),
        [0xfb] = NONE(STI),
        [0xfc] = NONE(CLD),
        [0xfd] = NONE(STD),
        [0xfe] = GROUP(GROUP_4, Eb),
        [0xff] = GROUP(GROUP_5),
};

const struct opcode opcodes_two[256] = {
        [0x00] = GROUP(GROUP_6),
        [0x01] = GROUP(GROUP_7_MEMORY),
        [0x02] = TWO(LAR, Gv, Ew, 0),
        [0x03] = TWO(LSL, Gv, Ew, 0),
        [0x05] = NONE(SYSCALL),
        [0x06] = NONE(CLTS),
        [0x07] = NONE(SYSRET),
        [0x08] = NONE(INVD),
        [0x09] = NONE(WBINVD),
        [0x0b] = NONE(UD),
        [0x0d] = ONE_(NOP, Ev, 0), /* PREFETCHW */
        [0x18 ... 0x1f] = ONE_(NOP, Ev, 0),
        [0x20] = TWO(MOV_FROM_CONTROL, Ry, Cy, 0),
        [0x21] = TWO(MOV_FROM_DEBUG, Ry, Dy, 0),
        [0x22] = TWO(MOV_TO_CONTROL, Cy, Ry, 0),
        [0x23] = TWO(MOV_TO_DEBUG, Dy, Ry, 0),
        [0x30] = NONE(WRMSR),
        [0x31] = NONE(RDTSC),
        [0x32] = NONE(RDMSR),
        [0x33] = NONE(RDPMC),
        [0x34] = NONE(SYSENTER),
        [0x35] = NONE(SYSEXIT),
        [0x40 ... 0x4f] = TWO(CMOVCC, Gv, Ev, 0),
        [0x77] = ROW(EMMS, O_NONE, O_NONE, O_NONE, ROW_PLAIN),
        [0x78] = TWO(UNSUPPORTED, Ev, Gv, 0), /* VMREAD */
        [0x79] = TWO(UNSUPPORTED, Ev, Gv, 0), /* VMWRITE */
        [0x80 ... 0x8f] = ONE_(JCC, Jz, ROW_BRANCH),
        [0x90 ... 0x9f] = ONE_(SETCC, Eb, 0),
        [0xa0] = ONE_(PUSH_SEGMENT, SegFS, ROW_WIDE),
        [0xa1] = ONE_(POP_SEGMENT, SegFS, ROW_WIDE),
        [0xa2] = NONE(CPUID),
        [0xa3] = TWO(BT, Ev, Gv, 0),
        [0xa4] = ROW(SHLD, Ev, Gv, Ib, 0),
        [0xa5] = ROW(SHLD, Ev, Gv, CL, 0),
        [0xa8] = ONE_(PUSH_SEGMENT, SegGS, ROW_WIDE),
        [0xa9] = ONE_(POP_SEGMENT, SegGS, ROW_WIDE),
        [0xaa] = NONE(RSM),
        [0xab] = TWO(BTS, Ev, Gv, ROW_LOCK),
        [0xac] = ROW(SHRD, Ev, Gv, Ib, 0),
        [0xad] = ROW(SHRD, Ev, Gv, CL, 0),
        [0xae] = GROUP(GROUP_15_MEMORY),
        [0xaf] = TWO(IMUL2, Gv, Ev, 0),
        [0xb0] = TWO(CMPXCHG, Eb, Gb, ROW_LOCK),
        [0xb1] = TWO(CMPXCHG, Ev, Gv, ROW_LOCK),
        [0xb2] = TWO(LOAD_FAR, Gv, Mp, ROW_MEMORY),
        [0xb3] = TWO(BTR, Ev, Gv, ROW_LOCK),
        [0xb4] = TWO(LOAD_FAR, Gv, Mp, ROW_MEMORY),
        [0xb5] = TWO(LOAD_FAR, Gv, Mp, ROW_MEMORY),
        [0xb6] = TWO(MOVZX, Gv, Eb, 0),
        [0xb7] = TWO(MOVZX, Gv, Ew, 0),
        [0xb9] = TWO(UD, Gv, Ev, 0),
        [0xba] = GROUP(GROUP_8, Ev, Ib),
        [0xbb] = TWO(BTC, Ev, Gv, ROW_LOCK),
        [0xbc] = TWO(BSF, Gv, Ev, 0),
        [0xbd] = TWO(BSR, Gv, Ev, 0),
        [0xbe] = TWO(MOVSX, Gv, Eb, 0),
        [0xbf] = TWO(MOVSX, Gv, Ew, 0),
        [0xc0] = TWO(XADD, Eb, Gb, ROW_LOCK),
        [0xc1] = TWO(XADD, Ev, Gv, ROW_LOCK),
        [0xc3] = TWO(MOVNTI, My, Gy, ROW_MEMORY | ROW_PLAIN),
        [0xc7] = GROUP(GROUP_9_MEMORY),
        [0xc8 ... 0xcf] = ONE_(BSWAP, Zv, 0),
        [0xff] = TWO(UD, Gv, Ev, 0),
};

const struct opcode opcode_groups[GROUPS][8] = {
        [GROUP_1A] = { [0] = ONE_(POP, Ev, ROW_WIDE) },
        [GROUP_3_BYTE] = {
                TWO(TEST, Eb, Ib, 0), TWO(TEST, Eb, Ib, 0), ONE_(NOT, Eb, ROW_LOCK), ONE_(NEG, Eb, ROW_LOCK),
                ONE_(MUL, Eb, 0), ONE_(IMUL, Eb, 0), ONE_(DIV, Eb, 0), ONE_(IDIV, Eb, 0),
        },
        [GROUP_3] = {
                TWO(TEST, Ev, Iz, 0), TWO(TEST, Ev, Iz, 0), ONE_(NOT, Ev, ROW_LOCK), ONE_(NEG, Ev, ROW_LOCK),
                ONE_(MUL, Ev, 0), ONE_(IMUL, Ev, 0), ONE_(DIV, Ev, 0), ONE_(IDIV, Ev, 0),
        },
        [GROUP_4] = { ONE_(INC, Eb, ROW_LOCK), ONE_(DEC, Eb, ROW_LOCK) },
        [GROUP_5] = {
                ONE_(INC, Ev, ROW_LOCK), ONE_(DEC, Ev, ROW_LOCK), ONE_(CALL, Ev, ROW_BRANCH),
                ONE_(CALL_FAR, Mp, ROW_MEMORY), ONE_(JMP, Ev, ROW_BRANCH), ONE_(JMP_FAR, Mp, ROW_MEMORY),
                ONE_(PUSH, Ev, ROW_WIDE),
        },
        [GROUP_6] = {
                ONE_(SLDT, Esw, 0), ONE_(STR, Esw, 0), ONE_(LLDT, Ew, 0), ONE_(LTR, Ew, 0),
                ONE_(VERR, Ew, 0), ONE_(VERW, Ew, 0),
        },
        [GROUP_7_MEMORY] = {
                ONE_(SGDT, M, 0), ONE_(SIDT, M, 0), ONE_(LGDT, M, 0), ONE_(LIDT, M, 0),
                ONE_(SMSW, Mw, 0), ONE_(UNSUPPORTED, Mq, 0), ONE_(LMSW, Mw, 0), ONE_(INVLPG, M, 0),
        },
        [GROUP_7_REGISTER] = { [4] = ONE_(SMSW, Esw, 0), [6] = ONE_(LMSW, Ew, 0) },
        [GROUP_8] = {
                [4] = TWO(BT, Ev, Ib, 0), TWO(BTS, Ev, Ib, ROW_LOCK), TWO(BTR, Ev, Ib, ROW_LOCK),
                TWO(BTC, Ev, Ib, ROW_LOCK),
        },
        [GROUP_9_MEMORY] = {
                [1] = ONE_(CMPXCHG8B, M, ROW_LOCK), [3] = ONE_(XRSTORS, M, 0), [4] = ONE_(XSAVEC, M, 0),
                [5] = ONE_(XSAVES, M, 0), [6] = ONE_(UNSUPPORTED, Mq, 0), [7] = ONE_(UNSUPPORTED, Mq, 0),
        },
        [GROUP_9_REGISTER] = { [6] = ONE_(RDRAND, Rv, 0), [7] = ONE_(RDSEED, Rv, 0) },
        [GROUP_11_BYTE] = { [0] = TWO(MOV, Eb, Ib, 0) },
        [GROUP_11] = { [0] = TWO(MOV, Ev, Iz, 0) },
        [GROUP_15_MEMORY] = {
                ONE_(FXSAVE, M, 0), ONE_(FXRSTOR, M, 0), ONE_(LDMXCSR, M, ROW_PLAIN), ONE_(STMXCSR, M, ROW_PLAIN),
                ONE_(XSAVE, M, 0), ONE_(XRSTOR, M, 0), ONE_(XSAVEOPT, M, 0), ONE_(CLFLUSH, M, 0),
        },
        [GROUP_15_REGISTER] = {
                [5] = ROW(LFENCE, O_NONE, O_NONE, O_NONE, ROW_MODRM), ROW(MFENCE, O_NONE, O_NONE, O_NONE, ROW_MODRM),
                ROW(SFENCE, O_NONE, O_NONE, O_NONE, ROW_MODRM),
        },
        [GROUP_15_REGISTER_REP] = {
                ONE_(RDFSBASE, Ry, 0), ONE_(RDGSBASE, Ry, 0), ONE_(WRFSBASE, Ry, 0), ONE_(WRGSBASE, Ry, 0),
        },
};
/* clang-format on */

const struct opcode *opcode_two_rep(uint8_t opcode)
{
        static const struct opcode popcnt = TWO(POPCNT, Gv, Ev, 0), tzcnt = TWO(TZCNT, Gv, Ev, 0),
                                   lzcnt = TWO(LZCNT, Gv, Ev, 0);
        switch (opcode) {
        case 0xb8: return &popcnt;
        case 0xbc: return &tzcnt;
        case 0xbd: return &lzcnt;
        default: return NULL;
        }
}

const struct opcode *opcode_group_7(uint8_t modrm)
{
#define WHOLE(name) ROW(name, O_NONE, O_NONE, O_NONE, ROW_MODRM)
        static const struct {
                uint8_t modrm;
                struct opcode opcode;
        } table[] = {
                { 0xc1, WHOLE(VMCALL) },      { 0xc2, WHOLE(UNSUPPORTED) }, { 0xc3, WHOLE(UNSUPPORTED) },
                { 0xc4, WHOLE(UNSUPPORTED) }, { 0xc8, WHOLE(MONITOR) },     { 0xc9, WHOLE(MWAIT) },
                { 0xca, WHOLE(CLAC) },        { 0xcb, WHOLE(STAC) },        { 0xd0, WHOLE(XGETBV) },
                { 0xd1, WHOLE(XSETBV) },      { 0xd4, WHOLE(UNSUPPORTED) }, { 0xd8, WHOLE(UNSUPPORTED) },
                { 0xd9, WHOLE(VMCALL) },      { 0xda, WHOLE(UNSUPPORTED) }, { 0xdb, WHOLE(UNSUPPORTED) },
                { 0xdc, WHOLE(UNSUPPORTED) }, { 0xdd, WHOLE(UNSUPPORTED) }, { 0xde, WHOLE(UNSUPPORTED) },
                { 0xdf, WHOLE(UNSUPPORTED) }, { 0xee, WHOLE(RDPKRU) },      { 0xef, WHOLE(WRPKRU) },
                { 0xf8, WHOLE(SWAPGS) },      { 0xf9, WHOLE(RDTSCP) },      { 0xfa, WHOLE(UNSUPPORTED) },
                { 0xfb, WHOLE(UNSUPPORTED) }, { 0xfc, WHOLE(CLZERO) },
        };
        for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++)
                if (table[i].modrm == modrm)
                        return &table[i].opcode;
        return &opcode_groups[GROUP_7_REGISTER][modrm >> 3 & 7];
}

const struct opcode *opcode_three(uint8_t map, uint8_t opcode, uint8_t prefix)
{
        static const struct opcode load = TWO(MOVBE, Gv, Mv, ROW_MEMORY), store = TWO(MOVBE, Mv, Gv, ROW_MEMORY),
                                   crc_byte = TWO(CRC32, Gy, Eb, 0), crc = TWO(CRC32, Gy, Ev, 0),
                                   carry = TWO(ADCX, Gy, Ey, 0), overflow = TWO(ADOX, Gy, Ey, 0),
                                   invpcid = TWO(INVPCID, Gm, Mdq, ROW_MEMORY),
                                   virtual = TWO(UNSUPPORTED, Gm, Mdq, ROW_MEMORY);
        if (map != 2)
                return NULL;
        switch (opcode) {
        case 0x80:
        case 0x81: return prefix == 0x66 ? &virtual : NULL;
        case 0x82: return prefix == 0x66 ? &invpcid : NULL;
        case 0xf0: return prefix == 0xf2 ? &crc_byte : prefix == 0xf3 ? NULL : &load;
        case 0xf1: return prefix == 0xf2 ? &crc : prefix == 0xf3 ? NULL : &store;
        case 0xf6: return prefix == 0x66 ? &carry : prefix == 0xf3 ? &overflow : NULL;
        default: return NULL;
        }
}
