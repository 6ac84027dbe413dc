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

#include "network/hosts.h"
#include "network/lease.h"

static const char file[] = "next 7\n"
                           "a\t10.77.0.2\t-\t02:42:0a:4d:00:02\tov000000000001\t/run/h%09a\ta web\tprinter:192.0.2.9\t"
                           "tcp,*,8080,80,1;udp,127.0.0.1,53,53,2\n"
                           "b\t10.77.0.3\tfd77::3\t02:42:0a:4d:00:03\tov000000000002\t-\tb\t-\t-\n";

static struct leases parse(const char *text)
{
        struct leases leases;
        struct error err = { 0 };
        if (leases_parse(strdup(text), "test", &leases, &err) < 0)
                fail_msg("%s", err.text);
        return leases;
}

static struct network network(const char *subnet)
{
        struct network made = { .name = "n" };
        assert_int_equal(subnet_parse(subnet, &made.subnet), 0);
        made.gateway = subnet_host(&made.subnet, 1);
        return made;
}

static void test_leases_are_read_field_by_field(void **state)
{
        (void)state;
        _cleanup_leases_ struct leases leases = parse(file);
        assert_int_equal(leases.count, 2);
        assert_int_equal(leases.next, 7);
        const struct lease *a = leases_find(&leases, "a");
        assert_string_equal(a->hosts_file, "/run/h\ta");
        assert_string_equal(a->names, "a web");
        assert_string_equal(a->extra_hosts, "printer:192.0.2.9");
        assert_int_equal(a->port_count, 2);
        assert_int_equal(a->ports[1].count, 2);
        assert_int_equal(leases_find(&leases, "b")->address6.family, AF_INET6);
        assert_null(leases_find(&leases, "c"));
}

static void test_what_was_read_is_written_the_same(void **state)
{
        (void)state;
        _cleanup_leases_ struct leases leases = parse(file);
        _cleanup_free_ char *text = leases_render(&leases);
        assert_string_equal(text, file);
}

static void test_damaged_file_is_refused_with_its_line(void **state)
{
        (void)state;
        static const char *const damages[] = {
                "",
                "\n",
                "next\n",
                "next x\n",
                "next 1",
                "next 1\na\n",
                "next 1\nrubbish rubbish\n",
                "next 1\na\t10.0.0.2\t-\t02:42:0a:4d:00:02\tov1\t-\ta\t-\n",
                "next 1\na\t10.0.0.2\t-\t02:42:0a:4d:00:02\tov1\t-\ta\t-\t-",
                "next 1\na\t10.0.0.2\t-\t02:42:0a:4d:00:02\tov1\t-\ta\t-\t-\tmore\n",
                "next 1\n../a\t10.0.0.2\t-\t02:42:0a:4d:00:02\tov1\t-\ta\t-\t-\n",
                "next 1\na\tfd00::2\t-\t02:42:0a:4d:00:02\tov1\t-\ta\t-\t-\n",
                "next 1\na\t10.0.0.2\t10.0.0.3\t02:42:0a:4d:00:02\tov1\t-\ta\t-\t-\n",
                "next 1\na\t10.0.0.2\t-\t02:42:0a:4d:00\tov1\t-\ta\t-\t-\n",
                "next 1\na\t10.0.0.2\t-\t02:42:0a:4d:00:02\ta/b\t-\ta\t-\t-\n",
                "next 1\na\t10.0.0.2\t-\t02:42:0a:4d:00:02\tov1\t%0\ta\t-\t-\n",
                "next 1\na\t10.0.0.2\t-\t02:42:0a:4d:00:02\tov1\t%00\ta\t-\t-\n",
                "next 1\na\t10.0.0.2\t-\t02:42:0a:4d:00:02\tov1\t-\ta\t-\ttcp,*,1,1,0\n",
                "next 1\n\nnext 1\n",
        };
        for (size_t i = 0; i < ARRAY_SIZE(damages); i++) {
                struct leases leases;
                struct error err = { 0 };
                assert_int_equal(leases_parse(strdup(damages[i]), "test", &leases, &err), -EBADMSG);
                assert_non_null(strstr(err.text, "test: line"));
        }
}

static void add(struct leases *leases, const struct network *in, const char *instance, struct lease *lease)
{
        *lease =
                (struct lease){ .instance = instance, .veth = "ov1", .hosts_file = "", .names = "", .extra_hosts = "" };
        assert_int_equal(leases_assign(leases, in, lease, NULL), 0);
        assert_int_equal(leases_add(leases, lease, NULL), 0);
}

static void test_addresses_go_round_and_skip_what_is_taken(void **state)
{
        (void)state;
        _cleanup_leases_ struct leases leases = { 0 };
        const struct network tiny = network("10.77.0.0/29");
        static const char *const names[] = { "a", "b", "c", "d", "e" };
        struct lease lease;
        for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
                add(&leases, &tiny, names[i], &lease);
                assert_int_equal(subnet_number(&tiny.subnet, &lease.address), i + 2);
        }
        struct lease late = { .instance = "late" };
        assert_int_equal(leases_assign(&leases, &tiny, &late, NULL), -EADDRNOTAVAIL);
        leases_remove(&leases, leases_find(&leases, "c"));
        leases_remove(&leases, leases_find(&leases, "a"));
        add(&leases, &tiny, "f", &lease);
        assert_int_equal(subnet_number(&tiny.subnet, &lease.address), 2);
        add(&leases, &tiny, "g", &lease);
        assert_int_equal(subnet_number(&tiny.subnet, &lease.address), 4);
}

static void test_block_of_hosts_names_all_with_names_in_both_families(void **state)
{
        (void)state;
        _cleanup_leases_ struct leases leases = parse(file);
        _cleanup_free_ char *block = hosts_block(&leases);
        assert_string_equal(block, "10.77.0.2\ta web\n10.77.0.3\tb\nfd77::3\tb\n");
}

static void test_extra_hosts_are_checked(void **state)
{
        (void)state;
        assert_int_equal(hosts_extra_check("printer:192.0.2.9", NULL), 0);
        assert_int_equal(hosts_extra_check("printer:fd00::9", NULL), 0);
        assert_int_equal(hosts_extra_check("outer:host-gateway", NULL), 0);
        static const char *const wrong[] = {
                "", "printer", ":192.0.2.9", "printer:", "a b:192.0.2.9", "printer:192.0.2", "a\nb:192.0.2.9"
        };
        for (size_t i = 0; i < ARRAY_SIZE(wrong); i++)
                assert_int_equal(hosts_extra_check(wrong[i], NULL), -EINVAL);
}

static void test_head_of_a_hosts_file_has_its_extra_hosts(void **state)
{
        (void)state;
        _cleanup_text_ struct text head = { 0 };
        struct address gateway;
        address_parse("10.77.0.1", &gateway);
        hosts_head("printer:fd00::9 outer:host-gateway", &gateway, &head);
        assert_non_null(strstr(head.data, "127.0.0.1\tlocalhost\n"));
        assert_non_null(strstr(head.data, "\nfd00::9\tprinter\n10.77.0.1\touter\n"));
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_leases_are_read_field_by_field),
                cmocka_unit_test(test_what_was_read_is_written_the_same),
                cmocka_unit_test(test_damaged_file_is_refused_with_its_line),
                cmocka_unit_test(test_addresses_go_round_and_skip_what_is_taken),
                cmocka_unit_test(test_block_of_hosts_names_all_with_names_in_both_families),
                cmocka_unit_test(test_extra_hosts_are_checked),
                cmocka_unit_test(test_head_of_a_hosts_file_has_its_extra_hosts),
        };
        return cmocka_run_group_tests(tests, NULL, NULL);
}
