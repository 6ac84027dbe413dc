/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "instance/seccomp_profile.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/json.h"

static json_t *parse(const char *text)
{
        json_error_t error;
        json_t *value = json_loads(text, JSON_ALLOW_NUL | JSON_DECODE_ANY, &error);
        if (!value)
                fail_msg("%s: %s", text, error.text);
        return value;
}

/* On an amd64 of Linux 5.10 with CAP_SYS_TIME and CAP_CHOWN; the caller's. */
static json_t *translated(const char *profile)
{
        _cleanup_json_ json_t *given = parse(profile);
        _cleanup_json_ json_t *capabilities = parse("[\"CAP_CHOWN\", \"CAP_SYS_TIME\"]");
        const struct seccomp_host host = { "amd64", "SCMP_ARCH_X86_64", { 5, 10 }, capabilities };
        struct error err = { 0 };
        json_t *made = NULL;
        if (seccomp_profile_translate(given, "p.json", &host, &made, &err) < 0)
                fail_msg("%s: %s", profile, err.text);
        return made;
}

static void check(const char *profile, const char *expected)
{
        _cleanup_json_ json_t *made = translated(profile);
        _cleanup_json_ json_t *wanted = parse(expected);
        if (!json_equal(made, wanted))
                fail_msg("%s became %s", profile, json_dumps(made, 0));
}

/* Whether a rule with these conditions is in the result. */
static bool applies(const char *conditions)
{
        char profile[512];
        snprintf(profile, sizeof(profile),
                 "{\"defaultAction\": \"SCMP_ACT_ERRNO\", \"syscalls\": [{\"names\": [\"stime\"], "
                 "\"action\": \"SCMP_ACT_ALLOW\", %s}]}",
                 conditions);
        _cleanup_json_ json_t *made = translated(profile);
        return json_array_size(json_object_get(made, "syscalls"));
}

static void test_a_profile_of_the_specification_stays_as_it_is(void **state)
{
        (void)state;
        static const char *const profile =
                "{\"defaultAction\": \"SCMP_ACT_ERRNO\", \"defaultErrnoRet\": 38, "
                "\"architectures\": [\"SCMP_ARCH_X86_64\", \"SCMP_ARCH_X32\"], "
                "\"flags\": [\"SECCOMP_FILTER_FLAG_LOG\"], \"listenerPath\": \"/run/x\", \"listenerMetadata\": \"y\", "
                "\"syscalls\": [{\"names\": [\"a\", \"b\"], \"action\": \"SCMP_ACT_TRACE\", \"errnoRet\": 1, "
                "\"args\": [{\"index\": 1, \"value\": 2, \"valueTwo\": 3, \"op\": \"SCMP_CMP_MASKED_EQ\"}]}]}";
        check(profile, profile);
}

static void test_the_map_gives_the_hosts_architecture_and_its_relatives(void **state)
{
        (void)state;
        check("{\"defaultAction\": \"SCMP_ACT_ALLOW\", \"archMap\": ["
              "{\"architecture\": \"SCMP_ARCH_AARCH64\", \"subArchitectures\": [\"SCMP_ARCH_ARM\"]}, "
              "{\"architecture\": \"SCMP_ARCH_X86_64\", \"subArchitectures\": [\"SCMP_ARCH_X86\"]}]}",
              "{\"defaultAction\": \"SCMP_ACT_ALLOW\", \"architectures\": [\"SCMP_ARCH_X86_64\", \"SCMP_ARCH_X86\"], "
              "\"syscalls\": []}");
        check("{\"defaultAction\": \"SCMP_ACT_ALLOW\", \"archMap\": [{\"architecture\": \"SCMP_ARCH_AARCH64\"}]}",
              "{\"defaultAction\": \"SCMP_ACT_ALLOW\", \"syscalls\": []}");
}

static void test_rules_hold_for_the_capabilities_that_are_there(void **state)
{
        (void)state;
        assert_true(applies("\"includes\": {\"caps\": [\"CAP_SYS_TIME\"]}"));
        assert_true(applies("\"includes\": {\"caps\": [\"CAP_SYS_TIME\", \"CAP_CHOWN\"]}"));
        assert_false(applies("\"includes\": {\"caps\": [\"CAP_SYS_TIME\", \"CAP_SYS_ADMIN\"]}"));
        assert_false(applies("\"excludes\": {\"caps\": [\"CAP_SYS_ADMIN\", \"CAP_CHOWN\"]}"));
        assert_true(applies("\"excludes\": {\"caps\": [\"CAP_SYS_ADMIN\"]}"));
}

static void test_rules_hold_for_the_architecture_and_the_kernel(void **state)
{
        (void)state;
        assert_true(applies("\"includes\": {\"arches\": [\"arm\", \"amd64\"]}"));
        assert_false(applies("\"includes\": {\"arches\": [\"arm\"]}"));
        assert_false(applies("\"excludes\": {\"arches\": [\"amd64\"]}"));
        assert_true(applies("\"includes\": {\"minKernel\": \"5.10\"}"));
        assert_true(applies("\"includes\": {\"minKernel\": \"4.80\"}"));
        assert_false(applies("\"includes\": {\"minKernel\": \"5.11\"}"));
        assert_false(applies("\"excludes\": {\"minKernel\": \"4.8\"}"));
        assert_true(applies("\"excludes\": {\"minKernel\": \"6.0\"}"));
        assert_true(applies("\"includes\": {}, \"excludes\": null, \"args\": null, \"comment\": \"\""));
}

static void test_one_name_and_errors_by_name_are_understood(void **state)
{
        (void)state;
        check("{\"defaultAction\": \"SCMP_ACT_ERRNO\", \"defaultErrno\": \"ENOSYS\", \"syscalls\": [{\"name\": \"a\", "
              "\"action\": \"SCMP_ACT_ERRNO\", \"errnoRet\": 1, \"errno\": \"EOPNOTSUPP\"}]}",
              "{\"defaultAction\": \"SCMP_ACT_ERRNO\", \"defaultErrnoRet\": 38, \"syscalls\": [{\"names\": [\"a\"], "
              "\"action\": \"SCMP_ACT_ERRNO\", \"errnoRet\": 95}]}");
}

#define RULE(rest)                                                                                                          \
        "{\"defaultAction\": \"SCMP_ACT_ALLOW\", \"syscalls\": [{\"names\": [\"a\"], \"action\": \"SCMP_ACT_ALLOW\", " rest \
        "}]}"

static void test_each_misfit_is_named(void **state)
{
        (void)state;
        static const struct {
                const char *profile, *word;
        } wrong[] = {
                { "[]", "must be an object" },
                { "7", "must be an object" },
                { "{}", "defaultAction is required" },
                { "{\"defaultAction\": 1}", "defaultAction must be a string" },
                { "{\"defaultAction\": \"ALLOW\"}", "defaultAction is the unknown \"ALLOW\"" },
                { "{\"defaultAction\": \"SCMP_ACT_ALLOW\", \"syscalls\": {}}", "syscalls must be an array" },
                { "{\"defaultAction\": \"SCMP_ACT_ALLOW\", \"syscalls\": [[]]}", "syscalls[0] must be an object" },
                { "{\"defaultAction\": \"SCMP_ACT_ALLOW\", \"syscalls\": [null]}", "syscalls[0] must be an object" },
                { "{\"defaultAction\": \"SCMP_ACT_ALLOW\", \"syscalls\": [{\"action\": \"SCMP_ACT_ALLOW\"}]}",
                  "syscalls[0] must have names" },
                { "{\"defaultAction\": \"SCMP_ACT_ALLOW\", \"syscalls\": [{\"names\": [\"a\"]}]}",
                  "syscalls[0].action is required" },
                { RULE("\"name\": \"b\""), "syscalls[0] has both name and names" },
                { RULE("\"x\": 0, \"errnoRet\": 4096"), "syscalls[0].errnoRet is 4096" },
                { RULE("\"errno\": \"ENOSUCH\""), "syscalls[0].errno is \"ENOSUCH\"" },
                { RULE("\"args\": [1]"), "syscalls[0].args[0] must be an object" },
                { RULE("\"args\": [{\"op\": \"SCMP_CMP_EQ\"}]"), "syscalls[0].args[0] must have an index" },
                { RULE("\"args\": [{\"index\": 6, \"op\": \"SCMP_CMP_EQ\"}]"), "syscalls[0].args[0].index is 6" },
                { RULE("\"args\": [{\"index\": 0, \"op\": \"=\"}]"), "syscalls[0].args[0].op is the unknown \"=\"" },
                { RULE("\"args\": [{\"index\": 0, \"op\": \"SCMP_CMP_EQ\", \"value\": -1}]"),
                  "syscalls[0].args[0].value is -1" },
                { RULE("\"includes\": []"), "syscalls[0].includes must be an object" },
                { RULE("\"includes\": {\"capabilities\": []}"), "syscalls[0].includes has the unknown condition" },
                { RULE("\"excludes\": {\"caps\": \"CAP_CHOWN\"}"), "syscalls[0].excludes.caps must be an array" },
                { RULE("\"excludes\": {\"arches\": [0]}"), "syscalls[0].excludes.arches[0] must be a string" },
                { RULE("\"includes\": {\"caps\": [\"CAP_CHOWN\\u0000\"]}"), "must not hold a NUL character" },
                { RULE("\"includes\": {\"minKernel\": 5}"), "syscalls[0].includes.minKernel must be a string" },
                { RULE("\"includes\": {\"minKernel\": \"5\"}"), "syscalls[0].includes.minKernel is \"5\"" },
                { RULE("\"includes\": {\"minKernel\": \"5.x\"}"), "syscalls[0].includes.minKernel is \"5.x\"" },
                { RULE("\"includes\": {\"minKernel\": \"00000000000000005.1\"}"), "minKernel" },
                { "{\"defaultAction\": \"SCMP_ACT_ALLOW\", \"archMap\": [0]}", "archMap[0] must be an object" },
                { "{\"defaultAction\": \"SCMP_ACT_ALLOW\", \"archMap\": [{}]}", "archMap[0].architecture is required" },
                { "{\"defaultAction\": \"SCMP_ACT_ALLOW\", \"archMap\": [{\"architecture\": \"x\", "
                  "\"subArchitectures\": [1]}]}",
                  "archMap[0].subArchitectures[0] must be a string" },
                { "{\"defaultAction\": \"SCMP_ACT_ALLOW\", \"architectures\": [\"SCMP_ARCH_X86\"], "
                  "\"archMap\": [{\"architecture\": \"SCMP_ARCH_X86\"}]}",
                  "has both architectures and archMap" },
        };
        const struct seccomp_host host = seccomp_host_here(NULL);
        for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
                _cleanup_json_ json_t *profile = parse(wrong[i].profile);
                struct error err = { 0 };
                json_t *made = NULL;
                assert_int_equal(seccomp_profile_translate(profile, "p.json", &host, &made, &err), -EINVAL);
                assert_null(made);
                if (!strstr(err.text, wrong[i].word) || strncmp(err.text, "p.json: ", 8) != 0)
                        fail_msg("%s: %s", wrong[i].profile, err.text);
        }
}

static void test_this_host_is_known(void **state)
{
        (void)state;
        const struct seccomp_host host = seccomp_host_here(NULL);
        assert_int_equal(strncmp(host.token, "SCMP_ARCH_", 10), 0);
        assert_true(host.kernel[0] >= 4);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_a_profile_of_the_specification_stays_as_it_is),
                cmocka_unit_test(test_the_map_gives_the_hosts_architecture_and_its_relatives),
                cmocka_unit_test(test_rules_hold_for_the_capabilities_that_are_there),
                cmocka_unit_test(test_rules_hold_for_the_architecture_and_the_kernel),
                cmocka_unit_test(test_one_name_and_errors_by_name_are_understood),
                cmocka_unit_test(test_each_misfit_is_named),
                cmocka_unit_test(test_this_host_is_known),
        };
        return cmocka_run_group_tests(tests, NULL, NULL);
}
