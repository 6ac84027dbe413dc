/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "decode/instruction.h"

#include "decode/opcode.h"
#include "machine/cpu_state.h"

#define FIELD_REG(modrm) ((modrm) >> 3 & 7)
#define FIELD_RM(modrm)  ((modrm)&7)

enum { REX_B = 1, REX_X = 2, REX_R = 4, REX_W = 8 };

/* Bytes being read; `wanted` counts on past the end, so that the caller knows what was missing. */
struct reader {
        const uint8_t *bytes;
        size_t available, at;
};

struct decoding {
        struct reader reader;
        enum decode_mode mode;
        struct instruction *instruction;
        uint8_t mandatory; /* the prefix that chooses among vector instructions: 0, 0x66, 0xF3 or 0xF2 */
        bool vex, evex;
};

static uint64_t take(struct reader *reader, unsigned count)
{
        uint64_t value = 0;
        for (unsigned i = 0; i < count; i++, reader->at++)
                if (reader->at < reader->available)
                        value |= (uint64_t)reader->bytes[reader->at] << (8 * i);
        return value;
}

static int64_t take_signed(struct reader *reader, unsigned count)
{
        uint64_t value = take(reader, count);
        unsigned unused = 64 - 8 * count;
        return unused ? (int64_t)(value << unused) >> unused : (int64_t)value;
}

static uint8_t peek(const struct reader *reader, size_t ahead)
{
        return reader->at + ahead < reader->available ? reader->bytes[reader->at + ahead] : 0;
}

/* ---- Prefixes ---- */

/* Returns whether `byte` is one; a REX prefix counts only right before the opcode. */
static bool take_prefix(struct decoding *decoding, uint8_t byte)
{
        struct instruction *in = decoding->instruction;
        switch (byte) {
        case 0x26:
        case 0x2e:
        case 0x36:
        case 0x3e:
                /* Without effect in 64-bit mode: APM vol. 3, section 1.2.4. */
                if (decoding->mode != DECODE_64) {
                        in->memory.segment = byte == 0x26   ? CPU_ES
                                             : byte == 0x2e ? CPU_CS
                                             : byte == 0x36 ? CPU_SS
                                                            : CPU_DS;
                        in->prefixes |= PREFIX_SEGMENT;
                }
                break;
        case 0x64:
        case 0x65:
                in->memory.segment = byte == 0x64 ? CPU_FS : CPU_GS;
                in->prefixes |= PREFIX_SEGMENT;
                break;
        case 0x66: in->prefixes |= PREFIX_OPERAND; break;
        case 0x67: in->prefixes |= PREFIX_ADDRESS; break;
        case 0xf0: in->prefixes |= PREFIX_LOCK; break;
        case 0xf2: in->prefixes = (uint8_t)((in->prefixes & ~PREFIX_REP) | PREFIX_REPNE); break;
        case 0xf3: in->prefixes = (uint8_t)((in->prefixes & ~PREFIX_REPNE) | PREFIX_REP); break;
        default:
                if (decoding->mode != DECODE_64 || (byte & 0xf0) != 0x40)
                        return false;
                in->rex = byte & 0xf;
                in->prefixes |= PREFIX_REX;
                return true;
        }
        in->rex = 0;
        in->prefixes &= (uint8_t)~PREFIX_REX;
        return true;
}

static void take_prefixes(struct decoding *decoding)
{
        struct reader *reader = &decoding->reader;
        while (reader->at < reader->available && reader->at < INSTRUCTION_MAX &&
               take_prefix(decoding, reader->bytes[reader->at]))
                reader->at++;
}

static void find_sizes(struct decoding *decoding)
{
        struct instruction *in = decoding->instruction;
        bool operand = in->prefixes & PREFIX_OPERAND, address = in->prefixes & PREFIX_ADDRESS;
        if (decoding->mode == DECODE_64) {
                in->operand_size = in->rex & REX_W ? 8 : operand ? 2 : 4;
                in->address_size = address ? 4 : 8;
        } else {
                bool small = decoding->mode == DECODE_16;
                in->operand_size = small == operand ? 4 : 2;
                in->address_size = small == address ? 4 : 2;
        }
        decoding->mandatory = in->prefixes & PREFIX_REP     ? 0xf3
                              : in->prefixes & PREFIX_REPNE ? 0xf2
                              : operand                     ? 0x66
                                                            : 0;
}

/* ---- VEX and EVEX: SDM vol. 2, sections 2.3 and 2.7 ---- */

static const uint8_t mandatory_of[] = { 0, 0x66, 0xf3, 0xf2 };

/* Outside 64-bit mode C4, C5 and 62 are LES, LDS and BOUND unless what follows would be a register for them. */
static bool starts_vex(const struct decoding *decoding, uint8_t opcode)
{
        if (opcode != 0xc4 && opcode != 0xc5 && opcode != 0x62)
                return false;
        return decoding->mode == DECODE_64 || peek(&decoding->reader, 0) >= 0xc0;
}

static bool take_vex(struct decoding *decoding, uint8_t first)
{
        struct instruction *in = decoding->instruction;
        struct reader *reader = &decoding->reader;
        const uint8_t forbidden = PREFIX_LOCK | PREFIX_REP | PREFIX_REPNE | PREFIX_OPERAND | PREFIX_REX;
        bool refused = in->prefixes & forbidden;
        uint8_t a = (uint8_t)take(reader, 1), b = a;
        decoding->vex = true;
        in->map = 1;
        if (first == 0xc5) {
                in->rex = a & 0x80 ? 0 : REX_R;
        } else {
                b = (uint8_t)take(reader, 1);
                in->rex = (uint8_t)((~a >> 5 & 7) | (b & 0x80 ? REX_W : 0));
                in->map = first == 0xc4 ? a & 0x1f : a & 0x07;
        }
        in->vector_operand = ~b >> 3 & 0xf;
        in->vector_length = b & 4 ? 32 : 16;
        decoding->mandatory = mandatory_of[b & 3];
        if (first == 0x62) {
                uint8_t c = (uint8_t)take(reader, 1);
                decoding->evex = true;
                in->vector_length = (uint8_t)(16 << (c >> 5 & 3));
                refused |= !(b & 4) || a & 0x08;
        }
        if (decoding->mode != DECODE_64) {
                in->rex &= REX_W;
                in->vector_operand &= 7;
        }
        in->operand_size = decoding->mode == DECODE_64 && in->rex & REX_W ? 8 : 4;
        return !refused && ((in->map >= 1 && in->map <= 3) || (decoding->evex && (in->map == 5 || in->map == 6)));
}

/* ---- ModRM and memory: APM vol. 3, section 1.4 ---- */

static void memory_16(struct decoding *decoding)
{
        static const uint8_t bases[] = { CPU_RBX, CPU_RBX, CPU_RBP, CPU_RBP, CPU_RSI, CPU_RDI, CPU_RBP, CPU_RBX };
        static const uint8_t indices[] = { CPU_RSI, CPU_RDI, CPU_RSI, CPU_RDI };
        struct instruction *in = decoding->instruction;
        unsigned mod = in->modrm >> 6, rm = FIELD_RM(in->modrm);
        bool plain = mod == 0 && rm == 6;
        in->memory.base = plain ? REGISTER_NONE : bases[rm];
        in->memory.index = rm < 4 ? indices[rm] : REGISTER_NONE;
        in->memory.scale = 1;
        if (mod == 1)
                in->memory.displacement = take_signed(&decoding->reader, 1);
        else if (mod == 2 || plain)
                in->memory.displacement = take_signed(&decoding->reader, 2);
}

static void memory_32(struct decoding *decoding)
{
        struct instruction *in = decoding->instruction;
        struct memory_operand *memory = &in->memory;
        unsigned mod = in->modrm >> 6, base = FIELD_RM(in->modrm);
        memory->index = REGISTER_NONE;
        memory->scale = 1;
        bool has_sib = base == 4;
        if (has_sib) {
                uint8_t sib = (uint8_t)take(&decoding->reader, 1);
                unsigned index = FIELD_REG(sib) | (in->rex & REX_X ? 8 : 0);
                base = FIELD_RM(sib);
                memory->scale = (uint8_t)(1 << (sib >> 6));
                if (index != 4)
                        memory->index = (uint8_t)index;
        }
        if (mod == 0 && base == 5) {
                memory->base = !has_sib && decoding->mode == DECODE_64 ? REGISTER_RIP : REGISTER_NONE;
                memory->displacement = take_signed(&decoding->reader, 4);
                return;
        }
        memory->base = (uint8_t)(base | (in->rex & REX_B ? 8 : 0));
        if (mod == 1)
                memory->displacement = take_signed(&decoding->reader, 1);
        else if (mod == 2)
                memory->displacement = take_signed(&decoding->reader, 4);
}

/* MOV of control and debug registers: ModRM.mod is ignored (APM vol. 3, MOV CRn), so nothing follows. */
static bool moves_control(const struct instruction *in)
{
        return in->map == 1 && in->opcode >= 0x20 && in->opcode <= 0x23;
}

static void take_modrm(struct decoding *decoding)
{
        struct instruction *in = decoding->instruction;
        if (in->has_modrm)
                return;
        in->has_modrm = true;
        in->modrm_at = (uint8_t)decoding->reader.at;
        in->modrm = (uint8_t)take(&decoding->reader, 1);
        if (moves_control(in))
                in->modrm |= 0xc0;
        if (in->modrm >= 0xc0)
                return;
        if (in->address_size == 2)
                memory_16(decoding);
        else
                memory_32(decoding);
        /* What is addressed by rSP or rBP is on the stack. */
        if (!(in->prefixes & PREFIX_SEGMENT) && (in->memory.base == CPU_RSP || in->memory.base == CPU_RBP))
                in->memory.segment = CPU_SS;
}

/* ---- Operands ---- */

static struct operand general(const struct decoding *decoding, unsigned index, unsigned size)
{
        /* Without a REX prefix, 4 to 7 are AH to BH. */
        if (size == 1 && index >= 4 && index < 8 && !(decoding->instruction->prefixes & PREFIX_REX))
                return (struct operand){ OPERAND_HIGH_BYTE, (uint8_t)(index - 4), 1 };
        return (struct operand){ OPERAND_GENERAL, (uint8_t)index, (uint8_t)size };
}

static struct operand reg_field(const struct decoding *decoding, unsigned size)
{
        const struct instruction *in = decoding->instruction;
        return general(decoding, FIELD_REG(in->modrm) | (in->rex & REX_R ? 8u : 0), size);
}

static struct operand rm_field(const struct decoding *decoding, unsigned size)
{
        const struct instruction *in = decoding->instruction;
        if (in->modrm < 0xc0)
                return (struct operand){ OPERAND_MEMORY, 0, (uint8_t)size };
        return general(decoding, FIELD_RM(in->modrm) | (in->rex & REX_B ? 8u : 0), size);
}

static struct operand opcode_field(const struct decoding *decoding, unsigned size)
{
        const struct instruction *in = decoding->instruction;
        return general(decoding, FIELD_RM(in->opcode) | (in->rex & REX_B ? 8u : 0), size);
}

static struct operand immediate(struct decoding *decoding, unsigned bytes, bool is_signed, unsigned size)
{
        struct reader *reader = &decoding->reader;
        decoding->instruction->immediate = is_signed ? take_signed(reader, bytes) : (int64_t)take(reader, bytes);
        return (struct operand){ OPERAND_IMMEDIATE, 0, (uint8_t)size };
}

static struct operand plain_address(struct decoding *decoding, unsigned size)
{
        struct instruction *in = decoding->instruction;
        in->memory.base = in->memory.index = REGISTER_NONE;
        in->memory.scale = 1;
        in->memory.displacement = (int64_t)take(&decoding->reader, in->address_size);
        return (struct operand){ OPERAND_MEMORY, 0, (uint8_t)size };
}

static struct operand relative(struct decoding *decoding, unsigned bytes)
{
        decoding->instruction->immediate = take_signed(&decoding->reader, bytes);
        return (struct operand){ OPERAND_RELATIVE, 0, decoding->instruction->operand_size };
}

static struct operand far_pointer(struct decoding *decoding)
{
        struct instruction *in = decoding->instruction;
        in->immediate = (int64_t)take(&decoding->reader, in->operand_size);
        in->immediate_2 = (uint16_t)take(&decoding->reader, 2);
        return (struct operand){ OPERAND_IMMEDIATE_2, 0, in->operand_size };
}

static bool has_modrm(enum operand_code code)
{
        return (code >= Eb && code <= Gm) || (code >= M && code <= Dy);
}

static struct operand take_operand(struct decoding *decoding, enum operand_code code)
{
        struct instruction *in = decoding->instruction;
        unsigned v = in->operand_size, z = v > 4 ? 4 : v, y = in->rex & REX_W ? 8 : 4;
        unsigned whole = decoding->mode == DECODE_64 ? 8 : 4; /* of control and debug registers */
        if (has_modrm(code))
                take_modrm(decoding);
        switch (code) {
        case Eb: return rm_field(decoding, 1);
        case Em: return rm_field(decoding, whole);
        case Ew:
        case Mw: return rm_field(decoding, 2);
        case Ed:
        case Rd: return rm_field(decoding, 4);
        case Ev:
        case Mv:
        case Rv: return rm_field(decoding, v);
        case Ey:
        case My: return rm_field(decoding, y);
        case Esw: return rm_field(decoding, in->modrm < 0xc0 ? 2 : v);
        case Ry: return rm_field(decoding, moves_control(in) ? whole : y);
        case Gb: return reg_field(decoding, 1);
        case Gw: return reg_field(decoding, 2);
        case Gd: return reg_field(decoding, 4);
        case Gv: return reg_field(decoding, v);
        case Gy: return reg_field(decoding, y);
        case Gm: return reg_field(decoding, whole);
        case Gz: return reg_field(decoding, z);
        case Ib: return immediate(decoding, 1, false, 1);
        case Ibs: return immediate(decoding, 1, true, v);
        case Iw: return immediate(decoding, 2, false, 2);
        case Iz: return immediate(decoding, z, true, v);
        case Iv: return immediate(decoding, v, true, v);
        case Jb: return relative(decoding, 1);
        case Jz: return relative(decoding, z);
        case Ap: return far_pointer(decoding);
        case Ob: return plain_address(decoding, 1);
        case Ov: return plain_address(decoding, v);
        case M: return rm_field(decoding, 0);
        case Mq: return rm_field(decoding, 8);
        case Mdq: return rm_field(decoding, 16);
        case Mp: return rm_field(decoding, v + 2);
        case Sw: return (struct operand){ OPERAND_SEGMENT, FIELD_REG(in->modrm), 2 };
        case Cy:
        case Dy:
                return (struct operand){ code == Cy ? OPERAND_CONTROL : OPERAND_DEBUG,
                                         (uint8_t)(FIELD_REG(in->modrm) | (in->rex & REX_R ? 8 : 0)), (uint8_t)whole };
        case Zb: return opcode_field(decoding, 1);
        case Zv: return opcode_field(decoding, v);
        case Zz: return opcode_field(decoding, z);
        case AL: return general(decoding, CPU_RAX, 1);
        case rAX: return general(decoding, CPU_RAX, v);
        case eAX: return general(decoding, CPU_RAX, z);
        case CL: return general(decoding, CPU_RCX, 1);
        case DX: return general(decoding, CPU_RDX, 2);
        case ONE: in->immediate = 1; return (struct operand){ OPERAND_IMMEDIATE, 0, 1 };
        case String_b: return (struct operand){ OPERAND_NONE, 0, 1 };
        case String_v: return (struct operand){ OPERAND_NONE, 0, (uint8_t)v };
        case String_z: return (struct operand){ OPERAND_NONE, 0, (uint8_t)z };
        case SegES:
        case SegCS:
        case SegSS:
        case SegDS:
        case SegFS:
        case SegGS: return (struct operand){ OPERAND_SEGMENT, (uint8_t)(CPU_ES + (code - SegES)), 2 };
        case O_NONE: break;
        }
        return (struct operand){ OPERAND_NONE, 0, 0 };
}

/* ---- Finding the row ---- */

static const uint16_t arithmetic[] = { OPERATION_ADD, OPERATION_OR,  OPERATION_ADC, OPERATION_SBB,
                                       OPERATION_AND, OPERATION_SUB, OPERATION_XOR, OPERATION_CMP };
/* ModRM.reg 6 is SHL once more, as processors have it. */
static const uint16_t shifts[] = { OPERATION_ROL, OPERATION_ROR, OPERATION_RCL, OPERATION_RCR,
                                   OPERATION_SHL, OPERATION_SHR, OPERATION_SHL, OPERATION_SAR };

/* 80 to 83, C0, C1 and D0 to D3: ModRM.reg is the operation; the opcode says what its operands are. */
static bool grouped_row(struct decoding *decoding, struct opcode *row)
{
        static const struct {
                uint8_t opcode, first, second;
                const uint16_t *operations;
                uint16_t flags;
        } table[] = {
                { 0x80, Eb, Ib, arithmetic, ROW_LOCK },
                { 0x81, Ev, Iz, arithmetic, ROW_LOCK },
                { 0x82, Eb, Ib, arithmetic, ROW_LOCK | ROW_NOT_64 },
                { 0x83, Ev, Ibs, arithmetic, ROW_LOCK },
                { 0xc0, Eb, Ib, shifts, 0 },
                { 0xc1, Ev, Ib, shifts, 0 },
                { 0xd0, Eb, ONE, shifts, 0 },
                { 0xd1, Ev, ONE, shifts, 0 },
                { 0xd2, Eb, CL, shifts, 0 },
                { 0xd3, Ev, CL, shifts, 0 },
        };
        for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++) {
                if (table[i].opcode != decoding->instruction->opcode)
                        continue;
                take_modrm(decoding);
                row->operation = table[i].operations[FIELD_REG(decoding->instruction->modrm)];
                row->operands[0] = table[i].first;
                row->operands[1] = table[i].second;
                row->operands[2] = O_NONE;
                row->flags = table[i].flags;
                if (row->operation == OPERATION_CMP)
                        row->flags &= (uint16_t)~ROW_LOCK;
                return true;
        }
        return false;
}

/* What a member of a group that only a prefix tells apart is. */
static struct opcode group_member(struct decoding *decoding, unsigned group)
{
        struct instruction *in = decoding->instruction;
        bool is_register = in->modrm >= 0xc0;
        unsigned reg = FIELD_REG(in->modrm);
        if (group == GROUP_7_MEMORY && is_register)
                return *opcode_group_7(in->modrm);
        if (group == GROUP_9_MEMORY && is_register) {
                if (reg == 7 && in->prefixes & PREFIX_REP)
                        return (struct opcode){ OPERATION_RDPID, { Em }, 0 };
                return opcode_groups[GROUP_9_REGISTER][reg];
        }
        if (group == GROUP_15_MEMORY && is_register)
                return opcode_groups[in->prefixes & PREFIX_REP ? GROUP_15_REGISTER_REP : GROUP_15_REGISTER][reg];
        if (group == GROUP_15_MEMORY && in->prefixes & PREFIX_OPERAND && reg == 6) {
                struct opcode row = opcode_groups[GROUP_15_MEMORY][7]; /* CLWB */
                return row;
        }
        return opcode_groups[group][reg];
}

static struct opcode find_row(struct decoding *decoding)
{
        struct instruction *in = decoding->instruction;
        struct opcode row = { 0 };
        const struct opcode *special = NULL;
        if (in->map == 0 && grouped_row(decoding, &row))
                return row;
        if (in->map == 0)
                row = opcodes_one[in->opcode];
        else if (in->map == 1)
                special = in->prefixes & PREFIX_REP ? opcode_two_rep(in->opcode) : NULL;
        else
                special = opcode_three(in->map, in->opcode, decoding->mandatory);
        if (special)
                row = *special;
        else if (in->map == 1)
                row = opcodes_two[in->opcode];
        if (row.flags & ROW_GROUP) {
                uint8_t operands[3] = { row.operands[0], row.operands[1], row.operands[2] };
                take_modrm(decoding);
                row = group_member(decoding, row.operation);
                if (row.operands[0] == O_NONE && operands[0] != O_NONE && row.operation)
                        for (unsigned i = 0; i < 3; i++)
                                row.operands[i] = operands[i];
        }
        if (in->map == 0 && in->opcode == 0x63 && decoding->mode == DECODE_64)
                row = (struct opcode){ OPERATION_MOVSX, { Gv, Ed }, 0 };
        if (in->map == 0 && in->opcode == 0x90 && !(in->rex & REX_B))
                row = (struct opcode){ in->prefixes & PREFIX_REP ? OPERATION_PAUSE : OPERATION_NOP, { O_NONE }, 0 };
        return row;
}

/* ---- Kinds of instructions ---- */

static bool fits(const struct decoding *decoding, const struct opcode *row)
{
        const struct instruction *in = decoding->instruction;
        if (row->operation == OPERATION_INVALID || (row->flags & ROW_NOT_64 && decoding->mode == DECODE_64))
                return false;
        if (row->flags & ROW_PLAIN && in->prefixes & (PREFIX_OPERAND | PREFIX_REP | PREFIX_REPNE))
                return false;
        if (row->flags & ROW_MEMORY && in->has_modrm && in->modrm >= 0xc0)
                return false;
        if (in->prefixes & PREFIX_LOCK && !(row->flags & ROW_LOCK && in->operands[0].kind == OPERAND_MEMORY))
                return false;
        if (moves_control(in) && in->opcode != 0x21 && in->opcode != 0x23)
                /* CR0, CR2, CR3, CR4 and CR8: APM vol. 2, section 3.1. */
                return 0x11d >> in->operands[in->opcode == 0x20 ? 1 : 0].index & 1;
        if (moves_control(in))
                return in->operands[in->opcode == 0x21 ? 1 : 0].index < 8;
        if (row->operation == OPERATION_MOV_TO_SEGMENT)
                return in->operands[0].index < 6 && in->operands[0].index != CPU_CS;
        if (row->operation == OPERATION_MOV_FROM_SEGMENT)
                return in->operands[1].index < 6;
        return true;
}

static bool take_integer(struct decoding *decoding, const struct opcode *row)
{
        struct instruction *in = decoding->instruction;
        bool widens = row->flags & ROW_BRANCH || (row->flags & ROW_WIDE && in->operand_size == 4);
        in->operation = row->operation;
        if (decoding->mode == DECODE_64 && widens)
                in->operand_size = 8;
        if (row->flags & ROW_MODRM)
                take_modrm(decoding);
        for (unsigned i = 0; i < 3 && row->operands[i] != O_NONE; i++)
                in->operands[i] = take_operand(decoding, row->operands[i]);
        if (in->operation == OPERATION_ENTER)
                in->immediate_2 = (uint16_t)take(&decoding->reader, 1);
        return fits(decoding, row);
}

static struct operand vector_register(const struct vector_access *access, unsigned index, unsigned size)
{
        if (access->form & FORM_MMX)
                return (struct operand){ OPERAND_MMX, index & 7, 8 };
        return (struct operand){ OPERAND_VECTOR, (uint8_t)index, (uint8_t)size };
}

/* AVX-512's mask registers are encoded with VEX but belong to EVEX. */
static bool is_mask_arithmetic(const struct instruction *in)
{
        return (in->map == 1 &&
                ((in->opcode >= 0x41 && in->opcode <= 0x4b) || (in->opcode >= 0x90 && in->opcode <= 0x99))) ||
               (in->map == 3 && in->opcode >= 0x30 && in->opcode <= 0x33);
}

/* Operand 0 is ModRM.reg, operand 1 ModRM.rm, whichever is written. */
static bool take_vector(struct decoding *decoding)
{
        struct instruction *in = decoding->instruction;
        take_modrm(decoding);
        struct vector_access access = vector_access(in->map, in->opcode, decoding->mandatory, in->modrm, decoding->vex);
        if (!access.form || in->prefixes & PREFIX_LOCK)
                return false;
        in->operation = !decoding->vex ? OPERATION_VECTOR : is_mask_arithmetic(in) ? OPERATION_EVEX : OPERATION_VEX;
        in->touches = access.touches;
        /* W is ignored for general registers outside 64-bit mode, but it still tells double from single precision. */
        unsigned length = decoding->vex ? in->vector_length : 16, wide = in->rex & REX_W ? 8 : 4;
        unsigned general_size = decoding->mode == DECODE_64 ? wide : 4;
        bool is_scalar = decoding->vex && in->map == 2 && in->opcode < 0xf0;
        unsigned size = access.size == VECTOR_Y ? (is_scalar ? wide : general_size) : access.size;
        if (decoding->vex && in->vector_length == 32)
                size = access.form & FORM_WIDER ? size * 4 : access.form & FORM_FULL ? size * 2 : size;
        in->operands[0] = access.touches & TOUCHES_GENERAL_REG
                                  ? reg_field(decoding, general_size)
                                  : vector_register(&access, reg_field(decoding, 8).index, length);
        if (in->modrm < 0xc0)
                in->operands[1] = (struct operand){ OPERAND_MEMORY, 0, (uint8_t)size };
        else if (access.touches & TOUCHES_GENERAL_RM)
                in->operands[1] = rm_field(decoding, general_size);
        else
                in->operands[1] = vector_register(&access, rm_field(decoding, 8).index, length);
        if (access.form & FORM_IMMEDIATE)
                in->operands[2] = immediate(decoding, 1, false, 1);
        return true;
}

static bool take_x87(struct decoding *decoding)
{
        struct instruction *in = decoding->instruction;
        take_modrm(decoding);
        struct vector_access access = x87_access(in->opcode, in->modrm, in->operand_size != 2);
        in->touches = access.touches;
        if (in->modrm < 0xc0)
                in->operands[0] = (struct operand){ OPERAND_MEMORY, 0, access.size };
        return access.form && !(in->prefixes & PREFIX_LOCK);
}

/* AVX-512 is not run by any engine; its length is needed to go on behind it. */
static bool take_evex(struct decoding *decoding)
{
        struct instruction *in = decoding->instruction;
        in->operation = OPERATION_EVEX;
        take_modrm(decoding);
        bool has_immediate =
                in->map == 3 || (in->map == 1 && ((in->opcode >= 0x70 && in->opcode <= 0x73) || in->opcode == 0xc2 ||
                                                  (in->opcode >= 0xc4 && in->opcode <= 0xc6)));
        if (has_immediate)
                in->operands[2] = immediate(decoding, 1, false, 1);
        return true;
}

static void take_opcode(struct decoding *decoding)
{
        struct instruction *in = decoding->instruction;
        struct reader *reader = &decoding->reader;
        uint8_t byte = (uint8_t)take(reader, 1);
        if (byte == 0x0f) {
                in->map = 1;
                byte = (uint8_t)take(reader, 1);
                if (byte == 0x38 || byte == 0x3a) {
                        in->map = byte == 0x38 ? 2 : 3;
                        byte = (uint8_t)take(reader, 1);
                }
        }
        in->opcode_at = (uint8_t)(reader->at - 1);
        in->opcode = byte;
}

static bool decode(struct decoding *decoding)
{
        struct instruction *in = decoding->instruction;
        take_prefixes(decoding);
        find_sizes(decoding);
        take_opcode(decoding);
        if (in->map == 0 && starts_vex(decoding, in->opcode)) {
                if (!take_vex(decoding, in->opcode))
                        return false;
                in->opcode_at = (uint8_t)decoding->reader.at;
                in->opcode = (uint8_t)take(&decoding->reader, 1);
                if (decoding->evex)
                        return take_evex(decoding);
                if (in->map == 1 && in->opcode == 0x77) { /* VZEROUPPER, VZEROALL */
                        in->operation = OPERATION_VEX;
                        return !decoding->mandatory;
                }
                /* VLDMXCSR, VSTMXCSR */
                if (in->map == 1 && in->opcode == 0xae) {
                        take_modrm(decoding);
                        in->operation = FIELD_REG(in->modrm) == 2 ? OPERATION_LDMXCSR : OPERATION_STMXCSR;
                        in->operands[0] = (struct operand){ OPERAND_MEMORY, 0, 4 };
                        return in->modrm < 0xc0 && (FIELD_REG(in->modrm) & ~1) == 2;
                }
                return take_vector(decoding);
        }
        struct opcode row = find_row(decoding);
        if (row.operation == OPERATION_X87) {
                in->operation = OPERATION_X87;
                return take_x87(decoding);
        }
        if (row.operation == OPERATION_INVALID && in->map && !in->has_modrm)
                return take_vector(decoding);
        return take_integer(decoding, &row);
}

enum decode_result instruction_decode(const uint8_t *bytes, size_t available, enum decode_mode mode,
                                      struct instruction *instruction)
{
        *instruction =
                (struct instruction){ .memory = { .base = REGISTER_NONE, .index = REGISTER_NONE, .segment = CPU_DS } };
        struct decoding decoding = { .reader = { bytes, available }, .mode = mode, .instruction = instruction };
        bool valid = decode(&decoding);
        size_t length = decoding.reader.at;
        if (length > INSTRUCTION_MAX)
                return available < INSTRUCTION_MAX ? DECODE_TRUNCATED : DECODE_TOO_LONG;
        if (length > available)
                return DECODE_TRUNCATED;
        instruction->length = (uint8_t)length;
        return valid ? DECODE_DONE : DECODE_INVALID;
}

const char *operation_name(enum operation operation)
{
#define OPERATION_TEXT(name) #name,
        static const char *const names[] = { OPERATIONS(OPERATION_TEXT) };
#undef OPERATION_TEXT
        return operation < OPERATION_COUNT ? names[operation] : "?";
}
