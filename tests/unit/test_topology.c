/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <string.h>

#include "hosted/topology_option.h"

static void test_what_is_not_said_follows_from_what_is(void **state)
{
        static const struct {
                const char *text;
                struct topology topology;
        } cases[] = {
                { "1", { 1, 1, 1 } },
                { "6", { 1, 6, 1 } },
                { "4,cores=2,threads=2", { 1, 2, 2 } },
                { "8,threads=2", { 1, 4, 2 } },
                { "8,sockets=2", { 2, 4, 1 } },
                { "8,cores=2", { 4, 2, 1 } },
                { "12,sockets=2,threads=2", { 2, 3, 2 } },
        };
        (void)state;
        for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
                struct topology topology;
                struct error err = { 0 };
                assert_int_equal(topology_parse(cases[i].text, &topology, &err), 0);
                assert_memory_equal(&topology, &cases[i].topology, sizeof(topology));
        }
}

static void test_parts_that_do_not_make_the_whole_are_refused(void **state)
{
        static const char *const texts[] = {
                "0",           "65",         "x",         "",          "4,cores=3",
                "4,threads=8", "4,cores=2,", "4,nodes=2", "4,cores=0", "3,cores=2,threads=2"
        };
        (void)state;
        for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
                struct topology topology;
                struct error err = { 0 };
                assert_int_equal(topology_parse(texts[i], &topology, &err), -EINVAL);
        }
}

static void test_apic_numbers_have_a_field_of_bits_for_each_level(void **state)
{
        const struct topology topology = { 2, 3, 2 };
        static const uint32_t expected[] = { 0, 1, 2, 3, 4, 5, 8, 9, 10, 11, 12, 13 };
        (void)state;
        assert_int_equal(topology_cpus(&topology), 12);
        assert_int_equal(topology_thread_bits(&topology), 1);
        assert_int_equal(topology_socket_bits(&topology), 3);
        for (unsigned i = 0; i < 12; i++)
                assert_int_equal(topology_apic_id(&topology, i), expected[i]);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_what_is_not_said_follows_from_what_is),
                cmocka_unit_test(test_parts_that_do_not_make_the_whole_are_refused),
                cmocka_unit_test(test_apic_numbers_have_a_field_of_bits_for_each_level),
        };
        return cmocka_run_group_tests(tests, NULL, NULL);
}
