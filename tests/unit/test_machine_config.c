/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "guest/machine_config.h"

#define ROOT "\"version\": 1, \"root\": {\"disk\": \"image\"}"

static void assert_refused(const char *text, const char *reason)
{
        struct machine_config *config = NULL;
        struct error err = { 0 };
        assert_int_equal(machine_config_parse(text, strlen(text), &config, &err), -EINVAL);
        assert_null(config);
        if (!strstr(err.text, reason))
                fail_msg("\"%s\" does not say \"%s\"", err.text, reason);
}

static struct machine_config *parse(const char *text)
{
        struct machine_config *config = NULL;
        struct error err = { 0 };
        if (machine_config_parse(text, strlen(text), &config, &err) < 0)
                fail_msg("%s", err.text);
        return config;
}

static void test_the_least_is_a_version_and_a_root(void **state)
{
        (void)state;
        struct machine_config *config = parse("{" ROOT "}");
        assert_string_equal(config->root_disk, "image");
        assert_true(config->start);
        assert_int_equal(config->control, 0);
        machine_config_free(config);
}

static void test_everything_is_where_it_belongs(void **state)
{
        (void)state;
        struct machine_config *config = parse(
                "{\"version\": 1, \"root\": {\"folder\": \"r\"}, \"writable\": {\"memory\": 4096},"
                " \"folders\": [{\"tag\": \"v0\"}, {\"tag\": \"v1\", \"read_only\": true}],"
                " \"files\": [{\"name\": \"hosts\", \"text\": \"x\\n\", \"mode\": 384}],"
                " \"interfaces\": [{\"name\": \"eth0\", \"mac\": \"02:00:00:00:00:01\", \"mtu\": 1400,"
                "   \"addresses\": [\"10.0.0.2/24\", \"fd00::2/64\"]}],"
                " \"routes\": [{\"to\": \"default\", \"via\": \"fd00::1\", \"interface\": \"eth0\"},"
                "   {\"to\": \"10.1.0.0/16\", \"interface\": \"eth0\"}],"
                " \"hostname\": \"web\", \"streams\": {\"terminal\": 1028}, \"control\": 1024, \"start\": false}");
        assert_string_equal(config->root_folder, "r");
        assert_int_equal(config->writable_memory, 4096);
        assert_true(!config->folders[0].read_only && config->folders[1].read_only);
        assert_int_equal(config->files[0].mode, 0600);
        assert_int_equal(config->interfaces[0].address_count, 2);
        assert_int_equal(config->interfaces[0].addresses[1].prefix, 64);
        assert_int_equal(config->routes[0].to.base.family, AF_INET6);
        assert_int_equal(config->routes[1].to.prefix, 16);
        assert_int_equal(config->routes[1].via.family, 0);
        assert_true(config->terminal == 1028 && config->control == 1024 && !config->start);
        machine_config_free(config);
}

static void test_what_makes_no_sense_is_refused_with_its_place(void **state)
{
        (void)state;
        assert_refused("{\"root\": {\"disk\": \"image\"}}", "needs a member version");
        assert_refused("{\"version\": 2, \"root\": {\"disk\": \"image\"}}", "version");
        assert_refused("{\"version\": 1}", "needs a member root");
        assert_refused("{\"version\": 1, \"root\": {}}", "root needs either a disk or a folder");
        assert_refused("{\"version\": 1, \"root\": {\"disk\": \"a\", \"folder\": \"b\"}}", "either a disk or a folder");
        assert_refused("{" ROOT ", \"colour\": 1}", "colour is not known");
        assert_refused("{" ROOT ", \"folders\": [{\"tag\": \"../x\"}]}", "folders[0].tag must be a name");
        assert_refused("{" ROOT ", \"files\": [{\"name\": \"..\", \"text\": \"\"}]}", "files[0].name must be a name");
        assert_refused("{" ROOT ", \"interfaces\": [{\"name\": \"eth0\", \"mac\": \"x\"}]}", "mac");
        assert_refused("{" ROOT ", \"interfaces\": [{\"name\": \"a-name-of-16-let\", \"mac\": \"02:00:00:00:00:01\"}]}",
                       "name");
        assert_refused("{" ROOT ", \"interfaces\": [{\"name\": \"e\", \"mac\": \"02:00:00:00:00:01\", \"addresses\": "
                       "[\"10.0.0.1/33\"]}]}",
                       "addresses[0] must be an address");
        assert_refused("{" ROOT ", \"routes\": [{\"to\": \"10.0.0.0/8\", \"via\": \"fd00::1\", \"interface\": \"e\"}]}",
                       "same family");
        assert_refused("{" ROOT ", \"streams\": {\"terminal\": 1, \"input\": 2}}", "a terminal or other streams");
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_the_least_is_a_version_and_a_root),
                cmocka_unit_test(test_everything_is_where_it_belongs),
                cmocka_unit_test(test_what_makes_no_sense_is_refused_with_its_place),
        };
        return cmocka_run_group_tests(tests, NULL, NULL);
}
