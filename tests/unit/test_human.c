/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "base/human.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

static void test_sizes_have_three_digits_and_decimal_units(void **state)
{
        (void)state;
        char text[HUMAN_ROOM];
        assert_string_equal(human_size(0, text), "0B");
        assert_string_equal(human_size(999, text), "999B");
        assert_string_equal(human_size(7340000, text), "7.34MB");
        assert_string_equal(human_size(999900, text), "1MB");
        assert_string_equal(human_size(142000000000, text), "142GB");
        assert_string_equal(human_size(UINT64_MAX, text), "18.4EB");
}

static void test_binary_sizes_have_four_digits(void **state)
{
        (void)state;
        char text[HUMAN_ROOM];
        assert_string_equal(human_size_binary(0, text), "0B");
        assert_string_equal(human_size_binary(1 << 20, text), "1MiB");
        assert_string_equal(human_size_binary(2088763392, text), "1.945GiB");
}

static void test_durations_read_as_a_person_would_say_them(void **state)
{
        (void)state;
        char text[HUMAN_ROOM];
        assert_string_equal(human_duration(-5, text), "Less than a second");
        assert_string_equal(human_duration(1, text), "1 second");
        assert_string_equal(human_duration(59, text), "59 seconds");
        assert_string_equal(human_duration(119, text), "About a minute");
        assert_string_equal(human_duration(3 * 60 + 59, text), "3 minutes");
        assert_string_equal(human_duration(70 * 60, text), "About an hour");
        assert_string_equal(human_duration(105 * 60, text), "2 hours");
        assert_string_equal(human_duration(3 * 86400, text), "3 days");
        assert_string_equal(human_duration(20 * 86400, text), "2 weeks");
        assert_string_equal(human_duration(100 * 86400, text), "3 months");
        assert_string_equal(human_duration(INT64_MAX, text), "292471208677 years");
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_sizes_have_three_digits_and_decimal_units),
                cmocka_unit_test(test_binary_sizes_have_four_digits),
                cmocka_unit_test(test_durations_read_as_a_person_would_say_them),
        };
        return cmocka_run_group_tests(tests, NULL, NULL);
}
