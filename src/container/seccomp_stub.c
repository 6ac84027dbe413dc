/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "container/seccomp_stub.h"

#include <errno.h>
#include <linux/audit.h>
#include <linux/seccomp.h>
#include <seccomp.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"

/* x32's system calls have the architecture of x86-64 and this bit in their number. */
#define X32_BIT  0x40000000U
#define NO_LIMIT UINT32_MAX

/* The instructions for one architecture, the jump over those of the others behind them left open. */
static size_t emit(struct sock_filter *at, uint32_t architecture, uint32_t newest, uint32_t newest_x32)
{
        uint32_t first_x32 = architecture == SCMP_ARCH_X86_64 ? X32_BIT : NO_LIMIT;
        const struct sock_filter code[] = {
                BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, arch)),
                BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, architecture, 0, 6),
                BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
                BPF_JUMP(BPF_JMP | BPF_JGE | BPF_K, first_x32, 0, 1),
                BPF_JUMP(BPF_JMP | BPF_JGT | BPF_K, newest_x32, 1, 2),
                BPF_JUMP(BPF_JMP | BPF_JGT | BPF_K, newest, 0, 1),
                BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | ENOSYS),
                BPF_STMT(BPF_JMP | BPF_JA, 0),
        };
        memcpy(at, code, sizeof(code));
        return ARRAY_SIZE(code);
}

static uint32_t limit_of(const struct seccomp_newest *newest, size_t count, uint32_t architecture)
{
        for (size_t i = 0; i < count; i++) {
                if (newest[i].architecture == architecture)
                        return newest[i].number;
        }
        return NO_LIMIT;
}

int seccomp_stub_prepend(struct seccomp_program *program, const struct seccomp_newest *newest, size_t count,
                         struct error *err)
{
        struct sock_filter stub[SECCOMP_ARCHITECTURES_MAX * 8];
        size_t length = 0;
        uint32_t x32 = limit_of(newest, count, SCMP_ARCH_X32);
        for (size_t i = 0; i < count && i < SECCOMP_ARCHITECTURES_MAX; i++) {
                uint32_t architecture = newest[i].architecture;
                if (architecture == SCMP_ARCH_X32)
                        continue;
                length += emit(stub + length, architecture, newest[i].number, x32);
        }
        for (size_t i = 0; i < length; i++) {
                if (stub[i].code == (BPF_JMP | BPF_JA))
                        stub[i].k = (uint32_t)(length - i - 1);
        }
        if (program->length + length > BPF_MAXINSNS)
                return error_set(err, -EFBIG,
                                 "the seccomp profile needs more than the %d instructions that the kernel takes",
                                 BPF_MAXINSNS);
        struct sock_filter *whole = malloc((program->length + length) * sizeof(*whole));
        if (!whole)
                return error_memory(err);
        memcpy(whole, stub, length * sizeof(*whole));
        memcpy(whole + length, program->filter, program->length * sizeof(*whole));
        free(program->filter);
        program->filter = whole;
        program->length = (uint16_t)(program->length + length);
        return 0;
}
