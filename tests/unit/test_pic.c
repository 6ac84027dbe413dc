/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "machine/pic.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

struct board {
        struct pic_pair pair;
        bool raised;
        unsigned changes;
};

static void on_output(void *owner, bool raised)
{
        struct board *board = owner;
        board->raised = raised;
        board->changes++;
}

static void out(struct board *board, unsigned which, unsigned offset, uint8_t value)
{
        pic_operations.write(&board->pair.pics[which], offset, 1, value);
}

static uint8_t in(struct board *board, unsigned which, unsigned offset)
{
        return (uint8_t)pic_operations.read(&board->pair.pics[which], offset, 1);
}

/* As a PC's system does it: vectors 0x20 and 0x28, nothing masked. */
static void set_up(struct board *board, uint8_t icw4)
{
        memset(board, 0, sizeof(*board));
        pic_init(&board->pair, board, on_output);
        for (unsigned which = 0; which < 2; which++) {
                out(board, which, 0, 0x11);
                out(board, which, 1, which ? 0x28 : 0x20);
                out(board, which, 1, which ? 2 : 4);
                out(board, which, 1, icw4);
                out(board, which, 1, 0);
        }
}

static void pulse(struct board *board, unsigned line)
{
        pic_line(&board->pair, line, true);
        pic_line(&board->pair, line, false);
}

static void test_an_edge_asks_until_it_is_taken(void **state)
{
        (void)state;
        struct board board;
        set_up(&board, 1);
        pulse(&board, 4);
        assert_true(board.raised);
        assert_int_equal(in(&board, 0, 0), 1 << 4); /* IRR */
        assert_int_equal(pic_take(&board.pair), 0x24);
        assert_false(board.raised);
        out(&board, 0, 0, 0x0b);
        assert_int_equal(in(&board, 0, 0), 1 << 4); /* ISR */
        out(&board, 0, 0, 0x20);
        assert_int_equal(in(&board, 0, 0), 0);
}

static void test_a_lower_line_waits_for_the_end_of_a_higher_one(void **state)
{
        (void)state;
        struct board board;
        set_up(&board, 1);
        pulse(&board, 1);
        assert_int_equal(pic_take(&board.pair), 0x21);
        pulse(&board, 3);
        assert_false(board.raised);
        pulse(&board, 0);
        assert_true(board.raised); /* a higher one does not */
        assert_int_equal(pic_take(&board.pair), 0x20);
        out(&board, 0, 0, 0x20);
        assert_false(board.raised);
        out(&board, 0, 0, 0x61); /* specific end of line 1 */
        assert_int_equal(pic_take(&board.pair), 0x23);
}

static void test_a_masked_line_asks_when_it_is_unmasked(void **state)
{
        (void)state;
        struct board board;
        set_up(&board, 1);
        out(&board, 0, 1, 0x10);
        pulse(&board, 4);
        assert_false(board.raised);
        assert_int_equal(in(&board, 0, 1), 0x10);
        out(&board, 0, 1, 0);
        assert_int_equal(pic_take(&board.pair), 0x24);
}

static void test_the_second_comes_through_line_2_of_the_first(void **state)
{
        (void)state;
        struct board board;
        set_up(&board, 1);
        pulse(&board, 12);
        pulse(&board, 3);
        assert_int_equal(pic_take(&board.pair), 0x2c);
        out(&board, 1, 0, 0x20);
        assert_false(board.raised); /* the first still serves line 2 */
        out(&board, 0, 0, 0x20);
        assert_int_equal(pic_take(&board.pair), 0x23);
}

static void test_a_level_asks_until_it_is_gone(void **state)
{
        (void)state;
        struct board board;
        set_up(&board, 1);
        pic_level_operations.write(&board.pair, 0, 2, 0xffff);
        assert_int_equal(pic_level_operations.read(&board.pair, 0, 2), 0xdef8); /* the PC's own stay edges */
        pic_line(&board.pair, 9, true);
        assert_int_equal(pic_take(&board.pair), 0x29);
        out(&board, 1, 0, 0x20);
        out(&board, 0, 0, 0x20);
        assert_true(board.raised);
        pic_line(&board.pair, 9, false);
        assert_false(board.raised);
        assert_int_equal(pic_take(&board.pair), 0x27); /* gone by now: spurious */
        out(&board, 0, 0, 0x0b);
        assert_int_equal(in(&board, 0, 0), 0);
}

static void test_an_automatic_end_leaves_nothing_in_service_and_may_rotate(void **state)
{
        (void)state;
        struct board board;
        set_up(&board, 3);
        out(&board, 0, 0, 0x80); /* rotate on automatic end */
        pulse(&board, 1);
        assert_int_equal(pic_take(&board.pair), 0x21);
        pulse(&board, 1);
        pulse(&board, 3);
        assert_int_equal(pic_take(&board.pair), 0x23); /* line 1 is the last now */
        assert_int_equal(pic_take(&board.pair), 0x21);
}

static void test_the_special_mask_lets_lower_lines_through(void **state)
{
        (void)state;
        struct board board;
        set_up(&board, 1);
        pulse(&board, 1);
        pic_take(&board.pair);
        pulse(&board, 5);
        assert_false(board.raised);
        out(&board, 0, 1, 0x02);
        out(&board, 0, 0, 0x68);
        assert_int_equal(pic_take(&board.pair), 0x25);
}

static void test_a_poll_is_an_acknowledgement(void **state)
{
        (void)state;
        struct board board;
        set_up(&board, 1);
        out(&board, 0, 0, 0x0c);
        assert_int_equal(in(&board, 0, 0), 0);
        pulse(&board, 6);
        out(&board, 0, 0, 0x0c);
        assert_int_equal(in(&board, 0, 0), 0x86);
        assert_false(board.raised);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_an_edge_asks_until_it_is_taken),
                cmocka_unit_test(test_a_lower_line_waits_for_the_end_of_a_higher_one),
                cmocka_unit_test(test_a_masked_line_asks_when_it_is_unmasked),
                cmocka_unit_test(test_the_second_comes_through_line_2_of_the_first),
                cmocka_unit_test(test_a_level_asks_until_it_is_gone),
                cmocka_unit_test(test_an_automatic_end_leaves_nothing_in_service_and_may_rotate),
                cmocka_unit_test(test_the_special_mask_lets_lower_lines_through),
                cmocka_unit_test(test_a_poll_is_an_acknowledgement),
        };
        return cmocka_run_group_tests(tests, NULL, NULL);
}
