/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "base/options.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/text.h"

struct target {
        bool interactive, tty;
        const char *name;
        char **environment;
        int64_t pids;
        uint64_t memory, wait;
};

static const struct option_spec table[] = {
        { "interactive", 'i', OPTION_FLAG, offsetof(struct target, interactive), NULL, "keep stdin open" },
        { "tty", 't', OPTION_FLAG, offsetof(struct target, tty), NULL, "give it a terminal" },
        { "name", 0, OPTION_STRING, offsetof(struct target, name), "NAME", "its name" },
        { "env", 'e', OPTION_LIST, offsetof(struct target, environment), "NAME=VALUE", "a variable" },
        { "pids-limit", 0, OPTION_NUMBER, offsetof(struct target, pids), "N", "processes" },
        { "memory", 'm', OPTION_SIZE, offsetof(struct target, memory), "SIZE", "memory" },
        { "time", 0, OPTION_TIME, offsetof(struct target, wait), "TIME", "patience" },
        { 0 },
};
static const struct option_spec *const tables[] = { table, NULL };

#define PARSE(in_order, ...)                                                                                           \
        char *argv[] = { "run", __VA_ARGS__, NULL };                                                                   \
        struct target target = { 0 };                                                                                  \
        struct error err = { 0 };                                                                                      \
        int operands = 0;                                                                                              \
        int r = options_parse(tables, in_order, (int)list_length(argv), argv, &target, &operands, &err)

static void test_every_way_to_write_a_value_is_understood(void **state)
{
        (void)state;
        PARSE(false, "--name=a b", "-e", "A=1", "-eB=2", "--env", "C=3", "-it", "-m=512m", "--pids-limit", "-1",
              "--time=1.5s");
        assert_int_equal(r, 0);
        assert_true(target.interactive && target.tty);
        assert_string_equal(target.name, "a b");
        assert_int_equal(list_length(target.environment), 3);
        assert_string_equal(target.environment[1], "B=2");
        assert_true(target.memory == 512ULL << 20);
        assert_int_equal(target.pids, -1);
        assert_true(target.wait == 1500000000);
        assert_null(argv[operands]);
        list_free(target.environment);
}

static void test_in_order_leaves_the_programs_own_options_alone(void **state)
{
        (void)state;
        PARSE(true, "-t=false", "image", "-i", "--name");
        assert_int_equal(r, 0);
        assert_false(target.interactive || target.tty);
        assert_string_equal(argv[operands], "image");
        assert_string_equal(argv[operands + 2], "--name");
}

static void test_options_may_follow_operands_until_two_dashes(void **state)
{
        (void)state;
        PARSE(false, "one", "-i", "two", "--name", "n", "--", "-t");
        assert_int_equal(r, 0);
        assert_true(target.interactive);
        assert_false(target.tty);
        assert_string_equal(target.name, "n");
        assert_string_equal(argv[operands], "one");
        assert_string_equal(argv[operands + 1], "two");
        assert_string_equal(argv[operands + 2], "-t");
        assert_null(argv[operands + 3]);
}

static void expect_error(int argc, char **argv, const char *text)
{
        struct target target = { 0 };
        struct error err = { 0 };
        int operands;
        assert_true(options_parse(tables, false, argc, argv, &target, &operands, &err) < 0);
        assert_string_equal(err.text, text);
}

static void test_errors_name_the_option(void **state)
{
        (void)state;
        expect_error(2, (char *[]){ "run", "--nam=x" }, "unknown option --nam");
        expect_error(2, (char *[]){ "run", "-x" }, "unknown option -x");
        expect_error(2, (char *[]){ "run", "--name" }, "option --name needs a value (NAME)");
        expect_error(3, (char *[]){ "run", "-m", "lots" }, "option -m takes a size such as 512m, not \"lots\"");
        expect_error(2, (char *[]){ "run", "--tty=maybe" }, "option --tty takes true or false, not \"maybe\"");
        expect_error(3, (char *[]){ "run", "--pids-limit", "1k" },
                     "option --pids-limit takes a whole number, not \"1k\"");
}

static void test_help_is_told_apart_from_failure(void **state)
{
        (void)state;
        PARSE(false, "--help");
        assert_int_equal(r, 1);
        assert_int_equal(operands, 0);
        assert_null(target.name);
        assert_int_equal(err.code, 0);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_every_way_to_write_a_value_is_understood),
                cmocka_unit_test(test_in_order_leaves_the_programs_own_options_alone),
                cmocka_unit_test(test_options_may_follow_operands_until_two_dashes),
                cmocka_unit_test(test_errors_name_the_option),
                cmocka_unit_test(test_help_is_told_apart_from_failure),
        };
        return cmocka_run_group_tests(tests, NULL, NULL);
}
