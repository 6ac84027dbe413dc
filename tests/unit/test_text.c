/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "base/text.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

static void test_text_grows_and_is_taken_whole(void **state)
{
        (void)state;
        _cleanup_text_ struct text text = { 0 };
        for (int i = 0; i < 1000; i++)
                text_printf(&text, "%d,", i);
        assert_false(text_failed(&text));
        assert_int_equal(text.length, 10 * 2 + 90 * 3 + 900 * 4);
        _cleanup_free_ char *taken = text_take(&text);
        assert_true(text_starts(taken, "0,1,2,"));
        assert_true(text_ends(taken, ",998,999,"));
        assert_null(text.data);
}

static void test_text_take_of_nothing_is_an_empty_string(void **state)
{
        (void)state;
        struct text text = { 0 };
        _cleanup_free_ char *taken = text_take(&text);
        assert_string_equal(taken, "");
}

static void test_text_keeps_bytes_that_are_not_text(void **state)
{
        (void)state;
        _cleanup_text_ struct text text = { 0 };
        text_append_bytes(&text, "a\0b", 3);
        text_append_bytes(&text, NULL, 0);
        assert_int_equal(text.length, 3);
        assert_memory_equal(text.data, "a\0b", 4);
}

static void test_list_appends_copies_and_finds(void **state)
{
        (void)state;
        _cleanup_list_ char **list = NULL;
        assert_int_equal(list_length(list), 0);
        assert_false(list_contains(list, "one"));
        assert_int_equal(list_append(&list, "one"), 0);
        assert_int_equal(list_printf(&list, "two-%d", 2), 0);
        _cleanup_list_ char **copy = list_copy(list);
        assert_int_equal(list_length(copy), 2);
        assert_ptr_not_equal(copy[0], list[0]);
        assert_true(list_contains(copy, "two-2"));
        assert_false(list_contains(copy, "two"));
}

static void test_numbers_are_whole_or_refused(void **state)
{
        (void)state;
        uint64_t u = 7;
        int64_t i = 7;
        assert_int_equal(parse_u64("18446744073709551615", &u), 0);
        assert_true(u == UINT64_MAX);
        assert_int_equal(parse_u64("18446744073709551616", &u), -ERANGE);
        assert_int_equal(parse_i64("-9223372036854775808", &i), 0);
        assert_true(i == INT64_MIN);

        static const char *const bad[] = { "", " 1", "+1", "1 ", "0x10", "1.0", "-", "--1", "abc" };
        for (size_t n = 0; n < ARRAY_SIZE(bad); n++) {
                assert_int_equal(parse_u64(bad[n], &u), -EINVAL);
                assert_int_equal(parse_i64(bad[n], &i), -EINVAL);
        }
        assert_int_equal(parse_u64("-1", &u), -EINVAL);
}

static void test_sizes_take_the_units_that_docker_takes(void **state)
{
        (void)state;
        static const struct {
                const char *text;
                uint64_t bytes;
        } good[] = {
                { "0", 0 },           { "512", 512 },           { "512b", 512 },
                { "1k", 1024 },       { "1K", 1024 },           { "2kb", 2048 },
                { "2KiB", 2048 },     { "512m", 512ULL << 20 }, { "1.5g", 3ULL << 29 },
                { "1T", 1ULL << 40 }, { "0.5k", 512 },
        };
        uint64_t bytes;
        for (size_t n = 0; n < ARRAY_SIZE(good); n++) {
                assert_int_equal(parse_size(good[n].text, &bytes), 0);
                assert_true(bytes == good[n].bytes);
        }
        static const char *const bad[] = { "", "m", "1x", "1mm", "-1", "1 m", "1bb", ".5k" };
        for (size_t n = 0; n < ARRAY_SIZE(bad); n++)
                assert_int_equal(parse_size(bad[n], &bytes), -EINVAL);
        assert_int_equal(parse_size("99999999999t", &bytes), -ERANGE);
}

static void test_durations_take_gos_form_and_bare_seconds(void **state)
{
        (void)state;
        static const struct {
                const char *text;
                uint64_t nanoseconds;
        } good[] = {
                { "0", 0 },
                { "30", 30000000000 },
                { "1.5s", 1500000000 },
                { "250ms", 250000000 },
                { "1h30m", 5400000000000 },
                { "1m0.5s", 60500000000 },
                { "3us", 3000 },
                { "7ns", 7 },
        };
        uint64_t nanoseconds;
        for (size_t n = 0; n < ARRAY_SIZE(good); n++) {
                assert_int_equal(parse_duration(good[n].text, &nanoseconds), 0);
                assert_true(nanoseconds == good[n].nanoseconds);
        }
        static const char *const bad[] = { "", "s", "1x", "-1s", "1h2", "1 s" };
        for (size_t n = 0; n < ARRAY_SIZE(bad); n++)
                assert_int_equal(parse_duration(bad[n], &nanoseconds), -EINVAL);
        assert_int_equal(parse_duration("9999999999h", &nanoseconds), -ERANGE);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_text_grows_and_is_taken_whole),
                cmocka_unit_test(test_text_take_of_nothing_is_an_empty_string),
                cmocka_unit_test(test_text_keeps_bytes_that_are_not_text),
                cmocka_unit_test(test_list_appends_copies_and_finds),
                cmocka_unit_test(test_numbers_are_whole_or_refused),
                cmocka_unit_test(test_sizes_take_the_units_that_docker_takes),
                cmocka_unit_test(test_durations_take_gos_form_and_bare_seconds),
        };
        return cmocka_run_group_tests(tests, NULL, NULL);
}
