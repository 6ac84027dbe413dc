/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The software CPU against the host's: the same random instruction with the same registers and memory, once by the interpreter and
 * once as it stands in this process, which catches where it ends. ONGGI_HOST_ROUNDS=N tries N instead of some thousand.
 */
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <ucontext.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/cleanup.h"
#include "base/text.h"
#include "engine/soft/engine_private.h"
#include "engine/soft/interpreter.h"
#include "engine/soft/memory.h"
#include "engine/soft/soft.h"

/* The same linear addresses in both worlds; the guest's page tables lead to the same bytes. */
#define DATA      0x10000000UL
#define DATA_SIZE 0x4000UL
#define CODE      0x20000000UL
#define CODE_SIZE 0x1000UL
/* Guest-physical. */
enum { TABLES_AT = 0, CODE_AT = 0x10000, DATA_AT = 0x20000, MEMORY_SIZE = 0x40000 };

struct outcome {
        int signal; /* 0: it came to its end */
        uint64_t registers[CPU_REGISTERS], rip, flags;
        uint8_t fx[512];
        uint8_t data[DATA_SIZE];
};

struct world {
        unsigned char *memory; /* the guest's, of which code and data are mapped at their linear addresses too */
        struct engine *engine;
        struct vcpu *vcpu;
        struct guest_memory map;
        struct outcome before, host, guest;
        uint8_t code[16];
        struct instruction in;
        sigjmp_buf back;
};

/* ---- The host ---- */

static struct world *running; /* signal handlers have no other way to it */

static const int register_of[CPU_REGISTERS] = {
        REG_RAX, REG_RCX, REG_RDX, REG_RBX, REG_RSP, REG_RBP, REG_RSI, REG_RDI,
        REG_R8,  REG_R9,  REG_R10, REG_R11, REG_R12, REG_R13, REG_R14, REG_R15
};

static void on_begin(int signal, siginfo_t *info, void *context)
{
        (void)signal;
        (void)info;
        ucontext_t *user = context;
        for (unsigned i = 0; i < CPU_REGISTERS; i++)
                user->uc_mcontext.gregs[register_of[i]] = (greg_t)running->before.registers[i];
        user->uc_mcontext.gregs[REG_RIP] = (greg_t)running->before.rip;
        user->uc_mcontext.gregs[REG_EFL] = (greg_t)running->before.flags;
        memcpy(user->uc_mcontext.fpregs, running->before.fx, 416);
}

static void on_end(int signal, siginfo_t *info, void *context)
{
        (void)info;
        const ucontext_t *user = context;
        struct outcome *host = &running->host;
        for (unsigned i = 0; i < CPU_REGISTERS; i++)
                host->registers[i] = (uint64_t)user->uc_mcontext.gregs[register_of[i]];
        host->rip = (uint64_t)user->uc_mcontext.gregs[REG_RIP];
        host->flags = (uint64_t)user->uc_mcontext.gregs[REG_EFL];
        memcpy(host->fx, user->uc_mcontext.fpregs, 416);
        host->signal = signal;
        siglongjmp(running->back, 1);
}

static void catch_signals(void)
{
        static const int ends[] = { SIGTRAP, SIGSEGV, SIGBUS, SIGFPE, SIGILL };
        stack_t stack = { .ss_sp = mmap(NULL, 1 << 16, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0),
                          .ss_size = 1 << 16 };
        sigaltstack(&stack, NULL);
        struct sigaction action = { .sa_sigaction = on_begin, .sa_flags = SA_SIGINFO | SA_ONSTACK | SA_NODEFER };
        sigaction(SIGUSR1, &action, NULL);
        action.sa_sigaction = on_end;
        for (size_t i = 0; i < ARRAY_SIZE(ends); i++)
                sigaction(ends[i], &action, NULL);
}

/* The instruction with INT3 behind it, and the data: either may be what the instruction writes. */
static void put_memory(const struct world *world)
{
        memset((void *)CODE, 0xcc, CODE_SIZE);
        memcpy((void *)CODE, world->code, world->in.length);
        memcpy((void *)DATA, world->before.data, DATA_SIZE);
}

static void run_on_host(struct world *world)
{
        put_memory(world);
        running = world;
        if (!sigsetjmp(world->back, 0))
                raise(SIGUSR1);
        /* Flags like AC would follow this process about. */
        __asm__ volatile("pushq $2\n\tpopfq\n\tfninit" : : : "cc");
        memcpy(world->host.data, (void *)DATA, DATA_SIZE);
        /* INT3 behind it was reached: it is one byte further. */
        if (world->host.signal == SIGTRAP && world->host.rip == world->before.rip + world->in.length + 1) {
                world->host.signal = 0;
                world->host.rip--;
        }
}

/* ---- The guest ---- */

static int signal_of(unsigned vector)
{
        switch (vector) {
        case EXCEPTION_DE:
        case EXCEPTION_MF:
        case EXCEPTION_XF: return SIGFPE;
        case EXCEPTION_UD: return SIGILL;
        case EXCEPTION_SS:
        case EXCEPTION_AC: return SIGBUS;
        default: return SIGSEGV;
        }
}

static void run_in_guest(struct world *world)
{
        struct vcpu *vcpu = world->vcpu;
        struct engine_exit exit;
        put_memory(world);
        memcpy(vcpu->registers, world->before.registers, sizeof(vcpu->registers));
        vcpu->rip = world->before.rip;
        vcpu->flags = world->before.flags;
        memcpy(vcpu->floating_point, world->before.fx, 512);
        struct code_page *page = engine_code_page(world->engine, CODE_AT);
        page->version |= 1;
        enum unwind why = interpreter_try(vcpu, &exit);
        memcpy(world->guest.registers, vcpu->registers, sizeof(vcpu->registers));
        world->guest.rip = vcpu->rip;
        world->guest.flags = vcpu->flags;
        memcpy(world->guest.fx, vcpu->floating_point, 512);
        memcpy(world->guest.data, (void *)DATA, DATA_SIZE);
        world->guest.signal = why == UNWIND_FAULT ? signal_of(vcpu->fault.vector) : why == UNWIND_EXIT ? SIGSEGV : 0;
}

static void map_linear(struct world *world, uint64_t linear, uint64_t physical, unsigned pages)
{
        uint64_t *tables = (uint64_t *)(void *)world->memory;
        /* One table of each level is enough below 1 GiB: tables 0 to 2 lead on, a table for each 2 MiB follows. */
        tables[0] = 0x1007;
        tables[512] = 0x2007;
        unsigned table = 3 + (linear == CODE);
        tables[1024 + (linear >> 21)] = (uint64_t)table << 12 | 7;
        for (unsigned i = 0; i < pages; i++)
                tables[512 * table + (linear >> 12 & 511) + i] = (physical + (uint64_t)i * 4096) | 0x67;
}

static int set_up(void **state)
{
        struct world *world = aligned_alloc(64, (sizeof(*world) + 63) / 64 * 64);
        memset(world, 0, sizeof(*world));
        _cleanup_close_ int fd = memfd_create("onggi-test", MFD_CLOEXEC);
        assert_int_equal(ftruncate(fd, MEMORY_SIZE), 0);
        world->memory = mmap(NULL, MEMORY_SIZE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
        int fixed = MAP_SHARED | MAP_FIXED_NOREPLACE, all = PROT_READ | PROT_WRITE | PROT_EXEC;
        assert_true(mmap((void *)DATA, DATA_SIZE, PROT_READ | PROT_WRITE, fixed, fd, DATA_AT) == (void *)DATA);
        assert_true(mmap((void *)CODE, CODE_SIZE, all, fixed, fd, CODE_AT) == (void *)CODE);
        map_linear(world, CODE, CODE_AT, 1);
        map_linear(world, DATA, DATA_AT, DATA_SIZE / 4096);
        assert_int_equal(guest_memory_add(&world->map, gpa(0), MEMORY_SIZE, world->memory, GUEST_RAM), 0);
        struct engine_settings settings = { .topology = { 1, 1, 1 }, .bare = true };
        assert_int_equal(soft_engine.open(&settings, &world->engine, NULL), 0);
        assert_int_equal(soft_engine.map(world->engine, &world->map, NULL), 0);
        assert_int_equal(soft_engine.vcpu_open(world->engine, 0, &world->vcpu, NULL), 0);
        struct vcpu *vcpu = world->vcpu;
        vcpu->cr0 = CR0_PE | CR0_PG | CR0_NE | CR0_ET | CR0_MP;
        vcpu->cr4 = CR4_PAE | CR4_OSFXSR | CR4_OSXMMEXCPT;
        vcpu->efer = EFER_LME | EFER_LMA | EFER_NXE | EFER_SCE;
        for (unsigned i = 0; i < CPU_SEGMENTS; i++)
                vcpu->segments[i] = (struct cpu_segment){ 0, UINT32_MAX, 0x2b, 0xcf3 };
        vcpu->segments[CPU_CS] = (struct cpu_segment){ 0, UINT32_MAX, 0x33, 0xafb };
        vcpu->cpl = 3;
        vcpu_find_mode(vcpu);
        *state = world;
        return 0;
}

static int tear_down(void **state)
{
        struct world *world = *state;
        soft_engine.vcpu_close(world->vcpu);
        soft_engine.close(world->engine);
        munmap((void *)DATA, DATA_SIZE);
        munmap((void *)CODE, CODE_SIZE);
        munmap(world->memory, MEMORY_SIZE);
        free(world);
        return 0;
}

/* ---- What is tried ---- */

/* Not what belongs to the system or leaves the place, and not what this CPU does not offer. */
static bool is_tried(const struct instruction *in)
{
        static const uint16_t left_out[] = {
                OPERATION_INVALID,
                OPERATION_MOV_FROM_SEGMENT,
                OPERATION_MOV_TO_SEGMENT,
                OPERATION_PUSH_SEGMENT,
                OPERATION_POP_SEGMENT,
                OPERATION_LOAD_FAR,
                OPERATION_INS,
                OPERATION_OUTS,
                OPERATION_IN,
                OPERATION_OUT,
                OPERATION_CLI,
                OPERATION_STI,
                OPERATION_CLAC,
                OPERATION_STAC,
                OPERATION_TZCNT,
                OPERATION_PUSHF,
                OPERATION_POPF,
                OPERATION_FXRSTOR,
                OPERATION_FXSAVE,
        };
        for (size_t i = 0; i < ARRAY_SIZE(left_out); i++)
                if (in->operation == left_out[i])
                        return false;
        /* PREFETCHW with a register is #UD on AMD's processors alone. */
        if (in->map == 1 && in->opcode == 0x0d)
                return false;
        /* SHA, AES, GFNI and carry-less multiplication. */
        if (in->operation == OPERATION_VECTOR &&
            ((in->map == 2 && in->opcode >= 0xc8) || (in->map == 3 && (in->opcode == 0x44 || in->opcode >= 0xcc))))
                return false;
        if (in->prefixes & PREFIX_SEGMENT || in->memory.segment >= CPU_FS)
                return false;
        return in->operation < OPERATION_JMP || in->operation == OPERATION_NOP || in->operation == OPERATION_VECTOR ||
               in->operation == OPERATION_X87 || in->operation == OPERATION_EMMS ||
               in->operation == OPERATION_LDMXCSR || in->operation == OPERATION_STMXCSR;
}

static uint64_t random_64(void)
{
        return (uint64_t)random() << 42 ^ (uint64_t)random() << 21 ^ (uint64_t)random();
}

static uint64_t random_value(void)
{
        static const uint64_t corners[] = { 0,          1,          2,         0x7f,       0x80,
                                            0xff,       0x7fff,     0x8000,    0xffff,     0x7fffffff,
                                            0x80000000, 0xffffffff, INT64_MAX, 1ULL << 63, UINT64_MAX };
        switch (random() % 8) {
        case 0:
        case 1:
        case 2: return DATA + DATA_SIZE / 2 + (uint64_t)random() % 0x1000;
        case 3:
        case 4: return corners[(size_t)random() % ARRAY_SIZE(corners)];
        case 5: return (uint64_t)random() % 64;
        default: return random_64();
        }
}

/* A displacement that leads into the data more often than chance would have it. */
static void tame(struct world *world)
{
        const struct instruction *in = &world->in;
        unsigned mod = in->modrm >> 6, rm = in->modrm & 7;
        if (!in->has_modrm || mod == 3)
                return;
        unsigned at = in->modrm_at + 1U + (rm == 4);
        int32_t displacement = (int32_t)(random() % 512) - 256;
        if (in->memory.base == REGISTER_RIP)
                displacement = (int32_t)((int64_t)(DATA + DATA_SIZE / 2) - (int64_t)(CODE + in->length)) +
                               (int32_t)(random() % 256);
        else if (in->memory.base == REGISTER_NONE && in->memory.index == REGISTER_NONE)
                displacement = (int32_t)(DATA + 0x1000 + (uint64_t)random() % 256);
        if (mod == 2 || in->memory.base == REGISTER_RIP || in->memory.base == REGISTER_NONE)
                memcpy(world->code + at, &displacement, 4);
}

static bool make_instruction(struct world *world)
{
        static const uint8_t beginnings[][3] = { { 0x0f },
                                                 { 0x66, 0x0f },
                                                 { 0xf3, 0x0f },
                                                 { 0xf2, 0x0f },
                                                 { 0x0f, 0x38 },
                                                 { 0x66, 0x0f, 0x38 },
                                                 { 0x66, 0x0f, 0x3a },
                                                 { 0x48 },
                                                 { 0x48, 0x0f },
                                                 { 0xd9 },
                                                 { 0xdc },
                                                 { 0xf3 } };
        for (unsigned i = 0; i < 16; i++)
                world->code[i] = (uint8_t)random();
        size_t choice = (size_t)random() % (2 * ARRAY_SIZE(beginnings));
        for (unsigned i = 0; choice < ARRAY_SIZE(beginnings) && i < 3 && beginnings[choice][i]; i++)
                world->code[i] = beginnings[choice][i];
        if (instruction_decode(world->code, INSTRUCTION_MAX, DECODE_64, &world->in) != DECODE_DONE ||
            !is_tried(&world->in))
                return false;
        tame(world);
        return instruction_decode(world->code, INSTRUCTION_MAX, DECODE_64, &world->in) == DECODE_DONE;
}

static void make_state(struct world *world)
{
        struct outcome *before = &world->before;
        for (unsigned i = 0; i < CPU_REGISTERS; i++)
                before->registers[i] = random_value();
        /* The kernel does not let a signal return to a stack that is none; PUSH and POP need one anyway. */
        before->registers[CPU_RSP] = DATA + DATA_SIZE / 2 + ((uint64_t)random() % 64) * 8;
        if (world->in.prefixes & (PREFIX_REP | PREFIX_REPNE))
                before->registers[CPU_RCX] = (uint64_t)random() % 300;
        if (world->in.has_modrm && world->in.memory.index < CPU_REGISTERS && world->in.memory.index != CPU_RSP)
                before->registers[world->in.memory.index] = (uint64_t)random() % 100;
        before->rip = CODE;
        before->flags = RFLAGS_RESERVED | FLAG_IF | ((uint64_t)random() & (FLAGS_ARITHMETIC | FLAG_DF));
        for (size_t i = 0; i < DATA_SIZE; i += 8) {
                uint64_t value = random() % 4 ? random_64() : random_value();
                memcpy(before->data + i, &value, 8);
        }
        static const uint16_t control = 0x037f;
        static const uint32_t mxcsr = 0x1f80;
        memset(before->fx, 0, sizeof(before->fx));
        memcpy(before->fx, &control, 2);
        before->fx[4] = (uint8_t)random();
        memcpy(before->fx + 24, &mxcsr, 4);
        static const uint32_t mask = 0xffff;
        memcpy(before->fx + 28, &mask, 4);
        for (unsigned i = 0; i < 8; i++) {
                double number = (double)random() / 1000;
                long double wide = number;
                memcpy(before->fx + 32 + 16 * i, &wide, 10);
        }
        for (size_t i = 160; i < 416; i += 8) {
                double number = (double)(int32_t)random() / 100;
                uint64_t value = random_64();
                memcpy(before->fx + i, random() % 2 ? (void *)&number : (void *)&value, 8);
        }
}

/* ---- What must agree ---- */

static uint64_t undefined_flags(const struct instruction *in)
{
        switch (in->operation) {
        case OPERATION_DIV:
        case OPERATION_IDIV: return FLAGS_ARITHMETIC;
        case OPERATION_MUL:
        case OPERATION_IMUL:
        case OPERATION_IMUL2: return FLAG_SF | FLAG_ZF | FLAG_AF | FLAG_PF;
        case OPERATION_BT:
        case OPERATION_BTS:
        case OPERATION_BTR:
        case OPERATION_BTC: return FLAG_OF | FLAG_SF | FLAG_AF | FLAG_PF | FLAG_ZF;
        default: return 0;
        }
}

static void disagree(const struct world *world, const char *what, uint64_t host, uint64_t guest)
{
        char text[64] = "";
        for (unsigned i = 0; i < world->in.length; i++)
                snprintf(text + strlen(text), sizeof(text) - strlen(text), "%02x ", world->code[i]);
        fail_msg("%s(%s): %s is %llx on the host and %llx here", text, operation_name(world->in.operation), what,
                 (unsigned long long)host, (unsigned long long)guest);
}

static void compare(const struct world *world)
{
        const struct outcome *host = &world->host, *guest = &world->guest;
        static const char *const names[] = { "rax", "rcx", "rdx", "rbx", "rsp", "rbp", "rsi", "rdi",
                                             "r8",  "r9",  "r10", "r11", "r12", "r13", "r14", "r15" };
        if (host->signal != guest->signal)
                disagree(world, "the signal", (uint64_t)host->signal, (uint64_t)guest->signal);
        for (unsigned i = 0; i < CPU_REGISTERS; i++)
                if (host->registers[i] != guest->registers[i])
                        disagree(world, names[i], host->registers[i], guest->registers[i]);
        uint64_t compared = (FLAGS_ARITHMETIC | FLAG_DF) & ~undefined_flags(&world->in);
        if (host->rip != guest->rip)
                disagree(world, "rip", host->rip, guest->rip);
        if ((host->flags ^ guest->flags) & compared)
                disagree(world, "flags", host->flags & compared, guest->flags & compared);
        for (size_t i = 0; i < DATA_SIZE; i++)
                if (host->data[i] != guest->data[i])
                        disagree(world, "memory", host->data[i], guest->data[i]);
        /* Without the pointers to the last x87 instruction. */
        for (size_t i = 0; i < 416 && !host->signal; i++)
                if (host->fx[i] != guest->fx[i] && (i < 5 || (i >= 24 && i < 28) || i >= 32))
                        disagree(world, "floating point", host->fx[i] | i << 8, guest->fx[i] | i << 8);
}

static void test_random_instructions_do_here_what_they_do_on_the_host(void **state)
{
#ifdef __SANITIZE_ADDRESS__
        /* What is mapped for the sanitizer is memory to the host's processor and none to the guest. */
        puts("skipped: the sanitizer's memory is in the way");
        skip();
#endif
        struct world *world = *state;
        const char *wish = getenv("ONGGI_HOST_ROUNDS");
        uint64_t rounds = 20000;
        catch_signals(); /* here: cmocka has its own before */
        if (wish)
                assert_int_equal(parse_u64(wish, &rounds), 0);
        srandom(getenv("ONGGI_HOST_SEED") ? (unsigned)atoi(getenv("ONGGI_HOST_SEED")) : 6);
        for (uint64_t i = 0; i < rounds;) {
                if (!make_instruction(world))
                        continue;
                i++;
                make_state(world);
                run_in_guest(world);
                run_on_host(world);
                compare(world);
        }
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test_setup_teardown(test_random_instructions_do_here_what_they_do_on_the_host, set_up,
                                                tear_down),
        };
        return cmocka_run_group_tests(tests, NULL, NULL);
}
