/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The software CPU as an operating system meets it: faults and their handlers, levels, pages, devices, and code that changes.
 *
 * Each handler is a HLT, so run() comes back with what the processor pushed on the stack.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/cleanup.h"
#include "engine/soft/interpreter.h"
#include "engine/soft/memory.h"
#include "engine/soft/soft.h"

/* Linear is physical below 2 MiB; from CODE on level 3 may use it. */
enum {
        ROOT = 0x1000,
        POINTERS = 0x2000,
        DIRECTORY = 0x3000,
        TABLE = 0x4000,
        GDT = 0x5000,
        IDT = 0x6000,
        TASK = 0x7000,
        STACK_TOP = 0x9000,
        HANDLERS = 0xa000, /* 16 bytes each */
        ENTRY = 0xc000,    /* of system calls */
        CODE = 0x10000,
        USER_TOP = 0x13000,
        DATA = 0x14000,
        MEMORY_SIZE = 0x40000,
};
enum { KERNEL_CODE = 0x08, KERNEL_DATA = 0x10, USER_DATA = 0x20 | 3, USER_CODE = 0x28 | 3, TASK_SELECTOR = 0x30 };
enum { PRESENT = 1, WRITABLE = 2, USER = 4, ACCESSED = 0x20, DIRTY = 0x40, LARGE = 0x80 };

struct world {
        unsigned char memory[MEMORY_SIZE] __attribute__((aligned(4096)));
        struct guest_memory map;
        struct engine *engine;
        struct vcpu *vcpu;
        struct engine_exit exit;
};

static uint64_t *at(struct world *world, uint64_t physical)
{
        return (uint64_t *)(void *)(world->memory + physical);
}

static uint64_t *page_entry(struct world *world, uint64_t linear)
{
        return at(world, TABLE + (linear >> 12) * 8);
}

static void set_gate(struct world *world, unsigned vector, uint64_t target, unsigned level)
{
        *at(world, IDT + vector * 16) = (target & 0xffff) | KERNEL_CODE << 16 | (0x8e00ULL | level << 13) << 32;
}

static void set_code(struct world *world, uint64_t where, const char *code, size_t length)
{
        memcpy(world->memory + where, code, length);
}
#define CODE_AT(world, where, code) set_code(world, where, code, sizeof(code) - 1)

static void enter_level(struct world *world, unsigned level)
{
        struct vcpu *vcpu = world->vcpu;
        uint16_t dpl = (uint16_t)(level << SEGMENT_DPL_SHIFT);
        vcpu->segments[CPU_CS] =
                (struct cpu_segment){ 0, UINT32_MAX, level ? USER_CODE : KERNEL_CODE, (uint16_t)(0xa9b | dpl) };
        vcpu->segments[CPU_SS] =
                (struct cpu_segment){ 0, UINT32_MAX, level ? USER_DATA : KERNEL_DATA, (uint16_t)(0xc93 | dpl) };
        vcpu->cpl = level;
        vcpu->halted = false;
        vcpu->rip = CODE;
        vcpu->registers[CPU_RSP] = level ? USER_TOP : STACK_TOP;
        vcpu_find_mode(vcpu);
}

static void fill_tables(struct world *world)
{
        *at(world, ROOT) = POINTERS | PRESENT | WRITABLE | USER;
        *at(world, POINTERS) = DIRECTORY | PRESENT | WRITABLE | USER;
        *at(world, DIRECTORY) = TABLE | PRESENT | WRITABLE | USER;
        for (uint64_t page = 0; page < MEMORY_SIZE; page += 4096)
                *page_entry(world, page) = page | PRESENT | WRITABLE | (page >= CODE ? USER : 0);
        static const uint64_t descriptors[] = { 0, 0x00af9b000000ffff, 0x00cf93000000ffff,
                                                0, 0x00cff3000000ffff, 0x00affb000000ffff };
        memcpy(world->memory + GDT, descriptors, sizeof(descriptors));
        for (unsigned vector = 0; vector < 32; vector++)
                set_gate(world, vector, HANDLERS + vector * 16, vector == EXCEPTION_BP ? 3 : 0);
        memset(world->memory + HANDLERS, 0xf4, 32 * 16);
        const uint64_t top = STACK_TOP;
        memcpy(world->memory + TASK + 4, &top, sizeof(top));
}

static int set_up(void **state)
{
        struct world *world = aligned_alloc(4096, (sizeof(*world) + 4095) / 4096 * 4096);
        memset(world, 0, sizeof(*world));
        fill_tables(world);
        assert_int_equal(guest_memory_add(&world->map, gpa(0), MEMORY_SIZE, world->memory, GUEST_RAM), 0);
        struct engine_settings settings = { .topology = { 1, 1, 1 }, .bare = true };
        assert_int_equal(soft_engine.open(&settings, &world->engine, NULL), 0);
        assert_int_equal(soft_engine.map(world->engine, &world->map, NULL), 0);
        assert_int_equal(soft_engine.vcpu_open(world->engine, 0, &world->vcpu, NULL), 0);
        struct vcpu *vcpu = world->vcpu;
        vcpu->cr0 = CR0_PE | CR0_PG | CR0_NE | CR0_ET | CR0_MP | CR0_WP;
        vcpu->cr3 = ROOT;
        vcpu->cr4 = CR4_PAE | CR4_OSFXSR | CR4_OSXMMEXCPT;
        vcpu->efer = EFER_LME | EFER_LMA | EFER_NXE | EFER_SCE;
        vcpu->gdt = (struct cpu_table){ GDT, 0x3f };
        vcpu->idt = (struct cpu_table){ IDT, 32 * 16 - 1 };
        vcpu->segments[CPU_TR] = (struct cpu_segment){ TASK, 0x67, TASK_SELECTOR, 0x8b };
        vcpu->lstar = ENTRY;
        vcpu->star = (uint64_t)0x18 << 48 | (uint64_t)KERNEL_CODE << 32;
        vcpu->flag_mask = FLAG_TF | FLAG_IF;
        enter_level(world, 0);
        *state = world;
        return 0;
}

static int tear_down(void **state)
{
        struct world *world = *state;
        soft_engine.vcpu_close(world->vcpu);
        soft_engine.close(world->engine);
        free(world);
        return 0;
}

static enum engine_exit_kind run(struct world *world)
{
        soft_engine.run(world->vcpu, &world->exit);
        return world->exit.kind;
}

/* Runs into the handler of `vector`, whose stack begins with an error code if it has one. Returns where it would return to. */
static const uint64_t *run_into(struct world *world, unsigned vector, int64_t code)
{
        assert_int_equal(run(world), ENGINE_EXIT_HALT);
        assert_int_equal(world->vcpu->rip, HANDLERS + vector * 16 + 1);
        const uint64_t *frame = at(world, world->vcpu->registers[CPU_RSP]);
        if (code >= 0)
                assert_int_equal(*frame++, code);
        return frame;
}

/* ---- Faults ---- */

static void test_a_program_that_reads_nothing_faults_with_its_address_and_state(void **state)
{
        struct world *world = *state;
        CODE_AT(world, CODE, "\x90\x48\x8b\x03"); /* nop; mov (%rbx),%rax */
        enter_level(world, 3);
        world->vcpu->registers[CPU_RBX] = 0x123456;
        const uint64_t *frame = run_into(world, EXCEPTION_PF, 4);
        assert_int_equal(world->vcpu->cr2, 0x123456);
        assert_int_equal(frame[0], CODE + 1);
        assert_int_equal(frame[1], USER_CODE);
        assert_int_equal(frame[2], RFLAGS_RESERVED | FLAG_RF);
        assert_int_equal(frame[3], USER_TOP);
        assert_int_equal(frame[4], USER_DATA);
}

static void test_page_faults_say_who_did_what(void **state)
{
        struct world *world = *state;
        CODE_AT(world, CODE, "\x48\x89\x03"); /* mov %rax,(%rbx) */
        world->vcpu->registers[CPU_RBX] = GDT;
        enter_level(world, 3);
        run_into(world, EXCEPTION_PF, 7); /* a program writes what is the kernel's */
        *page_entry(world, DATA) &= ~(uint64_t)WRITABLE;
        world->vcpu->registers[CPU_RBX] = DATA;
        enter_level(world, 0);
        run_into(world, EXCEPTION_PF, 3); /* the kernel writes what nobody may */
        world->vcpu->cr4 |= 1 << 20 | 1 << 21;
        memory_flush(world->vcpu, true);
        enter_level(world, 0);
        run_into(world, EXCEPTION_PF, 0x11); /* SMEP */
}

static void test_a_fault_whose_handler_is_missing_is_a_double_one(void **state)
{
        struct world *world = *state;
        CODE_AT(world, CODE, "\xf4"); /* hlt, of a program */
        *at(world, IDT + EXCEPTION_GP * 16) = 0;
        enter_level(world, 3);
        const uint64_t *frame = run_into(world, EXCEPTION_DF, 0);
        assert_int_equal(frame[0], CODE);
        *at(world, IDT + EXCEPTION_DF * 16) = 0;
        enter_level(world, 3);
        assert_int_equal(run(world), ENGINE_EXIT_SHUTDOWN);
}

static void test_a_handler_without_a_stack_does_not_keep_the_cpu(void **state)
{
        struct world *world = *state;
        CODE_AT(world, CODE, "\x0f\x0b");                           /* ud2 */
        *page_entry(world, DATA) = 0x40000000 | PRESENT | WRITABLE; /* no memory is there */
        world->vcpu->registers[CPU_RSP] = DATA + 0x800;
        assert_int_equal(run(world), ENGINE_EXIT_HALT);
        assert_int_equal(world->vcpu->rip, HANDLERS + EXCEPTION_UD * 16 + 1);
}

static void test_instructions_that_are_not_offered_are_undefined(void **state)
{
        struct world *world = *state;
        CODE_AT(world, CODE, "\x0f\x38\xc8\xc1"); /* sha1nexte %xmm1,%xmm0 */
        run_into(world, EXCEPTION_UD, -1);
}

static void test_mmx_meets_the_exception_that_x87_left_behind(void **state)
{
        struct world *world = *state;
        static const uint8_t divided_by_zero[] = { 0x7b, 0x03, 0x84, 0x80 }; /* control: ZE is unmasked; status */
        CODE_AT(world, CODE, "\x0f\xfc\xc1");                                /* paddb %mm1,%mm0 */
        memcpy(world->vcpu->floating_point, divided_by_zero, sizeof(divided_by_zero));
        run_into(world, EXCEPTION_MF, -1);
}

static void test_the_x87_environment_is_as_wide_as_the_mode_says(void **state)
{
        struct world *world = *state;
        struct vcpu *vcpu = world->vcpu;
        CODE_AT(world, CODE, "\x66\xd9\x37\xf4"); /* fnstenv (%bx) with 28 bytes; hlt: 16-bit code */
        vcpu->segments[CPU_CS] = (struct cpu_segment){ CODE, 0xffff, 0x38, 0x9b };
        vcpu->rip = 0;
        vcpu_find_mode(vcpu);
        vcpu->registers[CPU_RBX] = 0xf000;
        memset(world->memory + 0xf000, 0xee, 64);
        assert_int_equal(run(world), ENGINE_EXIT_HALT);
        assert_memory_equal(world->memory + 0xf000, vcpu->floating_point, 2);
        assert_int_equal(*at(world, 0xf008) & 0xffff, 0xffff); /* all registers are empty */
        assert_int_equal(world->memory[0xf000 + 28], 0xee);
}

/* ---- Levels ---- */

static void test_a_breakpoint_returns_to_the_program(void **state)
{
        struct world *world = *state;
        CODE_AT(world, CODE, "\xcc\xf4");                         /* int3; hlt */
        CODE_AT(world, HANDLERS + EXCEPTION_BP * 16, "\x48\xcf"); /* iretq */
        enter_level(world, 3);
        const uint64_t *frame = run_into(world, EXCEPTION_GP, 0);
        assert_int_equal(frame[0], CODE + 1);
        assert_int_equal(frame[1], USER_CODE);
        assert_int_equal(frame[3], USER_TOP);
}

static void test_a_system_call_goes_in_and_out(void **state)
{
        struct world *world = *state;
        CODE_AT(world, CODE, "\x0f\x05\xf4");  /* syscall; hlt */
        CODE_AT(world, ENTRY, "\x48\x0f\x07"); /* sysretq */
        enter_level(world, 3);
        world->vcpu->flags = RFLAGS_RESERVED | FLAG_IF | FLAG_CF;
        const uint64_t *frame = run_into(world, EXCEPTION_GP, 0);
        assert_int_equal(world->vcpu->registers[CPU_RCX], CODE + 2);
        assert_int_equal(world->vcpu->registers[CPU_R11], RFLAGS_RESERVED | FLAG_IF | FLAG_CF);
        assert_int_equal(frame[0], CODE + 2);
        assert_int_equal(frame[1], USER_CODE);
        assert_int_equal(frame[2], RFLAGS_RESERVED | FLAG_IF | FLAG_CF | FLAG_RF);
}

static void test_a_return_to_no_address_faults_in_the_program(void **state)
{
        struct world *world = *state;
        CODE_AT(world, CODE, "\x48\x0f\x07"); /* sysretq */
        world->vcpu->registers[CPU_RCX] = 0x800000000000;
        const uint64_t *frame = run_into(world, EXCEPTION_GP, 0);
        assert_int_equal(frame[0], 0x800000000000);
        assert_int_equal(frame[1], USER_CODE);
}

/* ---- Single steps ---- */

static void test_a_step_ends_after_one_instruction(void **state)
{
        struct world *world = *state;
        CODE_AT(world, CODE, "\x90\x90"); /* nop; nop */
        world->vcpu->flags = RFLAGS_RESERVED | FLAG_TF;
        const uint64_t *frame = run_into(world, EXCEPTION_DB, -1);
        assert_int_equal(frame[0], CODE + 1);
        assert_true(world->vcpu->dr6 & 1 << 14);
        assert_false(world->vcpu->flags & FLAG_TF);
}

static void test_a_step_over_popf_that_ends_steps_traps_and_one_over_mov_ss_waits(void **state)
{
        struct world *world = *state;
        CODE_AT(world, CODE, "\x9d\x90"); /* popfq; nop */
        world->vcpu->flags = RFLAGS_RESERVED | FLAG_TF;
        assert_int_equal(run_into(world, EXCEPTION_DB, -1)[0], CODE + 1);
        CODE_AT(world, CODE, "\x8e\xd0\x90"); /* mov %eax,%ss; nop */
        world->vcpu->registers[CPU_RAX] = KERNEL_DATA;
        world->vcpu->flags = RFLAGS_RESERVED | FLAG_TF;
        enter_level(world, 0);
        assert_int_equal(run_into(world, EXCEPTION_DB, -1)[0], CODE + 3);
}

/* ---- Pages ---- */

static void test_a_string_stops_where_its_pages_end(void **state)
{
        struct world *world = *state;
        CODE_AT(world, CODE, "\xf3\xaa"); /* rep stosb */
        *page_entry(world, DATA + 0x2000) = 0;
        world->vcpu->registers[CPU_RAX] = 0x5a;
        world->vcpu->registers[CPU_RDI] = DATA + 0x800;
        world->vcpu->registers[CPU_RCX] = 0x3000;
        assert_int_equal(run_into(world, EXCEPTION_PF, 2)[0], CODE);
        assert_int_equal(world->vcpu->cr2, DATA + 0x2000);
        assert_int_equal(world->vcpu->registers[CPU_RDI], DATA + 0x2000);
        assert_int_equal(world->vcpu->registers[CPU_RCX], 0x3000 - 0x1800);
        assert_int_equal(world->memory[DATA + 0x1fff], 0x5a);
}

static void test_pages_are_marked_when_they_are_used(void **state)
{
        struct world *world = *state;
        CODE_AT(world, CODE, "\x48\x8b\x03\x48\x89\x01\xf4"); /* mov (%rbx),%rax; mov %rax,(%rcx); hlt */
        world->vcpu->registers[CPU_RBX] = DATA;
        world->vcpu->registers[CPU_RCX] = DATA + 0x1000;
        assert_int_equal(run(world), ENGINE_EXIT_HALT);
        assert_int_equal(*page_entry(world, DATA) & (ACCESSED | DIRTY), ACCESSED);
        assert_int_equal(*page_entry(world, DATA + 0x1000) & (ACCESSED | DIRTY), ACCESSED | DIRTY);
        assert_int_equal(*page_entry(world, DATA + 0x2000) & (ACCESSED | DIRTY), 0);
}

static void test_a_large_page_is_forgotten_as_a_whole(void **state)
{
        struct world *world = *state;
        /* mov (%rbx),%rax; movl $0,(%rcx); invlpg (%rdx); mov (%rbx),%rax */
        CODE_AT(world, CODE, "\x48\x8b\x03\xc7\x01\x00\x00\x00\x00\x0f\x01\x3a\x48\x8b\x03");
        *at(world, DIRECTORY + 8) = LARGE | PRESENT | WRITABLE;
        world->vcpu->registers[CPU_RBX] = 0x200000 + DATA;
        world->vcpu->registers[CPU_RCX] = DIRECTORY + 8;
        world->vcpu->registers[CPU_RDX] = 0x200000;
        assert_int_equal(run_into(world, EXCEPTION_PF, 0)[0], CODE + 12);
}

static void test_a_locked_instruction_ends_while_an_old_translation_is_kept(void **state)
{
        struct world *world = *state;
        CODE_AT(world, CODE, "\x48\x8b\x03\xf0\xff\x03\xf4"); /* mov (%rbx),%rax; lock incl (%rbx); hlt */
        *page_entry(world, DATA) |= ACCESSED;
        world->vcpu->registers[CPU_RBX] = DATA;
        *at(world, DATA + 0x1000) = 7;
        assert_int_equal(interpreter_try(world->vcpu, &world->exit), UNWIND_NONE);
        *page_entry(world, DATA) += 0x1000;
        assert_int_equal(run(world), ENGINE_EXIT_HALT);
        assert_int_equal(*at(world, DATA + 0x1000), 8);
}

/* ---- Code that changes ---- */

static void test_an_instruction_may_change_the_next_one(void **state)
{
        struct world *world = *state;
        CODE_AT(world, CODE, "\xc6\x05\x00\x00\x00\x00\xf4\x0f\x0b"); /* movb $0xf4,0(%rip); ud2 */
        assert_int_equal(run(world), ENGINE_EXIT_HALT);
        assert_int_equal(world->vcpu->rip, CODE + 8);
}

static void test_code_that_a_device_wrote_is_run(void **state)
{
        struct world *world = *state;
        CODE_AT(world, CODE, "\x90\xf4");
        assert_int_equal(run(world), ENGINE_EXIT_HALT);
        CODE_AT(world, CODE, "\x0f\x0b"); /* not through the CPU, as a disk would */
        enter_level(world, 0);
        run_into(world, EXCEPTION_UD, -1);
}

/* ---- Devices ---- */

static void test_a_kick_comes_between_the_elements_of_a_string_of_ports(void **state)
{
        struct world *world = *state;
        CODE_AT(world, CODE, "\xf3\x6c"); /* rep insb */
        world->vcpu->registers[CPU_RDX] = 0x60;
        world->vcpu->registers[CPU_RDI] = DATA;
        world->vcpu->registers[CPU_RCX] = 1000;
        assert_int_equal(run(world), ENGINE_EXIT_PORT);
        *world->exit.data = 0x77;
        soft_engine.kick(world->vcpu);
        assert_int_equal(run(world), ENGINE_EXIT_KICKED);
        assert_int_equal(world->vcpu->registers[CPU_RCX], 999);
        assert_int_equal(world->vcpu->rip, CODE);
        assert_int_equal(world->memory[DATA], 0x77);
}

static void test_devices_are_asked_in_sizes_that_a_bus_has(void **state)
{
        struct world *world = *state;
        CODE_AT(world, CODE, "\x66\xd9\x33\xf4"); /* fnstenv (%rbx) with 14 bytes; hlt */
        *page_entry(world, DATA) = 0x40000000 | PRESENT | WRITABLE;
        world->vcpu->registers[CPU_RBX] = DATA;
        static const struct {
                unsigned offset, size;
        } wanted[] = { { 0, 8 }, { 8, 4 }, { 12, 2 } };
        for (size_t i = 0; i < ARRAY_SIZE(wanted); i++) {
                assert_int_equal(run(world), ENGINE_EXIT_MMIO);
                assert_int_equal(world->exit.address, 0x40000000 + wanted[i].offset);
                assert_int_equal(world->exit.size, wanted[i].size);
        }
        assert_int_equal(run(world), ENGINE_EXIT_HALT);
}

/* ---- Interrupts ---- */

static void test_an_interrupt_waits_for_the_instruction_after_sti_and_wakes_a_halted_cpu(void **state)
{
        struct world *world = *state;
        CODE_AT(world, CODE, "\xfb\x90\xf4"); /* sti; nop; hlt */
        set_gate(world, 31, HANDLERS + 31 * 16, 0);
        assert_false(soft_engine.can_interrupt(world->vcpu));
        soft_engine.want_window(world->vcpu, true);
        assert_int_equal(run(world), ENGINE_EXIT_WINDOW);
        assert_int_equal(world->vcpu->rip, CODE + 2);
        assert_int_equal(run(world), ENGINE_EXIT_HALT);
        assert_int_equal(soft_engine.interrupt(world->vcpu, 31), 0);
        assert_int_equal(run_into(world, 31, -1)[0], CODE + 3);
}

static void test_an_nmi_wakes_a_halted_cpu_and_masks_the_next(void **state)
{
        struct world *world = *state;
        CODE_AT(world, CODE, "\xf4\xf4");
        assert_int_equal(run(world), ENGINE_EXIT_HALT);
        soft_engine.nmi(world->vcpu);
        run_into(world, EXCEPTION_NMI, -1);
        CODE_AT(world, HANDLERS + EXCEPTION_NMI * 16 + 1, "\x48\xcf"); /* iretq */
        soft_engine.nmi(world->vcpu);
        assert_int_equal(run(world), ENGINE_EXIT_HALT);
        assert_int_equal(world->vcpu->rip, HANDLERS + EXCEPTION_NMI * 16 + 1);
        world->vcpu->halted = false; /* on to IRET, after which the second one comes */
        assert_int_equal(run_into(world, EXCEPTION_NMI, -1)[0], CODE + 1);
}

/* ---- State ---- */

static void test_a_state_with_bits_that_no_mxcsr_has_is_refused(void **state)
{
        struct world *world = *state;
        static struct cpu_state cpu;
        assert_int_equal(soft_engine.get_state(world->vcpu, &cpu, NULL), 0);
        assert_int_equal(soft_engine.set_state(world->vcpu, &cpu, NULL), 0);
        cpu.xsave[26] = 1;
        assert_true(soft_engine.set_state(world->vcpu, &cpu, NULL) < 0);
}

static void test_time_stamp_counters_that_are_set_one_after_the_other_are_in_step(void **state)
{
        struct world *world = *state;
        static struct cpu_state cpus[2];
        struct vcpu *second;
        assert_int_equal(soft_engine.vcpu_open(world->engine, 1, &second, NULL), 0);
        soft_engine.get_state(world->vcpu, &cpus[0], NULL);
        soft_engine.get_state(second, &cpus[1], NULL);
        assert_int_equal(soft_engine.set_state(world->vcpu, &cpus[0], NULL), 0);
        assert_int_equal(soft_engine.set_state(second, &cpus[1], NULL), 0);
        assert_int_equal(world->vcpu->tsc_offset, second->tsc_offset);
        *cpu_state_msr(&cpus[1], MSR_TSC) += 1ULL << 40;
        assert_int_equal(soft_engine.set_state(second, &cpus[1], NULL), 0);
        assert_int_not_equal(world->vcpu->tsc_offset, second->tsc_offset);
        soft_engine.vcpu_close(second);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
        const struct CMUnitTest tests[] = {
                TEST(test_a_program_that_reads_nothing_faults_with_its_address_and_state),
                TEST(test_page_faults_say_who_did_what),
                TEST(test_a_fault_whose_handler_is_missing_is_a_double_one),
                TEST(test_a_handler_without_a_stack_does_not_keep_the_cpu),
                TEST(test_instructions_that_are_not_offered_are_undefined),
                TEST(test_mmx_meets_the_exception_that_x87_left_behind),
                TEST(test_the_x87_environment_is_as_wide_as_the_mode_says),
                TEST(test_a_breakpoint_returns_to_the_program),
                TEST(test_a_system_call_goes_in_and_out),
                TEST(test_a_return_to_no_address_faults_in_the_program),
                TEST(test_a_step_ends_after_one_instruction),
                TEST(test_a_step_over_popf_that_ends_steps_traps_and_one_over_mov_ss_waits),
                TEST(test_a_string_stops_where_its_pages_end),
                TEST(test_pages_are_marked_when_they_are_used),
                TEST(test_a_large_page_is_forgotten_as_a_whole),
                TEST(test_a_locked_instruction_ends_while_an_old_translation_is_kept),
                TEST(test_an_instruction_may_change_the_next_one),
                TEST(test_code_that_a_device_wrote_is_run),
                TEST(test_a_kick_comes_between_the_elements_of_a_string_of_ports),
                TEST(test_devices_are_asked_in_sizes_that_a_bus_has),
                TEST(test_an_interrupt_waits_for_the_instruction_after_sti_and_wakes_a_halted_cpu),
                TEST(test_an_nmi_wakes_a_halted_cpu_and_masks_the_next),
                TEST(test_time_stamp_counters_that_are_set_one_after_the_other_are_in_step),
                TEST(test_a_state_with_bits_that_no_mxcsr_has_is_refused),
        };
        return cmocka_run_group_tests(tests, NULL, NULL);
}
