/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <errno.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "hosted/outcome.h"

struct watched {
        struct outcome outcome;
        int reader;
};

static void watch(struct watched *watched)
{
        char number[16];
        int ends[2];
        assert_return_code(pipe(ends), 0);
        snprintf(number, sizeof(number), "%d", ends[1]);
        assert_int_equal(outcome_open(&watched->outcome, number, NULL), 0);
        watched->reader = ends[0];
}

static void say(struct watched *watched, const char *text)
{
        /* As a serial port says it: byte by byte. */
        for (; *text; text++)
                outcome_console(&watched->outcome, (const uint8_t *)text, 1);
}

static void assert_told(struct watched *watched, int result, const struct error *err, const char *expected)
{
        char text[1100];
        outcome_tell(&watched->outcome, result, err);
        close(watched->outcome.fd);
        ssize_t n = read(watched->reader, text, sizeof(text) - 1);
        text[n < 0 ? 0 : n] = 0;
        assert_string_equal(text, expected);
        close(watched->reader);
}

static void test_a_programs_exit_code_is_the_result_and_needs_no_reason(void **state)
{
        struct watched watched;
        struct error err = { 0 };
        (void)state;
        watch(&watched);
        assert_int_equal(outcome_judge(&watched.outcome, MACHINE_DEBUG_EXIT, 7, &err), 7);
        assert_told(&watched, 7, &err, "");
}

static void test_a_panic_is_told_in_the_kernels_words(void **state)
{
        struct watched watched;
        struct error err = { 0 };
        (void)state;
        watch(&watched);
        say(&watched, "[    1.5] Kernel panic - not syncing: Attempted to kill init!\x1b[0m \xff"
                      "now\r\n"
                      "[    1.6] Kernel panic - not syncing: another\r\n");
        assert_int_equal(outcome_judge(&watched.outcome, MACHINE_RESET, 0, &err), -ECANCELED);
        assert_told(&watched, -ECANCELED, &err, "the guest's kernel panicked: Attempted to kill init![0m now\n");
}

static void test_an_end_without_an_exit_code_is_a_failure(void **state)
{
        struct watched watched;
        struct error err = { 0 };
        (void)state;
        watch(&watched);
        assert_int_equal(outcome_judge(&watched.outcome, MACHINE_OFF, 0, &err), -ECANCELED);
        assert_told(&watched, -ECANCELED, &err,
                    "the virtual machine ended before its program: the guest switched itself off\n");
}

static void test_lack_of_memory_is_told_where_it_killed(void **state)
{
        struct watched watched;
        (void)state;
        watch(&watched);
        say(&watched, "[ 9.1] Memory cgroup out of memory: Killed process 77 (hog) total-vm:1kB\n");
        assert_told(&watched, 128 + SIGKILL, NULL, "out of memory: the guest's kernel killed the program\n");
        watch(&watched);
        say(&watched, "[ 9.1] Out of memory: Killed process 77 (hog) total-vm:1kB\n");
        assert_told(&watched, 0, NULL, ""); /* another process than the program */
}

static void test_a_console_without_lines_costs_no_memory(void **state)
{
        struct watched watched;
        struct error err = { 0 };
        (void)state;
        watch(&watched);
        for (int i = 0; i < 100000; i++)
                say(&watched, "x");
        say(&watched, "\nKernel panic - not syncing: after all\n");
        outcome_judge(&watched.outcome, MACHINE_RESET, 0, &err);
        assert_told(&watched, -ECANCELED, &err, "the guest's kernel panicked: after all\n");
}

static void test_without_a_reason_asked_for_every_end_is_as_good(void **state)
{
        struct outcome outcome;
        struct error err = { 0 };
        (void)state;
        assert_int_equal(outcome_open(&outcome, NULL, &err), 0);
        assert_int_equal(outcome_judge(&outcome, MACHINE_RESET, 0, &err), 0);
        assert_int_equal(outcome_open(&outcome, "1000", &err), -EINVAL);
        assert_int_equal(outcome_open(&outcome, "x", &err), -EINVAL);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_a_programs_exit_code_is_the_result_and_needs_no_reason),
                cmocka_unit_test(test_a_panic_is_told_in_the_kernels_words),
                cmocka_unit_test(test_an_end_without_an_exit_code_is_a_failure),
                cmocka_unit_test(test_lack_of_memory_is_told_where_it_killed),
                cmocka_unit_test(test_a_console_without_lines_costs_no_memory),
                cmocka_unit_test(test_without_a_reason_asked_for_every_end_is_as_good),
        };
        return cmocka_run_group_tests(tests, NULL, NULL);
}
