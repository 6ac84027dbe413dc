/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/text.h"
#include "engine/kvm/kvm.h"
#include "engine/kvm/kvm_private.h"

/* All instructions together; a usable KVM needs a few milliseconds. */
#define PATIENCE_MS 2000

/* Where things lie in the test guest's memory. */
enum {
        AT_PML4 = 0x1000,
        AT_PDPT = 0x2000,
        AT_PD = 0x3000,
        AT_GDT = 0x4000,
        AT_IDT = 0x5000,
        AT_RETURN = 0x6000,     /* handler: iretq */
        AT_UNEXPECTED = 0x6100, /* handler: reports an exception that should not have been */
        AT_CODE = 0x7000,
        AT_DATA = 0x8000,
        AT_STACK = 0x10000,
        MEMORY_SIZE = 0x200000,

        REPORT_PORT = 0xf4,
        REPORT_DONE = 0,
        SELECTOR_CODE = 0x08,
        SELECTOR_DATA = 0x10,
        SELECTOR_TSS = 0x18,
};

/* CPUID leaf 1, ECX: APM vol. 3, appendix E.3.2. */
#define FEATURE_CMPXCHG16B (1u << 13)
#define FEATURE_XSAVE      (1u << 26)

/*
 * What every 64-bit kernel executes in its first milliseconds. rdi points to 4 KiB of zeroed, aligned data. Each
 * must run to its end; whether the instruction can be run is under test, so its results are not looked at.
 */
static const struct {
        const char *name;
        uint32_t feature; /* left out where the guest's CPU does not have it */
        uint8_t length;
        uint8_t code[24];
} instructions[] = {
        { "cpuid", 0, 4, { 0x31, 0xc0, 0x0f, 0xa2 } }, /* xor eax,eax; cpuid */
        { "rdtsc", 0, 2, { 0x0f, 0x31 } },
        { "rdmsr", 0, 7, { 0xb9, 0x80, 0x00, 0x00, 0xc0, 0x0f, 0x32 } },             /* mov ecx,EFER; rdmsr */
        { "wrmsr", 0, 9, { 0xb9, 0x80, 0x00, 0x00, 0xc0, 0x0f, 0x32, 0x0f, 0x30 } }, /* as above; wrmsr */
        { "mov to cr3", 0, 6, { 0x0f, 0x20, 0xd8, 0x0f, 0x22, 0xd8 } },
        { "invlpg", 0, 3, { 0x0f, 0x01, 0x3f } },
        { "sgdt and lgdt", 0, 6, { 0x0f, 0x01, 0x07, 0x0f, 0x01, 0x17 } },
        { "sidt and lidt", 0, 6, { 0x0f, 0x01, 0x0f, 0x0f, 0x01, 0x1f } },
        { "swapgs", 0, 3, { 0x0f, 0x01, 0xf8 } },
        { "clts", 0, 2, { 0x0f, 0x06 } },
        { "int3 and iretq", 0, 1, { 0xcc } },
        { "exceptions", 0, 2, { 0x0f, 0x0b } }, /* ud2; its handler steps over it */
        { "cmpxchg16b", FEATURE_CMPXCHG16B, 5, { 0xf0, 0x48, 0x0f, 0xc7, 0x0f } },
        { "rep stosq", 0, 10, { 0x31, 0xc0, 0xb9, 0x40, 0x00, 0x00, 0x00, 0xf3, 0x48, 0xab } },
        { "fninit", 0, 2, { 0xdb, 0xe3 } },
        { "fxsave and fxrstor", 0, 8, { 0x48, 0x0f, 0xae, 0x07, 0x48, 0x0f, 0xae, 0x0f } },
        { "movaps", 0, 6, { 0x0f, 0x29, 0x07, 0x0f, 0x28, 0x07 } },
        { "xsave and xrstor",
          FEATURE_XSAVE,
          23, /* cr4 gets bit 18, OSXSAVE; edx:eax = 3, x87 and SSE */
          { 0x0f, 0x20, 0xe0, 0x0f, 0xba, 0xe8, 0x12, 0x0f, 0x22, 0xe0, 0x31, 0xd2,
            0xb8, 0x03, 0x00, 0x00, 0x00, 0x0f, 0xae, 0x27, 0x0f, 0xae, 0x2f } },
};

#define INSTRUCTIONS ARRAY_SIZE(instructions)

/* ---- The guest ---- */

static void put_u64(unsigned char *memory, unsigned at, uint64_t value)
{
        memcpy(memory + at, &value, sizeof(value));
}

/* A 64-bit interrupt gate: APM vol. 2, section 4.8.4. */
static void put_gate(unsigned char *memory, unsigned vector, unsigned handler)
{
        put_u64(memory, AT_IDT + vector * 16, (uint64_t)handler | SELECTOR_CODE << 16 | 0x8e00ULL << 32);
        put_u64(memory, AT_IDT + vector * 16 + 8, 0);
}

static void build_guest(unsigned char *memory)
{
        static const uint8_t iretq[] = { 0x48, 0xcf };
        /* add qword [rsp], 2; iretq */
        static const uint8_t skip_ud2[] = { 0x48, 0x83, 0x04, 0x24, 0x02, 0x48, 0xcf };
        static const uint8_t unexpected[] = { 0xb0, 0x01, 0xe6, REPORT_PORT, 0xf4 }; /* mov al,1; out; hlt */

        /* present, writable; the last level a 2 MiB page: APM vol. 2, section 5.3 */
        put_u64(memory, AT_PML4, AT_PDPT | 3);
        put_u64(memory, AT_PDPT, AT_PD | 3);
        put_u64(memory, AT_PD, 0x83);
        /* 64-bit code and data, level 0: APM vol. 2, section 4.8 */
        put_u64(memory, AT_GDT + SELECTOR_CODE, 0x00af9b000000ffff);
        put_u64(memory, AT_GDT + SELECTOR_DATA, 0x00cf93000000ffff);

        for (unsigned vector = 0; vector < 32; vector++)
                put_gate(memory, vector, AT_UNEXPECTED);
        put_gate(memory, 3, AT_RETURN);
        put_gate(memory, 6, AT_RETURN + 0x10);
        memcpy(memory + AT_RETURN, iretq, sizeof(iretq));
        memcpy(memory + AT_RETURN + 0x10, skip_ud2, sizeof(skip_ud2));
        memcpy(memory + AT_UNEXPECTED, unexpected, sizeof(unexpected));
}

static void place_instruction(unsigned char *memory, size_t i)
{
        static const uint8_t report[] = { 0xb0, REPORT_DONE, 0xe6, REPORT_PORT }; /* mov al,0; out */
        memset(memory + AT_DATA, 0, 4096);
        memcpy(memory + AT_CODE, instructions[i].code, instructions[i].length);
        memcpy(memory + AT_CODE + instructions[i].length, report, sizeof(report));
}

static struct cpu_state entry_state(void)
{
        struct cpu_state state = {
                .registers = { [CPU_RDI] = AT_DATA, [CPU_RSP] = AT_STACK },
                .rip = AT_CODE,
                .rflags = RFLAGS_RESERVED,
                .gdt = { AT_GDT, SELECTOR_TSS - 1 },
                .idt = { AT_IDT, 32 * 16 - 1 },
                .cr0 = CR0_PE | CR0_MP | CR0_ET | CR0_NE | CR0_WP | CR0_PG,
                .cr3 = AT_PML4,
                .cr4 = CR4_PAE | CR4_OSFXSR | CR4_OSXMMEXCPT,
                .efer = EFER_LME | EFER_LMA,
                .xcr0 = 1,
        };
        for (unsigned i = CPU_ES; i <= CPU_GS; i++)
                state.segments[i] = cpu_flat_segment(i == CPU_CS ? SELECTOR_CODE : SELECTOR_DATA, i == CPU_CS);
        state.segments[CPU_TR] = cpu_flat_task(SELECTOR_TSS);
        cpu_reset_floating_point(&state);
        return state;
}

/* ---- Running it ---- */

static bool has_feature(const struct engine *engine, uint32_t feature)
{
        for (unsigned i = 0; i < engine->cpuid->nent; i++)
                if (engine->cpuid->entries[i].function == 1)
                        return (engine->cpuid->entries[i].ecx & feature) == feature;
        return !feature;
}

static bool runs_to_its_end(struct vcpu *vcpu)
{
        struct engine_exit exit;
        do
                kvm_vcpu_run(vcpu, &exit);
        while (exit.kind == ENGINE_EXIT_KICKED);
        return exit.kind == ENGINE_EXIT_PORT && exit.write && exit.address == REPORT_PORT &&
               exit.data[0] == REPORT_DONE;
}

/* In the child: one byte a finished instruction, whether it ran. An error of the set-up goes to `err`. */
static int run_instructions(int results, struct error *err)
{
        unsigned char *bytes = mmap(NULL, MEMORY_SIZE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        if (bytes == MAP_FAILED)
                return error_memory(err);
        struct guest_memory memory = { 0 };
        struct engine *engine;
        /* A CPU for each: one that has failed may not run again, and KVM keeps it until the whole machine goes. */
        struct engine_settings settings = { .topology = { 1, INSTRUCTIONS, 1 }, .bare = true };
        int r = guest_memory_add(&memory, gpa(0), MEMORY_SIZE, bytes, GUEST_RAM);
        if (!r)
                r = kvm_engine.open(&settings, &engine, err);
        if (!r)
                r = kvm_engine.map(engine, &memory, err);
        if (r < 0)
                return r;

        build_guest(bytes);
        for (size_t i = 0; i < INSTRUCTIONS; i++) {
                struct cpu_state state = entry_state();
                bool ran = true;
                if (has_feature(engine, instructions[i].feature)) {
                        struct vcpu *vcpu;
                        place_instruction(bytes, i);
                        r = kvm_engine.vcpu_open(engine, (unsigned)i, &vcpu, err);
                        if (!r)
                                r = kvm_engine.set_state(vcpu, &state, err);
                        if (r < 0)
                                return r;
                        ran = runs_to_its_end(vcpu);
                        kvm_engine.vcpu_close(vcpu);
                }
                if (write(results, &ran, 1) != 1)
                        return -EPIPE;
        }
        return 0;
}

/* ---- The verdict ---- */

/* Kills a child that does not come back: a processor that loops in the guest cannot be asked to stop. */
static size_t collect(int results, bool ran[INSTRUCTIONS])
{
        struct pollfd poll_results = { .fd = results, .events = POLLIN };
        size_t count = 0;
        while (count < INSTRUCTIONS && poll(&poll_results, 1, PATIENCE_MS) > 0) {
                ssize_t n = read(results, ran + count, INSTRUCTIONS - count);
                if (n <= 0)
                        break;
                count += (size_t)n;
        }
        return count;
}

static int verdict(const bool ran[INSTRUCTIONS], size_t count, struct error *err)
{
        _cleanup_text_ struct text failed = { 0 };
        for (size_t i = 0; i < count; i++)
                if (!ran[i])
                        text_printf(&failed, "%s%s", failed.length ? ", " : "", instructions[i].name);
        if (count < INSTRUCTIONS)
                text_printf(&failed, "%s%s (hangs)", failed.length ? ", " : "", instructions[count].name);
        if (failed.failed)
                return error_memory(err);
        if (!failed.length)
                return 0;
        return error_set(err, -ENOTSUP, "KVM is there but cannot run an ordinary kernel: it fails at %s", failed.data);
}

int kvm_self_test(struct error *err)
{
        /* The reasons that need no guest first, told as what they are. */
        _cleanup_close_ int kvm = open("/dev/kvm", O_RDWR | O_CLOEXEC);
        if (kvm < 0)
                return error_errno(err, "cannot open /dev/kvm");

        int results[2];
        if (pipe2(results, O_CLOEXEC) < 0)
                return error_errno(err, "cannot test KVM");
        _cleanup_close_ int in = results[0], out = results[1];
        pid_t child = fork();
        if (child < 0)
                return error_errno(err, "cannot test KVM");
        if (!child)
                _exit(run_instructions(out, NULL) < 0);
        close(TAKE_FD(out));

        bool ran[INSTRUCTIONS];
        size_t count = collect(in, ran);
        kill(child, SIGKILL);
        while (waitpid(child, NULL, 0) < 0 && errno == EINTR)
                ;
        return verdict(ran, count, err);
}
