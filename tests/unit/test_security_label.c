/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "container/security_label.h"

#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/cleanup.h"

static int open_proc(void)
{
        int proc = open("/proc", O_PATH | O_DIRECTORY | O_CLOEXEC);
        assert_true(proc >= 0);
        return proc;
}

static void test_no_label_is_no_work(void **state)
{
        (void)state;
        assert_int_equal(security_label_apparmor(-1, NULL, NULL), 0);
        assert_int_equal(security_label_apparmor(-1, "", NULL), 0);
        assert_int_equal(security_label_selinux(-1, NULL, NULL), 0);
        assert_int_equal(security_label_selinux(-1, "", NULL), 0);
}

static void test_a_profile_that_the_host_cannot_apply_is_refused_by_name(void **state)
{
        (void)state;
        _cleanup_close_ int proc = open_proc();
        struct error err = { 0 };
        assert_true(security_label_apparmor(proc, "onggi-no-such-profile", &err) < 0);
        assert_non_null(strstr(err.text, "onggi-no-such-profile"));
        assert_non_null(strstr(err.text, "AppArmor"));
}

static void test_unconfined_needs_no_apparmor(void **state)
{
        (void)state;
        if (!access("/sys/module/apparmor", F_OK)) {
                print_message("skipped: this host has AppArmor\n");
                skip();
        }
        assert_int_equal(security_label_apparmor(-1, "unconfined", NULL), 0);
}

static void test_a_label_without_selinux_is_refused_by_name(void **state)
{
        (void)state;
        if (!access("/sys/fs/selinux/enforce", F_OK)) {
                print_message("skipped: this host has SELinux\n");
                skip();
        }
        struct error err = { 0 };
        assert_int_equal(security_label_selinux(-1, "system_u:system_r:container_t:s0", &err), -EOPNOTSUPP);
        assert_non_null(strstr(err.text, "container_t"));
        /* Keys have no label then, and need none. */
        assert_int_equal(security_label_keys(-1, "system_u:system_r:container_t:s0", &err), 0);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_no_label_is_no_work),
                cmocka_unit_test(test_a_profile_that_the_host_cannot_apply_is_refused_by_name),
                cmocka_unit_test(test_unconfined_needs_no_apparmor),
                cmocka_unit_test(test_a_label_without_selinux_is_refused_by_name),
        };
        return cmocka_run_group_tests(tests, NULL, NULL);
}
