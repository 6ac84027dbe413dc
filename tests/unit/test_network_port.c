/* SPDX-License-Identifier: GPL-2.0-or-later */
/* clang-format off */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>
/* clang-format on */

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "network/port.h"

static struct published_port port(const char *text)
{
        struct published_port parsed;
        struct error err = { 0 };
        if (published_port_parse(text, &parsed, &err) < 0)
                fail_msg("%s", err.text);
        return parsed;
}

static void test_port_is_read_in_all_its_forms(void **state)
{
        (void)state;
        static const struct {
                const char *text, *address;
                uint16_t host, container, count, choices;
                bool udp;
        } forms[] = {
                { "80", "", 0, 80, 1, 1, false },
                { "8080:80", "", 8080, 80, 1, 1, false },
                { "0:80", "", 0, 80, 1, 1, false },
                { ":80", "", 0, 80, 1, 1, false },
                { "8080:80/udp", "", 8080, 80, 1, 1, true },
                { "53/udp", "", 0, 53, 1, 1, true },
                { "127.0.0.1:8080:80/tcp", "127.0.0.1", 8080, 80, 1, 1, false },
                { "127.0.0.1::80", "127.0.0.1", 0, 80, 1, 1, false },
                { "[::1]:8080:80", "::1", 8080, 80, 1, 1, false },
                { "::1:8080:80", "::1", 8080, 80, 1, 1, false },
                { "[2001:DB8::1]::80", "2001:db8::1", 0, 80, 1, 1, false },
                { "8000-8010:9000-9010", "", 8000, 9000, 11, 1, false },
                { "8000-8010:80", "", 8000, 80, 1, 11, false },
                { "9000-9010", "", 0, 9000, 11, 1, false },
                { "1-65535:1-65535", "", 1, 1, 65535, 1, false },
        };
        for (size_t i = 0; i < ARRAY_SIZE(forms); i++) {
                struct published_port parsed = port(forms[i].text);
                assert_string_equal(parsed.host_address, forms[i].address);
                assert_int_equal(parsed.host, forms[i].host);
                assert_int_equal(parsed.container, forms[i].container);
                assert_int_equal(parsed.count, forms[i].count);
                assert_int_equal(parsed.choices, forms[i].choices);
                assert_int_equal(parsed.udp, forms[i].udp);
        }
}

static void test_port_refuses_what_is_none_and_says_which(void **state)
{
        (void)state;
        static const char *const wrong[] = {
                "",
                ":",
                "80:",
                "0",
                "65536",
                "80:0",
                "8080:80/sctp",
                "8080:80/",
                "x:80",
                "1.2.3:80:80",
                "host:8080:80",
                "9000-8000:80-90",
                "8000-8002:80-83",
                "8000-:80",
                "-8000:80",
                "80/tcp/udp",
                "1:2:3:4",
                "[::1:80:80",
                "+80",
                " 80",
                "8080: 80",
                "0-5:80-85",
        };
        for (size_t i = 0; i < ARRAY_SIZE(wrong); i++) {
                struct published_port parsed;
                struct error err = { 0 };
                assert_int_equal(published_port_parse(wrong[i], &parsed, &err), -EINVAL);
                assert_non_null(strstr(err.text, wrong[i]));
        }
}

static void test_written_port_is_read_back(void **state)
{
        (void)state;
        static const char *const forms[] = { "8080:80", "127.0.0.1:53:5353/udp", "[fd00::1]:8000-8002:9000-9002" };
        for (size_t i = 0; i < ARRAY_SIZE(forms); i++) {
                struct published_port before = port(forms[i]), after;
                _cleanup_text_ struct text text = { 0 };
                published_port_write(&before, &text);
                assert_int_equal(published_port_read(text.data, &after), 0);
                assert_memory_equal(&before, &after, sizeof(before));
        }
}

static void test_written_port_out_of_range_is_refused(void **state)
{
        (void)state;
        static const char *const wrong[] = { "tcp,*,65535,80,2",
                                             "tcp,*,80,65535,2",
                                             "tcp,*,0,80,1",
                                             "icmp,*,1,1,1",
                                             "tcp,*,1,1",
                                             "tcp,*,1,1,1,1",
                                             "tcp,nowhere,1,1,1",
                                             "tcp",
                                             "" };
        for (size_t i = 0; i < ARRAY_SIZE(wrong); i++) {
                struct published_port parsed;
                _cleanup_free_ char *text = strdup(wrong[i]);
                assert_int_equal(published_port_read(text, &parsed), -EINVAL);
        }
}

static void test_ports_conflict_only_where_they_meet(void **state)
{
        (void)state;
        static const struct {
                const char *a, *b;
                bool conflict;
        } pairs[] = {
                { "8080:80", "8080:81", true },
                { "8080:80", "8080:80/udp", false },
                { "8080:80", "127.0.0.1:8080:80", true },
                { "127.0.0.1:8080:80", "127.0.0.2:8080:80", false },
                { "0.0.0.0:8080:80", "[::1]:8080:80", false },
                { "0.0.0.0:8080:80", "127.0.0.1:8080:80", true },
                { "[::]:8080:80", "[::1]:8080:80", true },
                { "8000-8009:80-89", "8009:80", true },
                { "8000-8009:80-89", "8010:80", false },
                { "8010:80", "8000-8009:80-89", false },
        };
        for (size_t i = 0; i < ARRAY_SIZE(pairs); i++) {
                struct published_port a = port(pairs[i].a), b = port(pairs[i].b);
                assert_int_equal(published_port_conflicts(&a, &b), pairs[i].conflict);
                assert_int_equal(published_port_conflicts(&b, &a), pairs[i].conflict);
        }
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_port_is_read_in_all_its_forms),
                cmocka_unit_test(test_port_refuses_what_is_none_and_says_which),
                cmocka_unit_test(test_written_port_is_read_back),
                cmocka_unit_test(test_written_port_out_of_range_is_refused),
                cmocka_unit_test(test_ports_conflict_only_where_they_meet),
        };
        return cmocka_run_group_tests(tests, NULL, NULL);
}
