/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "engine/soft/thunk.h"

#include <cpuid.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/cleanup.h"

#define SLOTS     4096
#define SLOT_SIZE 32
#define CODE_SIZE ((size_t)SLOTS * SLOT_SIZE)

struct thunk {
        uint8_t *writable;
        const uint8_t *executable;
        uint8_t present[SLOTS][INSTRUCTION_MAX + 1]; /* what each slot holds: length, then bytes */
};

/* Where the encoded instruction finds its operands: the numbers of RSI, RDI and RCX. */
enum { MEMORY_BASE = 6, REG_FIELD = 7, RM_FIELD = 1 };

struct encoding {
        uint8_t bytes[INSTRUCTION_MAX + 8];
        unsigned length;
};

static void put(struct encoding *encoding, uint8_t byte)
{
        encoding->bytes[encoding->length++] = byte;
}

static uint8_t new_modrm(const struct instruction *in)
{
        uint8_t modrm = in->modrm;
        if (in->touches & TOUCHES_GENERAL_REG)
                modrm = (uint8_t)((modrm & ~0x38) | REG_FIELD << 3);
        if (modrm < 0xc0)
                return (uint8_t)((modrm & 0x38) | MEMORY_BASE);
        if (in->touches & TOUCHES_GENERAL_RM && in->operation != OPERATION_X87)
                modrm = (uint8_t)((modrm & ~7) | RM_FIELD);
        return modrm;
}

static uint8_t new_rex(const struct instruction *in)
{
        uint8_t rex = in->rex & 0xc;
        if (in->touches & TOUCHES_GENERAL_REG)
                rex &= 8;
        if (in->modrm >= 0xc0 && !(in->touches & TOUCHES_GENERAL_RM))
                rex |= in->rex & 1;
        return rex;
}

static void encode(const struct instruction *in, struct encoding *encoding)
{
        encoding->length = 0;
        /* To x87 it is a size, which the guest's mode has a say in; to the others a part of the opcode. */
        if (in->operation == OPERATION_X87 ? in->operand_size == 2 : in->prefixes & PREFIX_OPERAND)
                put(encoding, 0x66);
        if (in->prefixes & (PREFIX_REP | PREFIX_REPNE))
                put(encoding, in->prefixes & PREFIX_REP ? 0xf3 : 0xf2);
        uint8_t rex = new_rex(in);
        if (rex)
                put(encoding, 0x40 | rex);
        if (in->map)
                put(encoding, 0x0f);
        if (in->map > 1)
                put(encoding, in->map == 2 ? 0x38 : 0x3a);
        put(encoding, in->opcode);
        put(encoding, new_modrm(in));
        if (in->operands[2].kind == OPERAND_IMMEDIATE)
                put(encoding, (uint8_t)in->immediate);
        put(encoding, 0xc3);
}

static const uint8_t *place(struct thunk *thunk, const struct encoding *encoding)
{
        uint32_t hash = 2166136261; /* FNV-1a */
        for (unsigned i = 0; i < encoding->length; i++)
                hash = (hash ^ encoding->bytes[i]) * 16777619;
        unsigned slot = (hash ^ hash >> 16) % SLOTS;
        uint8_t *present = thunk->present[slot];
        if (present[0] != encoding->length || memcmp(present + 1, encoding->bytes, encoding->length) != 0) {
                memcpy(thunk->writable + (size_t)slot * SLOT_SIZE, encoding->bytes, encoding->length);
                present[0] = (uint8_t)encoding->length;
                memcpy(present + 1, encoding->bytes, encoding->length);
        }
        return thunk->executable + (size_t)slot * SLOT_SIZE;
}

/* The host's own floating-point control is put back: what compilers assume of it (System V ABI, section 3.2.3). */
static void call(const uint8_t *code, struct thunk_frame *frame)
{
        static const uint32_t default_mxcsr = 0x1f80;
        uint64_t rax = frame->rax, rcx = frame->rcx, rdx = frame->rdx, rdi = frame->reg;
        __asm__ volatile("fxrstor64 %[fx]\n\t"
                         "pushq %[flags]\n\t"
                         "popfq\n\t"
                         "call *%[code]\n\t"
                         "pushfq\n\t"
                         "popq %[flags]\n\t"
                         "fxsave64 %[fx]\n\t"
                         "fninit\n\t"
                         "ldmxcsr %[default_mxcsr]\n\t"
                         "cld"
                         : "+a"(rax), "+c"(rcx), "+d"(rdx), "+D"(rdi), [flags] "+r"(frame->flags), [fx] "+m"(frame->fx),
                           "+m"(frame->memory)
                         : "S"(frame->memory), [code] "r"(code), [default_mxcsr] "m"(default_mxcsr)
                         : "cc", "memory", "xmm0", "xmm1", "xmm2", "xmm3", "xmm4", "xmm5", "xmm6", "xmm7", "xmm8",
                           "xmm9", "xmm10", "xmm11", "xmm12", "xmm13", "xmm14", "xmm15");
        frame->rax = rax;
        frame->rcx = rcx;
        frame->rdx = rdx;
        frame->reg = rdi;
}

int thunk_run(struct thunk *thunk, const struct instruction *in, struct thunk_frame *frame)
{
        struct encoding encoding;
        encode(in, &encoding);
        if (encoding.length > INSTRUCTION_MAX)
                return -ENOTSUP;
        call(place(thunk, &encoding), frame);
        return 0;
}

/* What cpuid.c offers and is run as it stands, here and in arithmetic.c. Leaf 1 and 80000001, ECX: APM vol. 3, appendix E. */
static bool host_suffices(void)
{
        const unsigned wanted = 1 << 0 | 1 << 9 | 1 << 19 | 1 << 20 | 1 << 23; /* sse3 ssse3 sse4.1 sse4.2 popcnt */
        const unsigned wanted_extended = 1 << 5;                               /* abm */
        unsigned eax, ebx, ecx, edx;
        if (!__get_cpuid(1, &eax, &ebx, &ecx, &edx) || (ecx & wanted) != wanted)
                return false;
        return __get_cpuid(0x80000001, &eax, &ebx, &ecx, &edx) && ecx & wanted_extended;
}

int thunk_open(struct thunk **result, struct error *err)
{
        if (!host_suffices())
                return error_set(err, -ENOTSUP, "this host's processor lacks SSE4.2, POPCNT or LZCNT");
        struct thunk *thunk = calloc(1, sizeof(*thunk));
        _cleanup_close_ int fd = memfd_create("onggi-code", MFD_CLOEXEC);
        if (!thunk)
                return error_memory(err);
        if (fd < 0 || ftruncate(fd, CODE_SIZE) < 0) {
                free(thunk);
                return error_errno(err, "cannot make memory for code");
        }
        thunk->writable = mmap(NULL, CODE_SIZE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
        void *executable = mmap(NULL, CODE_SIZE, PROT_READ | PROT_EXEC, MAP_SHARED, fd, 0);
        thunk->executable = executable;
        if (thunk->writable == MAP_FAILED || executable == MAP_FAILED) {
                free(thunk);
                return error_errno(err, "this host lets no memory be executable");
        }
        *result = thunk;
        return 0;
}

void thunk_close(struct thunk *thunk)
{
        if (!thunk)
                return;
        munmap(thunk->writable, CODE_SIZE);
        munmap((void *)thunk->executable, CODE_SIZE);
        free(thunk);
}
