/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "engine/soft/blocks.h"

#include <stdlib.h>
#include <string.h>

#include "engine/soft/engine_private.h"
#include "engine/soft/memory.h"

#define SLOTS 8192

struct blocks {
        struct block list[SLOTS];
};

int blocks_open(struct blocks **result, struct error *err)
{
        struct blocks *blocks = calloc(1, sizeof(*blocks));
        if (!blocks)
                return error_memory(err);
        *result = blocks;
        return 0;
}

void blocks_close(struct blocks *blocks)
{
        free(blocks);
}

bool block_is_valid(const struct block *block)
{
        return !block->page || atomic_load_explicit(&block->page->version, memory_order_acquire) == block->version;
}

/* After these the next instruction is not the next one in memory, or the mode or the page tables may be others. */
static bool ends_block(const struct instruction *in)
{
        static const uint16_t ends[] = {
                OPERATION_JMP,
                OPERATION_JCC,
                OPERATION_CALL,
                OPERATION_RET,
                OPERATION_JMP_FAR,
                OPERATION_CALL_FAR,
                OPERATION_RET_FAR,
                OPERATION_LOOP,
                OPERATION_LOOPE,
                OPERATION_LOOPNE,
                OPERATION_JCXZ,
                OPERATION_INT,
                OPERATION_INT1,
                OPERATION_INT3,
                OPERATION_INTO,
                OPERATION_IRET,
                OPERATION_SYSCALL,
                OPERATION_SYSRET,
                OPERATION_SYSENTER,
                OPERATION_SYSEXIT,
                OPERATION_UD,
                OPERATION_HLT,
                OPERATION_WRMSR,
                OPERATION_INVLPG,
                OPERATION_MOV_TO_CONTROL,
                OPERATION_LMSW,
                OPERATION_STI,
                OPERATION_POPF,
                OPERATION_STAC,
                OPERATION_CLAC,
                OPERATION_MOVS,
                OPERATION_STOS,
                OPERATION_LODS,
                OPERATION_CMPS,
                OPERATION_SCAS,
                OPERATION_INS,
                OPERATION_OUTS,
                OPERATION_CLI,
                OPERATION_MOV_TO_DEBUG,
        };
        for (size_t i = 0; i < sizeof(ends) / sizeof(ends[0]); i++)
                if (ends[i] == in->operation)
                        return true;
        return (in->operation == OPERATION_MOV_TO_SEGMENT || in->operation == OPERATION_POP_SEGMENT) &&
               in->operands[0].index == CPU_SS;
}

static noreturn void refuse(struct vcpu *vcpu, enum decode_result result)
{
        if (result == DECODE_TOO_LONG)
                vcpu_fault_code(vcpu, EXCEPTION_GP, 0);
        vcpu_fault(vcpu, EXCEPTION_UD);
}

/* The first instruction reaches into the next page. */
static void decode_across(struct vcpu *vcpu, uint64_t linear, const unsigned char *first, unsigned available,
                          struct block *block)
{
        unsigned char bytes[INSTRUCTION_MAX];
        uint64_t physical, next = linear + available;
        memcpy(bytes, first, available);
        if (vcpu->mode != DECODE_64)
                next &= UINT32_MAX;
        else if (!is_canonical(next))
                vcpu_fault_code(vcpu, EXCEPTION_GP, 0);
        const unsigned char *second = memory_fetch(vcpu, next, &physical);
        if (!second)
                vcpu_cannot(vcpu, "code outside memory");
        memcpy(bytes + available, second, INSTRUCTION_MAX - available);
        enum decode_result result = instruction_decode(bytes, INSTRUCTION_MAX, vcpu->mode, &block->instructions[0]);
        if (result != DECODE_DONE)
                refuse(vcpu, result);
        /* Two pages have two versions: it is decoded anew each time. */
        block->count = 1;
        block->page = NULL;
        block->physical = UINT64_MAX;
}

static void decode(struct vcpu *vcpu, uint64_t linear, const unsigned char *code, struct block *block)
{
        unsigned left = (unsigned)(GUEST_PAGE_SIZE - linear % GUEST_PAGE_SIZE);
        block->count = 0;
        block->length = 0;
        while (block->count < BLOCK_INSTRUCTIONS && block->length + INSTRUCTION_MAX <= BLOCK_BYTES) {
                struct instruction *in = &block->instructions[block->count];
                enum decode_result result = instruction_decode(code, left, vcpu->mode, in);
                if (result != DECODE_DONE) {
                        if (block->count)
                                return;
                        if (result != DECODE_TRUNCATED || left >= INSTRUCTION_MAX)
                                refuse(vcpu, result);
                        decode_across(vcpu, linear, code, left, block);
                        return;
                }
                block->count++;
                memcpy(block->bytes + block->length, code, in->length);
                block->length += in->length;
                code += in->length;
                left -= in->length;
                if (ends_block(in) || !left)
                        return;
        }
}

/* From now on writes into the page are seen. Returns its version, which is even, though another CPU may spoil it at once. */
static uint32_t watch(struct code_page *page)
{
        uint32_t version = atomic_load(&page->version);
        while (version & 1)
                if (atomic_compare_exchange_weak(&page->version, &version, version + 1))
                        return version + 1;
        return version;
}

/*
 * The version tells of this CPU's writes at once, and of others' some time later. Devices write without it: the bytes themselves
 * are what counts when a block is entered.
 */
static bool is_still(const struct block *block, const unsigned char *code)
{
        return block_is_valid(block) && code && memcmp(block->bytes, code, block->length) == 0;
}

const struct block *blocks_find(struct vcpu *vcpu)
{
        uint64_t physical, linear = vcpu->rip;
        if (vcpu->mode != DECODE_64) {
                if (vcpu->rip > vcpu->segments[CPU_CS].limit)
                        vcpu_fault_code(vcpu, EXCEPTION_GP, 0);
                linear = (vcpu->segments[CPU_CS].base + vcpu->rip) & UINT32_MAX;
        } else if (!is_canonical(linear)) {
                vcpu_fault_code(vcpu, EXCEPTION_GP, 0);
        }
        const unsigned char *code = memory_fetch(vcpu, linear, &physical);
        struct block *block = &vcpu->blocks->list[(physical ^ physical >> 13) % SLOTS];
        if (block->physical == physical && block->mode == vcpu->mode && block->count && is_still(block, code))
                return block;
        if (!code)
                vcpu_cannot(vcpu, "code outside memory");
        struct code_page *page = engine_code_page(vcpu->engine, physical);
        uint32_t version = watch(page);
        block->physical = physical;
        block->mode = vcpu->mode;
        block->page = page;
        block->version = version;
        block->count = 0;
        decode(vcpu, linear, code, block);
        return block;
}
