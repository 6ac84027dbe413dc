/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "image/image_config.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "base/json.h"

#define HEX "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"

/* A configuration with these members of "config". */
static int check(const char *members, struct error *err)
{
        char text[4096];
        snprintf(text, sizeof(text),
                 "{\"architecture\":\"amd64\",\"os\":\"linux\",\"created\":\"2024-01-01T00:00:00.5+01:00\","
                 "\"config\":{%s},\"rootfs\":{\"type\":\"layers\",\"diff_ids\":[\"sha256:" HEX "\"]}}",
                 members);
        _cleanup_json_ json_t *document = NULL;
        assert_int_equal(json_parse(text, strlen(text), "test", &document, NULL), 0);
        return image_config_check(document, "config", NULL, NULL, err);
}

static void test_every_field_that_docker_writes_is_accepted(void **state)
{
        (void)state;
        static const char *const cases[] = {
                "",
                "\"User\":\"\",\"Env\":[\"A=1\",\"B=\"],\"Cmd\":null,\"Entrypoint\":[\"/x\"],\"WorkingDir\":\"/w\"",
                "\"ExposedPorts\":{\"80\":{},\"53/udp\":{},\"8000-8010/tcp\":{}},\"Volumes\":{\"/data\":{}}",
                "\"StopSignal\":\"SIGRTMIN+3\",\"StopTimeout\":10,\"Labels\":{\"a\":\"b\"},\"ArgsEscaped\":true",
                "\"Healthcheck\":{\"Test\":[\"CMD-SHELL\",\"true\"],\"Interval\":30000000000,\"Retries\":3}",
                "\"Healthcheck\":{\"Test\":[\"NONE\"]},\"OnBuild\":[\"RUN x\"],\"Shell\":[\"/bin/bash\",\"-c\"]",
                "\"Hostname\":\"\",\"AttachStdin\":false,\"Image\":\"\",\"Memory\":0,\"MemorySwap\":-1,\"Unknown\":[]",
        };
        for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
                struct error err = { 0 };
                if (check(cases[i], &err) < 0)
                        fail_msg("%s: %s", cases[i], err.text);
        }
}

static void test_a_field_of_a_wrong_type_is_named(void **state)
{
        (void)state;
        static const struct {
                const char *members, *named;
        } cases[] = {
                { "\"User\":1", "config.User" },
                { "\"Env\":[\"=1\"]", "config.Env[0]" },
                { "\"Env\":\"A=1\"", "config.Env" },
                { "\"Cmd\":{}", "config.Cmd" },
                { "\"ExposedPorts\":{\"65536\":{}}", "config.ExposedPorts.65536" },
                { "\"ExposedPorts\":{\"2-1\":{}}", "config.ExposedPorts.2-1" },
                { "\"ExposedPorts\":{\"1/icmp\":{}}", "config.ExposedPorts.1/icmp" },
                { "\"Volumes\":{\"/a\":1}", "config.Volumes./a" },
                { "\"StopSignal\":\"HANGUP\"", "config.StopSignal" },
                { "\"StopTimeout\":-2", "config.StopTimeout" },
                { "\"Healthcheck\":{\"Retries\":-1}", "config.Healthcheck.Retries" },
                { "\"Labels\":[]", "config.Labels" },
        };
        for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
                struct error err = { 0 };
                assert_int_equal(check(cases[i].members, &err), -EINVAL);
                if (!strstr(err.text, cases[i].named))
                        fail_msg("%s: %s", cases[i].members, err.text);
        }
}

static void test_diff_ids_are_given_out(void **state)
{
        (void)state;
        _cleanup_json_ json_t *document =
                json_pack("{s:s, s:s, s:{s:s, s:[s, s]}}", "architecture", "amd64", "os", "linux", "rootfs", "type",
                          "layers", "diff_ids", "sha256:" HEX, "sha256:" HEX);
        _cleanup_free_ struct digest *diff_ids = NULL;
        size_t count = 0;
        assert_int_equal(image_config_check(document, "config", &diff_ids, &count, NULL), 0);
        assert_int_equal(count, 2);
        assert_string_equal(digest_hex(&diff_ids[1]), HEX);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_every_field_that_docker_writes_is_accepted),
                cmocka_unit_test(test_a_field_of_a_wrong_type_is_named),
                cmocka_unit_test(test_diff_ids_are_given_out),
        };
        return cmocka_run_group_tests(tests, NULL, NULL);
}
