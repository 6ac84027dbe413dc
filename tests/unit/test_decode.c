/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The decoder against Zydis, an independent one: random bytes in all three modes, and the code of real libraries.
 * ONGGI_DECODE_ROUNDS=N decodes N random instructions instead of a million.
 */
#include "decode/instruction.h"

#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/stat.h>

#include <cmocka.h>

#include <Zydis/Zydis.h>

#include "base/cleanup.h"
#include "base/text.h"

struct theirs {
        ZydisDecodedInstruction instruction;
        ZydisDecodedOperand operands[ZYDIS_MAX_OPERAND_COUNT];
};

struct comparison {
        ZydisDecoder decoders[3];
        const uint8_t *bytes;
        enum decode_mode mode;
        struct instruction ours;
        struct theirs theirs;
};

static int set_up(void **state)
{
        static const ZydisMachineMode modes[] = { ZYDIS_MACHINE_MODE_LONG_COMPAT_16, ZYDIS_MACHINE_MODE_LONG_COMPAT_32,
                                                  ZYDIS_MACHINE_MODE_LONG_64 };
        static const ZydisStackWidth widths[] = { ZYDIS_STACK_WIDTH_16, ZYDIS_STACK_WIDTH_32, ZYDIS_STACK_WIDTH_64 };
        struct comparison *comparison = calloc(1, sizeof(*comparison));
        assert_non_null(comparison);
        for (unsigned i = 0; i < 3; i++)
                assert_true(ZYAN_SUCCESS(ZydisDecoderInit(&comparison->decoders[i], modes[i], widths[i])));
        *state = comparison;
        return 0;
}

static int tear_down(void **state)
{
        free(*state);
        return 0;
}

static void differ(const struct comparison *comparison, const char *what)
{
        char text[3 * INSTRUCTION_MAX + 1] = "";
        for (unsigned i = 0; i < INSTRUCTION_MAX; i++)
                snprintf(text + (size_t)3 * i, 4, "%02x ", comparison->bytes[i]);
        fail_msg("%s differs: mode %d, %s: ours is %s, theirs %s", what, comparison->mode, text,
                 operation_name(comparison->ours.operation),
                 ZydisMnemonicGetString(comparison->theirs.instruction.mnemonic));
}

/* Instructions of theirs that no engine of ours will ever run: AMD's dead ones, and what virtual CPUs do not offer. */
static bool out_of_scope(const struct theirs *theirs)
{
        static const ZydisISAExt extensions[] = {
                ZYDIS_ISA_EXT_AMD3DNOW,  ZYDIS_ISA_EXT_AMD3DNOW_PREFETCH,
                ZYDIS_ISA_EXT_SSE4A,     ZYDIS_ISA_EXT_XOP,
                ZYDIS_ISA_EXT_FMA4,      ZYDIS_ISA_EXT_TBM,
                ZYDIS_ISA_EXT_MPX,       ZYDIS_ISA_EXT_CET,
                ZYDIS_ISA_EXT_UINTR,     ZYDIS_ISA_EXT_SMX,
                ZYDIS_ISA_EXT_SGX,       ZYDIS_ISA_EXT_AMX_TILE,
                ZYDIS_ISA_EXT_AMX_INT8,  ZYDIS_ISA_EXT_AMX_BF16,
                ZYDIS_ISA_EXT_KEYLOCKER, ZYDIS_ISA_EXT_KEYLOCKER_WIDE,
                ZYDIS_ISA_EXT_VTX,       ZYDIS_ISA_EXT_SVM,
                ZYDIS_ISA_EXT_PCONFIG,   ZYDIS_ISA_EXT_WAITPKG,
                ZYDIS_ISA_EXT_ENQCMD,    ZYDIS_ISA_EXT_SNP,
                ZYDIS_ISA_EXT_TDX,       ZYDIS_ISA_EXT_HRESET,
                ZYDIS_ISA_EXT_MOVDIR,    ZYDIS_ISA_EXT_KNC,
                ZYDIS_ISA_EXT_KNCE,      ZYDIS_ISA_EXT_KNCV,
                ZYDIS_ISA_EXT_SGX_ENCLV, ZYDIS_ISA_EXT_VMFUNC,
                ZYDIS_ISA_EXT_TSX_LDTRK, ZYDIS_ISA_EXT_SERIALIZE,
                ZYDIS_ISA_EXT_PT,        ZYDIS_ISA_EXT_MCOMMIT,
                ZYDIS_ISA_EXT_RDPRU,     ZYDIS_ISA_EXT_AVX_VNNI,
                ZYDIS_ISA_EXT_CLDEMOTE,  ZYDIS_ISA_EXT_RTM,
                ZYDIS_ISA_EXT_PADLOCK,   ZYDIS_ISA_EXT_AMD_INVLPGB,
        };
        for (size_t i = 0; i < ARRAY_SIZE(extensions); i++)
                if (theirs->instruction.meta.isa_ext == extensions[i])
                        return true;
        return false;
}

static const ZydisDecodedOperand *their_operand(const struct theirs *theirs, ZydisOperandType type)
{
        for (unsigned i = 0; i < theirs->instruction.operand_count_visible; i++)
                if (theirs->operands[i].type == type)
                        return &theirs->operands[i];
        return NULL;
}

static const struct operand *our_operand(const struct instruction *ours, enum operand_kind kind)
{
        for (unsigned i = 0; i < OPERANDS_MAX; i++)
                if (ours->operands[i].kind == kind)
                        return &ours->operands[i];
        return NULL;
}

static void compare_memory(struct comparison *comparison)
{
        const ZydisDecodedOperand *theirs = their_operand(&comparison->theirs, ZYDIS_OPERAND_TYPE_MEMORY);
        const struct instruction *ours = &comparison->ours;
        const struct operand *operand = our_operand(ours, OPERAND_MEMORY);
        bool nothing_is_accessed = ours->operation == OPERATION_NOP || ours->operation == OPERATION_UD ||
                                   ours->operation == OPERATION_UNSUPPORTED || ours->operation == OPERATION_LEA;
        if (!theirs || !ours->has_modrm || ours->modrm >= 0xc0 || nothing_is_accessed)
                return;
        bool is_gather = theirs->mem.type == ZYDIS_MEMOP_TYPE_VSIB;
        if (!operand || (operand->size && operand->size != theirs->size / 8 && !is_gather))
                differ(comparison, "the memory operand");
        /* Zydis 4.0 takes a SIB byte without a base for one with R13 if REX.B is there and addresses have 32 bits. */
        if (ours->memory.base == REGISTER_NONE && theirs->mem.base != ZYDIS_REGISTER_NONE)
                return;
        if ((uint32_t)ours->memory.displacement !=
            (theirs->mem.disp.has_displacement ? (uint32_t)theirs->mem.disp.value : 0))
                differ(comparison, "the displacement");
        /* 3E before an indirect branch is CET's NOTRACK to them; without CET it is the segment DS. */
        bool may_be_notrack = ours->operation == OPERATION_JMP || ours->operation == OPERATION_CALL;
        if (!may_be_notrack && theirs->mem.segment != ZYDIS_REGISTER_ES + (int)ours->memory.segment)
                differ(comparison, "the segment");
}

static void compare_immediate(struct comparison *comparison)
{
        const ZydisDecodedOperand *theirs = their_operand(&comparison->theirs, ZYDIS_OPERAND_TYPE_IMMEDIATE);
        if (!theirs || comparison->ours.operation == OPERATION_UNSUPPORTED)
                return;
        uint64_t ours = (uint64_t)comparison->ours.immediate, value = theirs->imm.value.u;
        unsigned first = comparison->ours.operands[0].size;
        uint64_t mask = theirs->imm.is_relative || first >= 8 || !first ? UINT64_MAX : (1ULL << 8 * first) - 1;
        if (comparison->ours.operation == OPERATION_CALL_FAR || comparison->ours.operation == OPERATION_JMP_FAR)
                return;
        if ((ours & mask) != (value & mask) && (ours & 0xff) != value)
                differ(comparison, "the immediate");
}

static bool has_register(const struct instruction *ours, unsigned id, unsigned size)
{
        for (unsigned i = 0; i < OPERANDS_MAX; i++) {
                const struct operand *operand = &ours->operands[i];
                /* They count AL, CL, DL, BL, AH, CH, DH, BH, SPL, … where bytes are concerned. */
                unsigned number = size != 1                            ? operand->index
                                  : operand->kind == OPERAND_HIGH_BYTE ? operand->index + 4u
                                  : operand->index >= 4                ? operand->index + 4u
                                                                       : operand->index;
                if ((operand->kind == OPERAND_GENERAL || operand->kind == OPERAND_HIGH_BYTE) && operand->size == size &&
                    number == id)
                        return true;
        }
        return false;
}

static void compare_registers(struct comparison *comparison)
{
        const struct theirs *theirs = &comparison->theirs;
        unsigned operation = comparison->ours.operation;
        if (operation >= OPERATION_FWAIT || operation == OPERATION_NOP || operation == OPERATION_UD ||
            operation == OPERATION_LAR || operation == OPERATION_LSL || operation == OPERATION_CLZERO ||
            operation == OPERATION_UNSUPPORTED || (operation == OPERATION_MOVSX && comparison->ours.operand_size == 2))
                return;
        for (unsigned i = 0; i < theirs->instruction.operand_count_visible; i++) {
                ZydisRegister reg = theirs->operands[i].reg.value;
                ZydisRegisterClass class = ZydisRegisterGetClass(reg);
                if (theirs->operands[i].type != ZYDIS_OPERAND_TYPE_REGISTER || class < ZYDIS_REGCLASS_GPR8 ||
                    class > ZYDIS_REGCLASS_GPR64)
                        continue;
                unsigned size = ZydisRegisterGetWidth(ZYDIS_MACHINE_MODE_LONG_64, reg) / 8u;
                if (!has_register(&comparison->ours, (unsigned)ZydisRegisterGetId(reg), size))
                        differ(comparison, ZydisRegisterGetString(reg));
        }
}

/* Returns the length of the instruction at `bytes`, of which 15 are there. */
static size_t compare(struct comparison *comparison, const uint8_t *bytes, enum decode_mode mode)
{
        comparison->bytes = bytes;
        comparison->mode = mode;
        struct theirs *theirs = &comparison->theirs;
        enum decode_result result = instruction_decode(bytes, INSTRUCTION_MAX, mode, &comparison->ours);
        bool valid = ZYAN_SUCCESS(ZydisDecoderDecodeFull(&comparison->decoders[mode], bytes, INSTRUCTION_MAX,
                                                         &theirs->instruction, theirs->operands));
        if (!valid || out_of_scope(theirs))
                return 1;
        if (result != DECODE_DONE)
                differ(comparison, "validity");
        if (comparison->ours.length != theirs->instruction.length)
                differ(comparison, "the length");
        if (comparison->ours.operation != OPERATION_EVEX) {
                compare_memory(comparison);
                compare_immediate(comparison);
                compare_registers(comparison);
        }
        return theirs->instruction.length;
}

/* Bytes of which most begin an instruction: escapes and mandatory prefixes more often than chance has them. */
static void make_bytes(uint8_t bytes[16])
{
        static const uint8_t beginnings[][3] = {
                { 0x0f },       { 0x66, 0x0f },       { 0xf3, 0x0f },       { 0xf2, 0x0f },
                { 0x0f, 0x38 }, { 0x66, 0x0f, 0x38 }, { 0x66, 0x0f, 0x3a }, { 0xc5 },
                { 0xc4 },       { 0x48, 0x0f }
        };
        for (unsigned i = 0; i < 16; i++)
                bytes[i] = (uint8_t)random();
        unsigned choice = (unsigned)random() % (2 * ARRAY_SIZE(beginnings));
        for (unsigned i = 0; choice < ARRAY_SIZE(beginnings) && i < 3 && beginnings[choice][i]; i++)
                bytes[i] = beginnings[choice][i];
}

static void test_random_bytes_decode_as_an_independent_decoder_has_it(void **state)
{
        const char *wish = getenv("ONGGI_DECODE_ROUNDS");
        uint64_t rounds = 1000000;
        if (wish)
                assert_int_equal(parse_u64(wish, &rounds), 0);
        srandom(4);
        for (uint64_t i = 0; i < rounds; i++) {
                uint8_t bytes[16];
                make_bytes(bytes);
                compare(*state, bytes, (enum decode_mode)(i % 4 % 3));
        }
}

static void compare_file(struct comparison *comparison, const char *path)
{
        _cleanup_close_ int fd = open(path, O_RDONLY | O_CLOEXEC);
        struct stat stat;
        assert_true(fd >= 0 && fstat(fd, &stat) == 0);
        size_t size = (size_t)stat.st_size;
        const uint8_t *bytes = mmap(NULL, size, PROT_READ, MAP_PRIVATE, fd, 0);
        assert_true(bytes != MAP_FAILED);
        for (size_t at = 0; at + INSTRUCTION_MAX <= size;)
                at += compare(comparison, bytes + at, DECODE_64);
        munmap((void *)bytes, size);
}

static void test_libraries_decode_as_an_independent_decoder_has_them(void **state)
{
        compare_file(*state, "/lib/x86_64-linux-gnu/libc.so.6");
        compare_file(*state, "/lib/x86_64-linux-gnu/libm.so.6");
        compare_file(*state, "/usr/bin/python3");
}

static void test_every_shortened_instruction_asks_for_more_bytes(void **state)
{
        (void)state;
        srandom(5);
        for (unsigned i = 0; i < 100000; i++) {
                uint8_t bytes[16];
                struct instruction whole, part;
                make_bytes(bytes);
                if (instruction_decode(bytes, INSTRUCTION_MAX, DECODE_64, &whole) != DECODE_DONE)
                        continue;
                for (size_t length = 0; length < whole.length; length++)
                        assert_int_equal(instruction_decode(bytes, length, DECODE_64, &part), DECODE_TRUNCATED);
        }
}

static void test_sixteen_bytes_are_too_long(void **state)
{
        (void)state;
        uint8_t bytes[16];
        struct instruction instruction;
        for (unsigned i = 0; i < 15; i++)
                bytes[i] = 0x2e;
        bytes[15] = 0x90;
        assert_int_equal(instruction_decode(bytes, 16, DECODE_64, &instruction), DECODE_TOO_LONG);
        assert_int_equal(instruction_decode(bytes + 1, 15, DECODE_64, &instruction), DECODE_DONE);
        assert_int_equal(instruction.length, 15);
}

static void test_lock_is_refused_where_nothing_in_memory_changes(void **state)
{
        (void)state;
        static const struct {
                uint8_t bytes[8];
                enum decode_result result;
        } cases[] = {
                { { 0xf0, 0x01, 0x08 }, DECODE_DONE },             /* lock add [rax], ecx */
                { { 0xf0, 0x01, 0xc8 }, DECODE_INVALID },          /* lock add eax, ecx */
                { { 0xf0, 0x03, 0x08 }, DECODE_INVALID },          /* lock add ecx, [rax] */
                { { 0xf0, 0x39, 0x08 }, DECODE_INVALID },          /* lock cmp [rax], ecx */
                { { 0xf0, 0x83, 0x38, 0x01 }, DECODE_INVALID },    /* lock cmp dword [rax], 1 */
                { { 0xf0, 0x0f, 0xb1, 0x08 }, DECODE_DONE },       /* lock cmpxchg [rax], ecx */
                { { 0xf0, 0x48, 0x0f, 0xc7, 0x08 }, DECODE_DONE }, /* lock cmpxchg16b [rax] */
                { { 0xf0, 0x0f, 0x58, 0x00 }, DECODE_INVALID },    /* lock addps xmm0, [rax] */
        };
        for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
                struct instruction instruction;
                assert_int_equal(instruction_decode(cases[i].bytes, 8, DECODE_64, &instruction), cases[i].result);
        }
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test_setup_teardown(test_random_bytes_decode_as_an_independent_decoder_has_it, set_up,
                                                tear_down),
                cmocka_unit_test_setup_teardown(test_libraries_decode_as_an_independent_decoder_has_them, set_up,
                                                tear_down),
                cmocka_unit_test(test_every_shortened_instruction_asks_for_more_bytes),
                cmocka_unit_test(test_sixteen_bytes_are_too_long),
                cmocka_unit_test(test_lock_is_refused_where_nothing_in_memory_changes),
        };
        return cmocka_run_group_tests(tests, NULL, NULL);
}
