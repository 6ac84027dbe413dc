/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The KVM engine without KVM's interrupt controllers, and what it saves of a CPU. Without a usable /dev/kvm it says so.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "engine/kvm/kvm.h"

enum {
        AT_PML4 = 0x1000,
        AT_PDPT = 0x2000,
        AT_PD = 0x3000,
        AT_GDT = 0x4000,
        AT_IDT = 0x5000,
        AT_HANDLER = 0x6000,
        AT_CODE = 0x7000,
        AT_STACK = 0x10000,
        SIZE = 0x200000,
        VECTOR = 0x40,
        PORT_HANDLED = 0xf4,
        PORT_CLOSED = 0xf5,
};

struct guest {
        unsigned char *memory;
        struct guest_memory map;
        struct engine *engine;
        struct vcpu *vcpu;
};

static void put(unsigned char *memory, unsigned at, uint64_t value)
{
        memcpy(memory + at, &value, sizeof(value));
}

static void start(struct guest *guest, const void *code, size_t length)
{
        static const uint8_t handler[] = { 0xb0, 0x55, 0xe6, PORT_HANDLED, 0x48, 0xcf }; /* mov al; out; iretq */
        const struct engine_settings settings = { .topology = { 1, 1, 1 }, .bare = true };
        struct error err = { 0 };
        if (access("/dev/kvm", R_OK | W_OK) < 0) {
                print_message("no usable /dev/kvm\n");
                skip();
        }
        *guest = (struct guest){ .memory =
                                         mmap(NULL, SIZE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0) };
        put(guest->memory, AT_PML4, AT_PDPT | 3);
        put(guest->memory, AT_PDPT, AT_PD | 3);
        put(guest->memory, AT_PD, 0x83);
        put(guest->memory, AT_GDT + 8, 0x00af9b000000ffff);
        put(guest->memory, AT_GDT + 16, 0x00cf93000000ffff);
        put(guest->memory, AT_IDT + VECTOR * 16, (uint64_t)AT_HANDLER | 8 << 16 | 0x8e00ULL << 32);
        memcpy(guest->memory + AT_HANDLER, handler, sizeof(handler));
        memcpy(guest->memory + AT_CODE, code, length);
        assert_int_equal(guest_memory_add(&guest->map, gpa(0), SIZE, guest->memory, GUEST_RAM), 0);
        assert_int_equal(kvm_engine.open(&settings, &guest->engine, &err), 0);
        assert_int_equal(kvm_engine.has(guest->engine) & ENGINE_HAS_LOCAL_APIC, 0);
        assert_int_equal(kvm_engine.map(guest->engine, &guest->map, &err), 0);
        assert_int_equal(kvm_engine.vcpu_open(guest->engine, 0, &guest->vcpu, &err), 0);

        struct cpu_state state = {
                .registers = { [CPU_RSP] = AT_STACK },
                .rip = AT_CODE,
                .rflags = RFLAGS_RESERVED,
                .gdt = { AT_GDT, 23 },
                .idt = { AT_IDT, 256 * 16 - 1 },
                .cr0 = CR0_PE | CR0_MP | CR0_ET | CR0_NE | CR0_WP | CR0_PG,
                .cr3 = AT_PML4,
                .cr4 = CR4_PAE | CR4_OSFXSR | CR4_OSXMMEXCPT,
                .efer = EFER_LME | EFER_LMA,
                .xcr0 = 1,
        };
        for (unsigned i = CPU_ES; i <= CPU_GS; i++)
                state.segments[i] = cpu_flat_segment(i == CPU_CS ? 8 : 16, i == CPU_CS);
        state.segments[CPU_TR] = cpu_flat_task(0);
        cpu_reset_floating_point(&state);
        assert_int_equal(kvm_engine.set_state(guest->vcpu, &state, &err), 0);
}

static struct engine_exit run(struct guest *guest)
{
        struct engine_exit exit;
        do
                kvm_engine.run(guest->vcpu, &exit);
        while (exit.kind == ENGINE_EXIT_KICKED);
        if (exit.kind == ENGINE_EXIT_FAILED)
                print_message("%s\n", kvm_engine.failure(guest->vcpu));
        return exit;
}

static void end(struct guest *guest)
{
        kvm_engine.vcpu_close(guest->vcpu);
        kvm_engine.close(guest->engine);
        munmap(guest->memory, SIZE);
}

static void test_an_interrupt_wakes_a_cpu_that_halts(void **state)
{
        static const uint8_t code[] = { 0xfb, 0xf4, 0xe6, PORT_CLOSED, 0xf4 }; /* sti; hlt; out; hlt */
        struct guest guest;
        (void)state;
        start(&guest, code, sizeof(code));
        assert_int_equal(run(&guest).kind, ENGINE_EXIT_HALT);
        assert_true(kvm_engine.can_interrupt(guest.vcpu));
        assert_int_equal(kvm_engine.interrupt(guest.vcpu, VECTOR), 0);
        assert_false(kvm_engine.can_interrupt(guest.vcpu));
        assert_int_equal(kvm_engine.interrupt(guest.vcpu, VECTOR), -EBUSY);
        struct engine_exit exit = run(&guest);
        assert_int_equal(exit.kind, ENGINE_EXIT_PORT);
        assert_int_equal(exit.address, PORT_HANDLED);
        exit = run(&guest);
        assert_int_equal(exit.kind, ENGINE_EXIT_PORT);
        assert_int_equal(exit.address, PORT_CLOSED);
        end(&guest);
}

static void test_an_interrupt_waits_for_the_window(void **state)
{
        /* cli; out; sti; nop; jmp to nop */
        static const uint8_t code[] = { 0xfa, 0xe6, PORT_CLOSED, 0xfb, 0x90, 0xeb, 0xfd };
        struct guest guest;
        (void)state;
        start(&guest, code, sizeof(code));
        assert_int_equal(run(&guest).address, PORT_CLOSED);
        assert_false(kvm_engine.can_interrupt(guest.vcpu));
        assert_int_equal(kvm_engine.interrupt(guest.vcpu, VECTOR), -EBUSY);
        kvm_engine.want_window(guest.vcpu, true);
        assert_int_equal(run(&guest).kind, ENGINE_EXIT_WINDOW);
        assert_true(kvm_engine.can_interrupt(guest.vcpu));
        assert_int_equal(kvm_engine.interrupt(guest.vcpu, VECTOR), 0);
        assert_int_equal(run(&guest).address, PORT_HANDLED);
        end(&guest);
}

static void test_the_task_priority_is_told_with_each_exit(void **state)
{
        static const uint8_t code[] = {
                0xb8, 5, 0, 0, 0, 0x44, 0x0f, 0x22, 0xc0, 0xe6, PORT_CLOSED, 0xf4
        }; /* cr8 = 5 */
        struct guest guest;
        (void)state;
        start(&guest, code, sizeof(code));
        struct engine_exit exit = run(&guest);
        while (exit.kind == ENGINE_EXIT_PRIORITY)
                exit = run(&guest);
        assert_int_equal(exit.address, PORT_CLOSED);
        assert_int_equal(exit.task_priority, 5);
        end(&guest);
}

static void test_a_cpu_goes_on_in_another_machine(void **state)
{
        static const uint8_t code[] = { 0xb8, 7, 0, 0, 0, 0xe6, PORT_CLOSED, 0xff, 0xc0, 0xe6, PORT_HANDLED, 0xf4 };
        static struct cpu_state saved;
        struct engine_exit exit;
        struct error err = { 0 };
        struct guest first, second;
        (void)state;
        start(&first, code, sizeof(code));
        assert_int_equal(run(&first).address, PORT_CLOSED);
        kvm_engine.kick(first.vcpu); /* the instruction that it left with is finished, and no other begun */
        kvm_engine.run(first.vcpu, &exit);
        assert_int_equal(exit.kind, ENGINE_EXIT_KICKED);
        assert_int_equal(kvm_engine.get_state(first.vcpu, &saved, &err), 0);
        assert_int_equal(saved.rip, AT_CODE + 7);
        assert_true(saved.msr_count > 10 && cpu_state_msr(&saved, MSR_TSC));
        start(&second, code, sizeof(code));
        assert_int_equal(kvm_engine.set_state(second.vcpu, &saved, &err), 0);
        exit = run(&second);
        assert_int_equal(exit.address, PORT_HANDLED);
        assert_int_equal(exit.data[0], 8);
        end(&first);
        end(&second);
}

static void test_a_register_that_no_engine_knows_is_told(void **state)
{
        static const uint8_t code[] = { 0xb9, 0x78, 0x56, 0x34, 0x12, 0x0f, 0x32, 0xe6, PORT_CLOSED, 0xf4 }; /* rdmsr */
        struct guest guest;
        (void)state;
        start(&guest, code, sizeof(code));
        struct engine_exit exit = run(&guest);
        assert_int_equal(exit.kind, ENGINE_EXIT_MSR);
        assert_int_equal(exit.address, 0x12345678);
        assert_false(exit.write);
        assert_int_equal(*exit.refused, 1);
        *exit.refused = 0;
        memset(exit.data, 0x66, 8);
        exit = run(&guest);
        assert_int_equal(exit.address, PORT_CLOSED);
        assert_int_equal(exit.data[0], 0x66);
        end(&guest);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_an_interrupt_wakes_a_cpu_that_halts),
                cmocka_unit_test(test_an_interrupt_waits_for_the_window),
                cmocka_unit_test(test_the_task_priority_is_told_with_each_exit),
                cmocka_unit_test(test_a_cpu_goes_on_in_another_machine),
                cmocka_unit_test(test_a_register_that_no_engine_knows_is_told),
        };
        return cmocka_run_group_tests(tests, NULL, NULL);
}
