/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "base/error.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

static void test_an_error_tells_what_errno_means(void **state)
{
        (void)state;
        struct error err = { 0 };
        errno = ENOENT;
        assert_int_equal(error_errno(&err, "cannot open %s", "x"), -ENOENT);
        assert_string_equal(err.text, "cannot open x: No such file or directory");
        assert_int_equal(error_code(&err, -EPERM, "y"), -EPERM);
        assert_string_equal(err.text, "y: Operation not permitted");
        errno = 0;
        assert_int_equal(error_errno(&err, "z"), -EIO);
}

static void test_a_prefix_stands_in_front(void **state)
{
        (void)state;
        struct error err = { 0 };
        error_set(&err, -EINVAL, "inner");
        assert_int_equal(error_prefix(&err, "image %s", "a"), -EINVAL);
        assert_string_equal(err.text, "image a: inner");
}

static void test_an_error_is_one_bounded_line(void **state)
{
        (void)state;
        struct error err = { 0 };
        error_set(&err, -EINVAL, "name \"a\nb\"");
        assert_string_equal(err.text, "name \"a b\"");
        char big[4096];
        memset(big, 'x', sizeof(big) - 1);
        big[sizeof(big) - 1] = 0;
        error_set(&err, -EINVAL, "%s", big);
        assert_int_equal(strlen(err.text), sizeof(err.text) - 1);
        error_prefix(&err, "front");
        assert_int_equal(strncmp(err.text, "front: xxx", 10), 0);
}

static void test_nobody_need_listen(void **state)
{
        (void)state;
        assert_int_equal(error_set(NULL, -EBUSY, "x"), -EBUSY);
        assert_int_equal(error_memory(NULL), -ENOMEM);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_an_error_tells_what_errno_means),
                cmocka_unit_test(test_a_prefix_stands_in_front),
                cmocka_unit_test(test_an_error_is_one_bounded_line),
                cmocka_unit_test(test_nobody_need_listen),
        };
        return cmocka_run_group_tests(tests, NULL, NULL);
}
