/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The I/O APIC, local APICs and all of them together, as CPUs see them. */
#include "machine/interrupts.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

enum { CPUS = 3 };

struct board {
        struct interrupts interrupts;
        struct interrupt_cpu cpus[CPUS];
        uint64_t now;
        unsigned woken[CPUS];
};

static uint64_t on_clock(void *context)
{
        return ((struct board *)context)->now;
}

static uint64_t on_tsc(void *context)
{
        return ((struct board *)context)->now * 2; /* 2 GHz */
}

static void on_wake(void *context, unsigned cpu)
{
        ((struct board *)context)->woken[cpu]++;
}

static void set_up(struct board *board)
{
        static const uint32_t numbers[CPUS] = { 0, 1, 4 };
        memset(board, 0, sizeof(*board));
        board->now = 1000000;
        interrupts_init(&board->interrupts, &(struct interrupts_host){ board, on_clock, on_tsc, 2000000, on_wake },
                        board->cpus, numbers, CPUS);
}

static void apic_write(struct board *board, unsigned cpu, unsigned offset, uint32_t value)
{
        assert_true(interrupts_mmio(&board->interrupts, cpu, LOCAL_APIC_BASE + offset, 4, true, (uint8_t *)&value));
}

static uint32_t apic_read(struct board *board, unsigned cpu, unsigned offset)
{
        uint32_t value = 0;
        assert_true(interrupts_mmio(&board->interrupts, cpu, LOCAL_APIC_BASE + offset, 4, false, (uint8_t *)&value));
        return value;
}

static void enable_all(struct board *board)
{
        for (unsigned i = 0; i < CPUS; i++)
                apic_write(board, i, 0xf0, 0x1ff);
}

static void io_apic_entry(struct board *board, unsigned line, uint64_t entry)
{
        for (unsigned half = 0; half < 2; half++) {
                io_apic_operations.write(&board->interrupts.io_apic, 0, 4, 0x10 + 2 * line + half);
                io_apic_operations.write(&board->interrupts.io_apic, 0x10, 4, (uint32_t)(entry >> 32 * half));
        }
}

static uint64_t msr(struct board *board, unsigned cpu, uint32_t index)
{
        uint64_t value = 0;
        assert_int_equal(interrupts_msr(&board->interrupts, cpu, index, false, &value), 0);
        return value;
}

static int set_msr(struct board *board, unsigned cpu, uint32_t index, uint64_t value)
{
        return interrupts_msr(&board->interrupts, cpu, index, true, &value);
}

static void test_an_edge_of_the_io_apic_reaches_its_cpu_once(void **state)
{
        (void)state;
        struct board board;
        set_up(&board);
        enable_all(&board);
        io_apic_entry(&board, 5, 0x0100000000000035); /* fixed, edge, to number 1 */
        interrupts_line(&board.interrupts, 5, true);
        interrupts_line(&board.interrupts, 5, true);
        assert_int_equal(interrupts_next(&board.interrupts, 0), -1);
        assert_int_equal(interrupts_next(&board.interrupts, 1), 0x35);
        assert_int_equal(interrupts_take(&board.interrupts, 1), 0x35);
        assert_int_equal(interrupts_next(&board.interrupts, 1), -1);
        apic_write(&board, 1, 0xb0, 0);
        assert_int_equal(interrupts_next(&board.interrupts, 1), -1);
}

static void test_a_level_is_sent_again_at_its_end(void **state)
{
        (void)state;
        struct board board;
        set_up(&board);
        enable_all(&board);
        io_apic_entry(&board, 9, 0x8041);
        interrupts_line(&board.interrupts, 9, true);
        assert_int_equal(interrupts_take(&board.interrupts, 0), 0x41);
        assert_int_equal(apic_read(&board, 0, 0x1a0), 1 << 1); /* TMR */
        apic_write(&board, 0, 0xb0, 0);
        assert_int_equal(interrupts_take(&board.interrupts, 0), 0x41);
        interrupts_line(&board.interrupts, 9, false);
        apic_write(&board, 0, 0xb0, 0);
        assert_int_equal(interrupts_next(&board.interrupts, 0), -1);
}

static void test_an_edge_on_a_masked_line_is_lost_and_a_level_is_not(void **state)
{
        (void)state;
        struct board board;
        set_up(&board);
        enable_all(&board);
        interrupts_line(&board.interrupts, 6, true);
        interrupts_line(&board.interrupts, 10, true);
        io_apic_entry(&board, 6, 0x36);
        io_apic_entry(&board, 10, 0x803a);
        assert_int_equal(interrupts_take(&board.interrupts, 0), 0x3a);
        assert_int_equal(interrupts_next(&board.interrupts, 0), -1);
}

static void test_the_timers_line_is_the_second_of_the_io_apic(void **state)
{
        (void)state;
        struct board board;
        set_up(&board);
        enable_all(&board);
        io_apic_entry(&board, 2, 0x30);
        assert_true(interrupts_deadline(&board.interrupts, 0) == UINT64_MAX); /* nobody has given it a count */
        pit_operations.write(&board.interrupts.pit, 3, 1, 0x14);
        pit_operations.write(&board.interrupts.pit, 0, 1, 100);
        board.now = interrupts_deadline(&board.interrupts, 0);
        interrupts_run(&board.interrupts, 0);
        assert_int_equal(interrupts_take(&board.interrupts, 0), 0x30);
}

static void test_priorities_hold_back_what_is_not_above_them(void **state)
{
        (void)state;
        struct board board;
        set_up(&board);
        enable_all(&board);
        interrupts_message(&board.interrupts, 0xfee00000, 0x51);
        interrupts_message(&board.interrupts, 0xfee00000, 0x62);
        assert_int_equal(interrupts_take(&board.interrupts, 0), 0x62);
        assert_int_equal(interrupts_next(&board.interrupts, 0), -1);
        interrupts_message(&board.interrupts, 0xfee00000, 0x6f); /* the same class */
        assert_int_equal(interrupts_next(&board.interrupts, 0), -1);
        apic_write(&board, 0, 0xb0, 0);
        apic_write(&board, 0, 0x80, 0x60);
        assert_int_equal(interrupts_next(&board.interrupts, 0), -1);
        assert_int_equal(apic_read(&board, 0, 0xa0), 0x60);
        local_apic_set_task_priority(&board.cpus[0].apic, 5);
        assert_int_equal(interrupts_take(&board.interrupts, 0), 0x6f);
}

static void test_cpus_send_each_other_interrupts(void **state)
{
        (void)state;
        struct board board;
        set_up(&board);
        enable_all(&board);
        apic_write(&board, 0, 0x310, 4u << 24);
        apic_write(&board, 0, 0x300, 0x40fd);
        assert_int_equal(interrupts_take(&board.interrupts, 2), 0xfd);
        assert_true(board.woken[2]);
        apic_write(&board, 0, 0x300, 0xc40fb); /* all but itself */
        assert_int_equal(interrupts_next(&board.interrupts, 0), -1);
        assert_int_equal(interrupts_next(&board.interrupts, 1), 0xfb);
        apic_write(&board, 1, 0x300, 0x440fc); /* itself */
        assert_int_equal(interrupts_next(&board.interrupts, 1), 0xfc);
        apic_write(&board, 1, 0x300, 0x840fe); /* all */
        assert_int_equal(interrupts_next(&board.interrupts, 0), 0xfe);
        assert_int_equal(interrupts_next(&board.interrupts, 1), 0xfe);
}

static void test_logical_destinations_are_sets(void **state)
{
        (void)state;
        struct board board;
        set_up(&board);
        enable_all(&board);
        for (unsigned i = 0; i < CPUS; i++)
                apic_write(&board, i, 0xd0, 1u << (24 + i));
        interrupts_message(&board.interrupts, 0xfee00000 | 5 << 12 | 4, 0x44);
        assert_int_equal(interrupts_next(&board.interrupts, 0), 0x44);
        assert_int_equal(interrupts_next(&board.interrupts, 1), -1);
        assert_int_equal(interrupts_next(&board.interrupts, 2), 0x44);
        apic_write(&board, 0, 0x80, 0x20);
        interrupts_message(&board.interrupts, 0xfee00000 | 7 << 12 | 4, 0x155); /* lowest priority */
        assert_int_equal(interrupts_next(&board.interrupts, 0), 0x44);
        assert_int_equal(interrupts_next(&board.interrupts, 1), 0x55);
}

static void test_a_cpu_is_started_by_init_and_a_start_up_message(void **state)
{
        (void)state;
        struct board board;
        set_up(&board);
        enable_all(&board);
        apic_write(&board, 0, 0x310, 1u << 24);
        apic_write(&board, 0, 0x300, 0xc500);
        assert_true(board.cpus[1].init && board.cpus[1].waits_for_start);
        apic_write(&board, 0, 0x300, 0x8500); /* the end of INIT's level */
        board.cpus[1].init = false;
        apic_write(&board, 0, 0x300, 0x4608);
        assert_true(board.cpus[1].start_up);
        assert_int_equal(board.cpus[1].start_up_vector, 8);
        board.cpus[1].start_up = false;
        apic_write(&board, 0, 0x300, 0x4609); /* the second finds it running */
        assert_false(board.cpus[1].start_up);
        assert_false(board.cpus[0].init || board.cpus[2].init);
}

static void test_the_timer_counts_once_or_again_and_again(void **state)
{
        (void)state;
        struct board board;
        set_up(&board);
        enable_all(&board);
        apic_write(&board, 1, 0x3e0, 3); /* divide by 16 */
        apic_write(&board, 1, 0x320, 0xec);
        apic_write(&board, 1, 0x380, 1000);
        assert_true(interrupts_deadline(&board.interrupts, 1) == board.now + 16000);
        board.now += 8000;
        assert_int_equal(apic_read(&board, 1, 0x390), 500);
        board.now += 8000;
        interrupts_run(&board.interrupts, 1);
        assert_int_equal(interrupts_take(&board.interrupts, 1), 0xec);
        apic_write(&board, 1, 0xb0, 0);
        assert_true(interrupts_deadline(&board.interrupts, 1) == UINT64_MAX);
        assert_int_equal(apic_read(&board, 1, 0x390), 0);

        apic_write(&board, 1, 0x320, 0x200ec);
        apic_write(&board, 1, 0x3e0, 0xb); /* divide by 1 */
        apic_write(&board, 1, 0x380, 1000);
        for (unsigned i = 0; i < 3; i++) {
                board.now = interrupts_deadline(&board.interrupts, 1);
                interrupts_run(&board.interrupts, 1);
                assert_int_equal(interrupts_take(&board.interrupts, 1), 0xec);
                apic_write(&board, 1, 0xb0, 0);
        }
        apic_write(&board, 1, 0x380, 0);
        assert_true(interrupts_deadline(&board.interrupts, 1) == UINT64_MAX);
}

static void test_the_timer_follows_the_time_stamp_counter(void **state)
{
        (void)state;
        struct board board;
        set_up(&board);
        enable_all(&board);
        assert_int_equal(set_msr(&board, 1, MSR_TSC_DEADLINE, 77), 0); /* not in that mode: ignored */
        assert_true(msr(&board, 1, MSR_TSC_DEADLINE) == 0);
        apic_write(&board, 1, 0x320, 0x400ed);
        assert_int_equal(set_msr(&board, 1, MSR_TSC_DEADLINE, (board.now + 5000) * 2), 0);
        assert_true(interrupts_deadline(&board.interrupts, 1) == board.now + 5000);
        board.now += 5000;
        interrupts_run(&board.interrupts, 1);
        assert_int_equal(interrupts_take(&board.interrupts, 1), 0xed);
        assert_true(msr(&board, 1, MSR_TSC_DEADLINE) == 0);
        assert_int_equal(set_msr(&board, 1, MSR_TSC_DEADLINE, UINT64_MAX), 0);
        assert_true(interrupts_deadline(&board.interrupts, 1) > board.now);
}

static void test_x2apic_speaks_by_msrs_and_32_bit_numbers(void **state)
{
        (void)state;
        struct board board;
        uint8_t data[4];
        set_up(&board);
        enable_all(&board);
        for (unsigned i = 0; i < CPUS; i++)
                assert_int_equal(set_msr(&board, i, MSR_APIC_BASE, msr(&board, i, MSR_APIC_BASE) | APIC_BASE_EXTENDED),
                                 0);
        assert_false(interrupts_mmio(&board.interrupts, 0, LOCAL_APIC_BASE, 4, false, data));
        assert_true(msr(&board, 2, 0x802) == 4);
        assert_true(msr(&board, 2, 0x80d) == 1 << 4);
        assert_int_equal(set_msr(&board, 0, 0x830, 4ULL << 32 | 0xfd), 0);
        assert_int_equal(interrupts_take(&board.interrupts, 2), 0xfd);
        assert_int_equal(set_msr(&board, 2, 0x80b, 0), 0);
        assert_int_equal(set_msr(&board, 0, 0x830, (1ULL << 1 | 1ULL << 4) << 32 | 0x8fa), 0); /* logical */
        assert_int_equal(interrupts_next(&board.interrupts, 0), -1);
        assert_int_equal(interrupts_next(&board.interrupts, 1), 0xfa);
        assert_int_equal(interrupts_next(&board.interrupts, 2), 0xfa);
        assert_int_equal(set_msr(&board, 0, 0x83f, 0x77), 0);
        assert_int_equal(interrupts_next(&board.interrupts, 0), 0x77);
        assert_int_equal(set_msr(&board, 0, 0x80b, 1), -EINVAL);
        assert_int_equal(set_msr(&board, 0, 0x802, 1), -EINVAL);
        assert_int_equal(set_msr(&board, 0, 0x831, 1), -EINVAL);
        assert_int_equal(set_msr(&board, 0, MSR_APIC_BASE, LOCAL_APIC_BASE | APIC_BASE_ENABLED), -EINVAL);
        assert_int_equal(set_msr(&board, 0, MSR_APIC_BASE, 0x1000 | APIC_BASE_ENABLED), -EINVAL);
        assert_int_equal(set_msr(&board, 0, 0x10, 0), -ENOENT);
}

static void test_the_8259_reaches_the_cpu_whose_pin_lets_it(void **state)
{
        (void)state;
        struct board board;
        set_up(&board);
        enable_all(&board);
        static const uint8_t words[] = { 0x11, 0x20, 4, 1, 0 };
        for (unsigned i = 0; i < sizeof(words); i++)
                pic_operations.write(&board.interrupts.pics.pics[0], i > 0, 1, words[i]);
        interrupts_line(&board.interrupts, 4, true);
        assert_int_equal(interrupts_next(&board.interrupts, 0), -1);
        apic_write(&board, 0, 0x350, 0x700); /* LINT0: external */
        assert_int_equal(interrupts_next(&board.interrupts, 0), 0);
        assert_int_equal(interrupts_next(&board.interrupts, 1), -1);
        assert_int_equal(interrupts_take(&board.interrupts, 0), 0x24);
}

static void test_illegal_vectors_and_registers_are_errors(void **state)
{
        (void)state;
        struct board board;
        set_up(&board);
        enable_all(&board);
        apic_write(&board, 0, 0x370, 0xfe);
        apic_write(&board, 0, 0x300, 0x40005); /* itself, vector 5 */
        assert_int_equal(interrupts_take(&board.interrupts, 0), 0xfe);
        interrupts_message(&board.interrupts, 0xfee00000, 3);
        apic_read(&board, 0, 0x400 - 0x10);
        apic_write(&board, 0, 0x280, 0);
        assert_int_equal(apic_read(&board, 0, 0x280), 0x80 | 0x40 | 0x20);
        apic_write(&board, 0, 0x370, 5); /* an error vector that is one itself */
        apic_write(&board, 0, 0x300, 0x40005);
}

static void test_disabled_by_software_it_takes_nothing(void **state)
{
        (void)state;
        struct board board;
        set_up(&board);
        interrupts_message(&board.interrupts, 0xfee00000, 0x41);
        assert_int_equal(interrupts_next(&board.interrupts, 0), -1);
        apic_write(&board, 0, 0x320, 0x41);
        assert_int_equal(apic_read(&board, 0, 0x320), 0x10041); /* masked for as long */
}

static void test_it_goes_on_where_it_was_saved(void **state)
{
        (void)state;
        struct board board, other;
        uint32_t registers[CPU_APIC_REGISTERS];
        set_up(&board);
        enable_all(&board);
        apic_write(&board, 0, 0x3e0, 0xb);
        apic_write(&board, 0, 0x320, 0x200ec);
        apic_write(&board, 0, 0x380, 1000);
        interrupts_message(&board.interrupts, 0xfee00000, 0x51);
        interrupts_take(&board.interrupts, 0);
        interrupts_message(&board.interrupts, 0xfee00000, 0x42);
        board.now += 300;
        local_apic_get(&board.cpus[0].apic, registers);
        set_up(&other);
        local_apic_set(&other.cpus[0].apic, registers, board.cpus[0].apic.base, 0);
        assert_true(interrupts_deadline(&other.interrupts, 0) == other.now + 700);
        assert_int_equal(interrupts_next(&other.interrupts, 0), -1);
        apic_write(&other, 0, 0xb0, 0);
        assert_int_equal(interrupts_next(&other.interrupts, 0), 0x42);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_an_edge_of_the_io_apic_reaches_its_cpu_once),
                cmocka_unit_test(test_a_level_is_sent_again_at_its_end),
                cmocka_unit_test(test_an_edge_on_a_masked_line_is_lost_and_a_level_is_not),
                cmocka_unit_test(test_the_timers_line_is_the_second_of_the_io_apic),
                cmocka_unit_test(test_priorities_hold_back_what_is_not_above_them),
                cmocka_unit_test(test_cpus_send_each_other_interrupts),
                cmocka_unit_test(test_logical_destinations_are_sets),
                cmocka_unit_test(test_a_cpu_is_started_by_init_and_a_start_up_message),
                cmocka_unit_test(test_the_timer_counts_once_or_again_and_again),
                cmocka_unit_test(test_the_timer_follows_the_time_stamp_counter),
                cmocka_unit_test(test_x2apic_speaks_by_msrs_and_32_bit_numbers),
                cmocka_unit_test(test_the_8259_reaches_the_cpu_whose_pin_lets_it),
                cmocka_unit_test(test_illegal_vectors_and_registers_are_errors),
                cmocka_unit_test(test_disabled_by_software_it_takes_nothing),
                cmocka_unit_test(test_it_goes_on_where_it_was_saved),
        };
        return cmocka_run_group_tests(tests, NULL, NULL);
}
