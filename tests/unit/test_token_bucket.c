/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "hosted/token_bucket.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#define MILLISECOND 1000000ULL
#define SECOND      (1000 * MILLISECOND)

/* As much as may pass from `now` on for so long, asking again whenever it is told to. */
static uint64_t pass(struct token_bucket *bucket, uint64_t amount, uint64_t *now, uint64_t time)
{
        uint64_t passed = 0;
        for (uint64_t end = *now + time; *now < end;) {
                uint64_t wait = token_bucket_take(bucket, amount, *now);
                passed += wait ? 0 : amount;
                *now += wait;
        }
        return passed;
}

static void test_what_passes_is_the_rate_and_one_burst(void **state)
{
        struct token_bucket bucket;
        uint64_t now = 5 * SECOND;
        (void)state;
        token_bucket_set(&bucket, 1000000, 50000, now);
        uint64_t passed = pass(&bucket, 1000, &now, 10 * SECOND);
        assert_in_range(passed, 10 * 1000000 + 49000, 10 * 1000000 + 51000);
        passed = pass(&bucket, 1000, &now, SECOND);
        assert_in_range(passed, 999000, 1001000);
}

static void test_what_is_larger_than_a_burst_passes_and_is_paid_for_afterwards(void **state)
{
        struct token_bucket bucket;
        (void)state;
        token_bucket_set(&bucket, 1000, 10, 0);
        assert_int_equal(token_bucket_take(&bucket, 2000, 0), 0);
        uint64_t wait = token_bucket_take(&bucket, 1, 0);
        assert_in_range(wait, 1990 * MILLISECOND, 1991 * MILLISECOND);
        assert_int_equal(token_bucket_take(&bucket, 1, wait), 0);
}

static void test_a_rest_saves_up_no_more_than_a_burst(void **state)
{
        struct token_bucket bucket;
        uint64_t now = 0;
        (void)state;
        token_bucket_set(&bucket, 100, 20, now);
        (void)pass(&bucket, 1, &now, SECOND);
        now += 3600 * SECOND;
        unsigned passed = 0;
        while (!token_bucket_take(&bucket, 1, now))
                passed++;
        assert_int_equal(passed, 20);
}

static void test_no_rate_is_no_limit_and_a_clock_that_goes_back_does_no_harm(void **state)
{
        struct token_bucket bucket;
        (void)state;
        token_bucket_set(&bucket, 0, 0, 0);
        for (unsigned i = 0; i < 1000; i++)
                assert_int_equal(token_bucket_take(&bucket, UINT64_MAX, 7), 0);
        token_bucket_set(&bucket, 10, 1, SECOND);
        assert_int_equal(token_bucket_take(&bucket, 1, SECOND), 0);
        assert_true(token_bucket_take(&bucket, 1, 0) > 0);
        token_bucket_set(&bucket, UINT64_MAX, UINT64_MAX, 0);
        assert_int_equal(token_bucket_take(&bucket, UINT64_MAX, UINT64_MAX), 0);
}

static void test_a_device_obeys_the_tighter_of_its_limits(void **state)
{
        struct rate_limit limit;
        struct rate_settings settings = { 0 };
        struct error err = { 0 };
        (void)state;
        assert_int_equal(rate_limit_item("rate-bytes=1m:2m", "rate-operations", &settings, &err), 1);
        assert_int_equal(rate_limit_item("rate-operations=100", "rate-operations", &settings, &err), 1);
        assert_int_equal(rate_limit_item("serial=x", "rate-operations", &settings, &err), 0);
        assert_true(rate_limit_item("rate-bytes=fast", "rate-operations", &settings, &err) < 0);
        assert_non_null(strstr(err.text, "\"fast\" is no rate"));
        rate_limit_set(&limit, &settings, 0);
        for (unsigned i = 0; i < 10; i++)
                assert_int_equal(rate_limit_take(&limit, 512, 0), 0);
        assert_in_range(rate_limit_take(&limit, 512, 0), 1, 10 * MILLISECOND);
        assert_int_equal(rate_limit_take(&limit, 4 << 20, SECOND), 0);
        assert_in_range(rate_limit_take(&limit, 512, SECOND), 1999 * MILLISECOND, 2001 * MILLISECOND);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_what_passes_is_the_rate_and_one_burst),
                cmocka_unit_test(test_what_is_larger_than_a_burst_passes_and_is_paid_for_afterwards),
                cmocka_unit_test(test_a_rest_saves_up_no_more_than_a_burst),
                cmocka_unit_test(test_no_rate_is_no_limit_and_a_clock_that_goes_back_does_no_harm),
                cmocka_unit_test(test_a_device_obeys_the_tighter_of_its_limits),
        };
        return cmocka_run_group_tests(tests, NULL, NULL);
}
