/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "instance/restart.h"

#define MS     1000000ULL
#define SECOND 1000000000ULL

static struct restart_policy policy_of(const char *text)
{
        struct restart_policy policy;
        assert_int_equal(restart_policy_parse(text, &policy, NULL), 0);
        return policy;
}

static void test_the_pause_doubles_from_100_ms_to_a_minute(void **state)
{
        (void)state;
        struct restart_policy policy = policy_of("always");
        struct restart_history history = { 0 };
        for (uint64_t wanted = 100 * MS; wanted < 60 * SECOND; wanted *= 2) {
                assert_true(restart_decide(&policy, &history, 1, false, 0));
                assert_int_equal(history.pause, wanted);
        }
        for (int i = 0; i < 3; i++) {
                assert_true(restart_decide(&policy, &history, 1, false, 0));
                assert_int_equal(history.pause, 60 * SECOND);
        }
}

static void test_a_run_of_ten_seconds_begins_anew(void **state)
{
        (void)state;
        struct restart_policy policy = policy_of("always");
        struct restart_history history = { .pause = 6400 * MS, .tries = 7 };
        assert_true(restart_decide(&policy, &history, 1, false, 10 * SECOND));
        assert_int_equal(history.pause, 100 * MS);
}

static void test_on_failure_counts_its_tries(void **state)
{
        (void)state;
        struct restart_policy policy = policy_of("on-failure:2");
        struct restart_history history = { 0 };
        assert_true(restart_decide(&policy, &history, 3, false, 0));
        assert_true(restart_decide(&policy, &history, 3, false, 0));
        assert_false(restart_decide(&policy, &history, 3, false, 0));
}

static void test_on_failure_leaves_a_success_alone(void **state)
{
        (void)state;
        struct restart_policy policy = policy_of("on-failure");
        struct restart_history history = { 0 };
        assert_false(restart_decide(&policy, &history, 0, false, 0));
        assert_true(restart_decide(&policy, &history, 1, false, 0));
}

static void test_what_the_user_stopped_stays_stopped(void **state)
{
        (void)state;
        static const char *const texts[] = { "always", "unless-stopped", "on-failure" };
        for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
                struct restart_policy policy = policy_of(texts[i]);
                struct restart_history history = { 0 };
                assert_false(restart_decide(&policy, &history, 143, true, 0));
        }
}

static void test_no_policy_means_no_restart(void **state)
{
        (void)state;
        struct restart_policy policy = policy_of(NULL);
        struct restart_history history = { 0 };
        assert_false(restart_decide(&policy, &history, 1, false, 0));
}

static void test_unknown_policies_are_refused(void **state)
{
        (void)state;
        struct restart_policy policy;
        static const char *const texts[] = { "sometimes", "on-failure:", "on-failure:x", "on-failure:-1", "always:3" };
        for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++)
                assert_true(restart_policy_parse(texts[i], &policy, NULL) < 0);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_the_pause_doubles_from_100_ms_to_a_minute),
                cmocka_unit_test(test_a_run_of_ten_seconds_begins_anew),
                cmocka_unit_test(test_on_failure_counts_its_tries),
                cmocka_unit_test(test_on_failure_leaves_a_success_alone),
                cmocka_unit_test(test_what_the_user_stopped_stays_stopped),
                cmocka_unit_test(test_no_policy_means_no_restart),
                cmocka_unit_test(test_unknown_policies_are_refused),
        };
        return cmocka_run_group_tests(tests, NULL, NULL);
}
