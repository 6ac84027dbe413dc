/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "machine/pit.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

struct board {
        struct pit pit;
        uint64_t now;
        unsigned ticks;
};

static uint64_t on_clock(void *owner)
{
        return ((struct board *)owner)->now;
}

static void on_tick(void *owner)
{
        ((struct board *)owner)->ticks++;
}

static void set_up(struct board *board)
{
        memset(board, 0, sizeof(*board));
        board->now = 12345;
        pit_init(&board->pit, &(struct pit_owner){ board, on_clock, on_tick });
}

static void out(struct board *board, unsigned offset, uint8_t value)
{
        pit_operations.write(&board->pit, offset, 1, value);
}

static uint8_t in(struct board *board, unsigned offset)
{
        return (uint8_t)pit_operations.read(&board->pit, offset, 1);
}

static uint8_t speaker(struct board *board)
{
        return (uint8_t)pit_speaker_operations.read(&board->pit, 0, 1);
}

/* So many ticks of the 8254 are just over. */
static void pass(struct board *board, uint64_t ticks)
{
        board->now += (ticks * 1000000000 + PIT_FREQUENCY - 1) / PIT_FREQUENCY;
}

static void test_a_rate_generator_ticks_at_each_count(void **state)
{
        (void)state;
        struct board board;
        set_up(&board);
        out(&board, 3, 0x34);                               /* channel 0, both bytes, mode 2 */
        assert_true(pit_deadline(&board.pit) == PIT_NEVER); /* there is no count yet */
        out(&board, 0, 11932 & 0xff);
        out(&board, 0, 11932 >> 8);
        uint64_t first = pit_deadline(&board.pit);
        assert_in_range(first - board.now, 9999000, 10001000); /* 100 Hz */
        pit_run(&board.pit);
        assert_int_equal(board.ticks, 0);
        board.now = first;
        pit_run(&board.pit);
        pit_run(&board.pit);
        assert_int_equal(board.ticks, 1);
        assert_in_range(pit_deadline(&board.pit) - first, 9999000, 10001000);
        board.now += 1000000000; /* ticks that nobody saw are one, and the beat is kept */
        pit_run(&board.pit);
        assert_int_equal(board.ticks, 2);
        assert_in_range(pit_deadline(&board.pit) - board.now, 1, 10001000);
}

static void test_an_event_counter_ticks_once(void **state)
{
        (void)state;
        struct board board;
        set_up(&board);
        out(&board, 3, 0x30);
        out(&board, 0, 0xe8);
        out(&board, 0, 0x03);
        pass(&board, 1000);
        pit_run(&board.pit);
        assert_int_equal(board.ticks, 1);
        assert_true(pit_deadline(&board.pit) == PIT_NEVER);
        pass(&board, 1); /* it counts on, through 0xffff */
        out(&board, 3, 0x00);
        uint8_t low = in(&board, 0);
        assert_int_equal(low | in(&board, 0) << 8, 0xffff);
}

static void test_a_latched_count_stands_still(void **state)
{
        (void)state;
        struct board board;
        set_up(&board);
        out(&board, 3, 0x34);
        out(&board, 0, 0x00);
        out(&board, 0, 0x10);
        pass(&board, 0x123);
        out(&board, 3, 0x00);
        pass(&board, 0x100);
        out(&board, 3, 0x00); /* a second latch is ignored */
        uint8_t low = in(&board, 0);
        assert_int_equal(low | in(&board, 0) << 8, 0x1000 - 0x123);
        low = in(&board, 0);
        assert_int_equal(low | in(&board, 0) << 8, 0x1000 - 0x223);
}

static void test_read_back_gives_status_then_count(void **state)
{
        (void)state;
        struct board board;
        set_up(&board);
        out(&board, 3, 0x16); /* channel 0, low byte, mode 3 */
        out(&board, 0, 100);
        pass(&board, 60);
        out(&board, 3, 0xc2);
        assert_int_equal(in(&board, 0), 0x16); /* its output is low in the second half */
        assert_int_equal(in(&board, 0), 100 - 20);
        pass(&board, 40);
        out(&board, 3, 0xe2);
        assert_int_equal(in(&board, 0), 0x96);
}

static void test_counts_may_be_decimal(void **state)
{
        (void)state;
        struct board board;
        set_up(&board);
        out(&board, 3, 0x35);
        out(&board, 0, 0x00);
        out(&board, 0, 0x20);
        assert_in_range(pit_deadline(&board.pit) - board.now, 1676000, 1677000); /* 2000 ticks */
        pass(&board, 1);
        out(&board, 3, 0x00);
        uint8_t low = in(&board, 0);
        assert_int_equal(low | in(&board, 0) << 8, 0x1999);
}

static void test_the_speakers_gate_starts_and_holds_the_count(void **state)
{
        (void)state;
        struct board board;
        set_up(&board);
        pit_speaker_operations.write(&board.pit, 0, 1, 0);
        out(&board, 3, 0xb0); /* channel 2, mode 0: how kernels measure time */
        out(&board, 2, 0x10);
        out(&board, 2, 0x27);
        pass(&board, 20000);
        assert_int_equal(speaker(&board) & 0x21, 0);
        pit_speaker_operations.write(&board.pit, 0, 1, 1);
        pass(&board, 9999);
        assert_int_equal(speaker(&board) & 0x21, 0x01);
        pass(&board, 2);
        assert_int_equal(speaker(&board) & 0x21, 0x21);
}

static void test_it_goes_on_where_it_was_saved(void **state)
{
        (void)state;
        struct board board, other;
        struct pit_state saved;
        set_up(&board);
        out(&board, 3, 0x34);
        out(&board, 0, 0x00);
        out(&board, 0, 0x10);
        pass(&board, 0x1800);
        pit_get(&board.pit, &saved);
        set_up(&other);
        other.now = 999;
        pit_set(&other.pit, &saved);
        assert_in_range(pit_deadline(&other.pit) - other.now, 1715000, 1717000); /* 0x800 ticks */
        saved.channels[0].count = 0;
        saved.channels[0].mode = 7;
        pit_set(&other.pit, &saved); /* no division by it */
        pit_run(&other.pit);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_a_rate_generator_ticks_at_each_count),
                cmocka_unit_test(test_an_event_counter_ticks_once),
                cmocka_unit_test(test_a_latched_count_stands_still),
                cmocka_unit_test(test_read_back_gives_status_then_count),
                cmocka_unit_test(test_counts_may_be_decimal),
                cmocka_unit_test(test_the_speakers_gate_starts_and_holds_the_count),
                cmocka_unit_test(test_it_goes_on_where_it_was_saved),
        };
        return cmocka_run_group_tests(tests, NULL, NULL);
}
