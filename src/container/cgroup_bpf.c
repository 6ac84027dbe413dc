/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "container/cgroup_devices.h"

/* Tells our program from others that are attached to the same directory (systemd's, say). */
#define PROGRAM_NAME "onggi_devices"
#define ATTACHED_MAX 64
/* A rule's longest form, and the head and tail of a program. */
#define RULE_LENGTH  8
#define FRAME_LENGTH 8

static int bpf(int command, union bpf_attr *attributes)
{
        long r = syscall(SYS_bpf, command, attributes, sizeof(*attributes));
        return r < 0 ? -errno : (int)r;
}

/* ---- the program ---- */

enum {
        R_RESULT = BPF_REG_0,
        R_CONTEXT = BPF_REG_1,
        R_TYPE = BPF_REG_2,
        R_ACCESS = BPF_REG_3,
        R_MAJOR = BPF_REG_4,
        R_MINOR = BPF_REG_5,
        R_SCRATCH = BPF_REG_6
};

struct program {
        struct bpf_insn *code;
        size_t length;
};

static void emit(struct program *program, unsigned code, unsigned to, unsigned from, int offset, int immediate)
{
        program->code[program->length++] = (struct bpf_insn){
                .code = (uint8_t)code,
                .dst_reg = (uint8_t)(to & 15),
                .src_reg = (uint8_t)(from & 15),
                .off = (int16_t)offset,
                .imm = immediate,
        };
}

static void emit_load(struct program *program, unsigned to, size_t offset)
{
        emit(program, BPF_LDX | BPF_MEM | BPF_W, to, R_CONTEXT, (int)offset, 0);
}

static void emit_return(struct program *program, int result)
{
        emit(program, BPF_ALU64 | BPF_MOV | BPF_K, R_RESULT, 0, 0, result);
        emit(program, BPF_JMP | BPF_EXIT, 0, 0, 0, 0);
}

/* Leaves the rule (the jump's distance is filled in later) unless the register holds the value. */
static void emit_unless(struct program *program, unsigned at, int value)
{
        emit(program, BPF_JMP | BPF_JNE | BPF_K, at, 0, 0, value);
}

/*
 * R_ACCESS holds the bits of the request that no later rule has decided. A denying rule ends it if it speaks of any of
 * them, an allowing one takes its bits away and ends it when none is left.
 */
static void emit_rule(struct program *program, const struct device_rule *rule)
{
        size_t start = program->length;
        if (rule->type != 'a')
                emit_unless(program, R_TYPE, rule->type == 'b' ? BPF_DEVCG_DEV_BLOCK : BPF_DEVCG_DEV_CHAR);
        if (rule->major != DEVICE_ANY)
                emit_unless(program, R_MAJOR, rule->major);
        if (rule->minor != DEVICE_ANY)
                emit_unless(program, R_MINOR, rule->minor);
        if (!rule->allow) {
                emit(program, BPF_ALU64 | BPF_MOV | BPF_X, R_SCRATCH, R_ACCESS, 0, 0);
                emit(program, BPF_ALU64 | BPF_AND | BPF_K, R_SCRATCH, 0, 0, (int)rule->access);
                emit(program, BPF_JMP | BPF_JEQ | BPF_K, R_SCRATCH, 0, 0, 0);
        } else {
                emit(program, BPF_ALU64 | BPF_AND | BPF_K, R_ACCESS, 0, 0, (int)~rule->access);
                emit_unless(program, R_ACCESS, 0);
        }
        emit_return(program, rule->allow);
        for (size_t i = start; i < program->length; i++) {
                unsigned code = program->code[i].code;
                if (code == (BPF_JMP | BPF_JNE | BPF_K) || code == (BPF_JMP | BPF_JEQ | BPF_K))
                        program->code[i].off = (int16_t)(program->length - i - 1);
        }
}

int device_program_build(const struct device_rule *rules, size_t count, struct bpf_insn **code, size_t *length,
                         struct error *err)
{
        struct program program = { .code = calloc(count * RULE_LENGTH + FRAME_LENGTH, sizeof(struct bpf_insn)) };
        if (!program.code)
                return error_memory(err);
        /* linux/bpf.h: access_type is the access in the upper half, the type of the node in the lower. */
        emit_load(&program, R_TYPE, offsetof(struct bpf_cgroup_dev_ctx, access_type));
        emit(&program, BPF_ALU64 | BPF_MOV | BPF_X, R_ACCESS, R_TYPE, 0, 0);
        emit(&program, BPF_ALU64 | BPF_RSH | BPF_K, R_ACCESS, 0, 0, 16);
        emit(&program, BPF_ALU64 | BPF_AND | BPF_K, R_TYPE, 0, 0, 0xffff);
        emit_load(&program, R_MAJOR, offsetof(struct bpf_cgroup_dev_ctx, major));
        emit_load(&program, R_MINOR, offsetof(struct bpf_cgroup_dev_ctx, minor));
        for (size_t i = count; i-- > 0;) {
                /* Everything decided, nothing after it can be reached: the verifier refuses dead code. */
                if (rules[i].type == 'a' && rules[i].major == DEVICE_ANY && rules[i].minor == DEVICE_ANY &&
                    rules[i].access == DEVICE_ALL) {
                        emit_return(&program, rules[i].allow);
                        *code = program.code;
                        *length = program.length;
                        return 0;
                }
                emit_rule(&program, &rules[i]);
        }
        emit_return(&program, 0);
        *code = program.code;
        *length = program.length;
        return 0;
}

/* ---- loading and attaching ---- */

static int load(const struct bpf_insn *program, size_t length, struct error *err)
{
        static const char license[] = "GPL";
        union bpf_attr attributes = {
                .prog_type = BPF_PROG_TYPE_CGROUP_DEVICE,
                .insns = (uintptr_t)program,
                .insn_cnt = (uint32_t)length,
                .license = (uintptr_t)license,
                .prog_name = PROGRAM_NAME,
        };
        int fd = bpf(BPF_PROG_LOAD, &attributes);
        if (fd >= 0)
                return fd;
        if (fd == -EPERM)
                return error_set(err, fd,
                                 "the kernel refuses an eBPF program for device rules (CAP_BPF and CAP_NET_ADMIN, or "
                                 "CAP_SYS_ADMIN, are needed)");
        if (fd == -EINVAL || fd == -ENOSYS)
                return error_code(err, fd,
                                  "cannot load an eBPF program for device rules; the kernel needs CONFIG_CGROUP_BPF");
        return error_code(err, fd, "cannot load an eBPF program for device rules");
}

static bool is_ours(int fd)
{
        struct bpf_prog_info info = { 0 };
        union bpf_attr attributes = { .info.bpf_fd = (uint32_t)fd,
                                      .info.info_len = sizeof(info),
                                      .info.info = (uintptr_t)&info };
        return !bpf(BPF_OBJ_GET_INFO_BY_FD, &attributes) && !strncmp(info.name, PROGRAM_NAME, sizeof(info.name));
}

/* The program that we attached before; -1 if there is none. */
static int find_attached(int directory)
{
        uint32_t numbers[ATTACHED_MAX] = { 0 };
        union bpf_attr query = {
                .query.target_fd = (uint32_t)directory,
                .query.attach_type = BPF_CGROUP_DEVICE,
                .query.prog_ids = (uintptr_t)numbers,
                .query.prog_cnt = ATTACHED_MAX,
        };
        if (bpf(BPF_PROG_QUERY, &query) < 0)
                return -1;
        for (uint32_t i = 0; i < query.query.prog_cnt && i < ATTACHED_MAX; i++) {
                union bpf_attr by_number = { .prog_id = numbers[i] };
                _cleanup_close_ int fd = bpf(BPF_PROG_GET_FD_BY_ID, &by_number);
                if (fd >= 0 && is_ours(fd))
                        return TAKE_FD(fd);
        }
        return -1;
}

int device_program_attach(int directory, const struct bpf_insn *program, size_t length, struct error *err)
{
        _cleanup_close_ int fd = load(program, length, err);
        if (fd < 0)
                return fd;
        _cleanup_close_ int before = find_attached(directory);
        union bpf_attr attributes = {
                .target_fd = (uint32_t)directory,
                .attach_bpf_fd = (uint32_t)fd,
                .attach_type = BPF_CGROUP_DEVICE,
                .attach_flags = BPF_F_ALLOW_MULTI | (before >= 0 ? BPF_F_REPLACE : 0),
                .replace_bpf_fd = before >= 0 ? (uint32_t)before : 0,
        };
        int r = bpf(BPF_PROG_ATTACH, &attributes);
        return r < 0 ? error_code(err, r, "cannot attach an eBPF program for device rules") : 0;
}
