/* SPDX-License-Identifier: GPL-2.0-or-later */
/* clang-format off */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>
/* clang-format on */

#include <errno.h>

#include "network/address.h"

static struct address address(const char *text)
{
        struct address parsed;
        assert_int_equal(address_parse(text, &parsed), 0);
        return parsed;
}

static struct subnet subnet(const char *text)
{
        struct subnet parsed;
        assert_int_equal(subnet_parse(text, &parsed), 0);
        return parsed;
}

static void assert_host(const char *subnet_text, uint64_t number, const char *expected)
{
        char text[ADDRESS_TEXT];
        struct subnet in = subnet(subnet_text);
        struct address host = subnet_host(&in, number);
        assert_string_equal(address_format(&host, text), expected);
        assert_int_equal(subnet_number(&in, &host), number);
}

static void test_subnet_drops_the_bits_behind_its_prefix(void **state)
{
        (void)state;
        char text[ADDRESS_TEXT + 4];
        struct subnet four = subnet("10.88.7.9/20"), six = subnet("fd00:1:2:3:4::5/52");
        assert_string_equal(subnet_format(&four, text), "10.88.0.0/20");
        assert_string_equal(subnet_format(&six, text), "fd00:1:2::/52");
}

static void test_subnet_refuses_what_is_none(void **state)
{
        (void)state;
        static const char *const wrong[] = { "10.88.0.0", "10.88.0.0/33", "10.88.0.0/", "10.88.0.0/-1",
                                             "/24",       "10.88.0/24",   "fd00::/129", "10.88.0.0/24/3",
                                             "",          "a/8" };
        struct subnet parsed;
        for (size_t i = 0; i < sizeof(wrong) / sizeof(*wrong); i++)
                assert_int_equal(subnet_parse(wrong[i], &parsed), -EINVAL);
}

static void test_hosts_are_numbered_across_bytes(void **state)
{
        (void)state;
        assert_host("10.88.0.0/16", 1, "10.88.0.1");
        assert_host("10.88.0.0/16", 256, "10.88.1.0");
        assert_host("10.88.0.0/16", 65534, "10.88.255.254");
        assert_host("fd00::/64", 0x12345, "fd00::1:2345");
}

static void test_last_host_leaves_out_the_broadcast_address(void **state)
{
        (void)state;
        struct subnet usual = subnet("10.0.0.0/24"), pair = subnet("10.0.0.0/31"), single = subnet("10.0.0.0/32"),
                      six = subnet("fd00::/120"), wide = subnet("::/0");
        assert_int_equal(subnet_last_host(&usual), 254);
        assert_int_equal(subnet_last_host(&pair), 0);
        assert_int_equal(subnet_last_host(&single), 0);
        assert_int_equal(subnet_last_host(&six), 255);
        assert_true(subnet_last_host(&wide) > UINT32_MAX);
}

static void test_subnets_overlap_where_one_contains_the_other(void **state)
{
        (void)state;
        struct subnet wide = subnet("10.0.0.0/8"), inside = subnet("10.88.0.0/16"), beside = subnet("10.89.0.0/16"),
                      six = subnet("fd00::/8");
        assert_true(subnet_overlaps(&wide, &inside));
        assert_true(subnet_overlaps(&inside, &wide));
        assert_false(subnet_overlaps(&inside, &beside));
        assert_false(subnet_overlaps(&wide, &six));
}

static void test_hardware_address_follows_from_the_address(void **state)
{
        (void)state;
        uint8_t mac[6];
        char text[MAC_TEXT];
        struct address four = address("10.88.1.2"), six = address("fd00::a:b");
        address_mac(&four, mac);
        assert_string_equal(mac_format(mac, text), "02:42:0a:58:01:02");
        address_mac(&six, mac);
        assert_string_equal(mac_format(mac, text), "02:42:00:0a:00:0b");
}

static void test_hardware_address_of_a_group_is_refused(void **state)
{
        (void)state;
        uint8_t mac[6];
        assert_int_equal(mac_parse("02:42:0A:58:01:02", mac), 0);
        assert_int_equal(mac[2], 0x0a);
        static const char *const wrong[] = { "01:00:5e:00:00:01",
                                             "00:00:00:00:00:00",
                                             "02:42:0a:58:01",
                                             "02:42:0a:58:01:02:03",
                                             "02-42-0a-58-01-02",
                                             "2:42:0a:58:01:02",
                                             "",
                                             "02:42:0a:58:01:0g" };
        for (size_t i = 0; i < sizeof(wrong) / sizeof(*wrong); i++)
                assert_int_equal(mac_parse(wrong[i], mac), -EINVAL);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_subnet_drops_the_bits_behind_its_prefix),
                cmocka_unit_test(test_subnet_refuses_what_is_none),
                cmocka_unit_test(test_hosts_are_numbered_across_bytes),
                cmocka_unit_test(test_last_host_leaves_out_the_broadcast_address),
                cmocka_unit_test(test_subnets_overlap_where_one_contains_the_other),
                cmocka_unit_test(test_hardware_address_follows_from_the_address),
                cmocka_unit_test(test_hardware_address_of_a_group_is_refused),
        };
        return cmocka_run_group_tests(tests, NULL, NULL);
}
