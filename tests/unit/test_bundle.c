/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/json.h"
#include "guest/bundle.h"

static json_t *adapt(const char *text, json_t **sysctls)
{
        json_t *config = json_loads(text, 0, NULL);
        struct error err = { 0 };
        if (bundle_adapt(config, "/the/root", sysctls, &err) < 0)
                fail_msg("%s", err.text);
        return config;
}

static void test_what_is_the_hosts_goes_and_what_is_the_programs_stays(void **state)
{
        (void)state;
        _cleanup_json_ json_t *sysctls = NULL;
        _cleanup_json_ json_t *config =
                adapt("{\"hooks\": {}, \"root\": {\"path\": \"x\", \"readonly\": true},"
                      " \"process\": {\"apparmorProfile\": \"a\", \"capabilities\": {}, \"rlimits\": []},"
                      " \"mounts\": [{\"destination\": \"/a\", \"uidMappings\": []}],"
                      " \"linux\": {\"cgroupsPath\": \"/x\", \"seccomp\": {}, \"maskedPaths\": [],"
                      "  \"uidMappings\": [], \"resources\": {\"memory\": {}, \"cpu\": {}, \"pids\": {\"limit\": 5}}}}",
                      &sysctls);
        json_t *linux_object = json_object_get(config, "linux"), *process = json_object_get(config, "process");
        json_t *resources = json_object_get(linux_object, "resources");
        assert_null(json_object_get(config, "hooks"));
        assert_string_equal(json_string_value(json_object_get(json_object_get(config, "root"), "path")), "/the/root");
        assert_true(json_is_true(json_object_get(json_object_get(config, "root"), "readonly")));
        assert_null(json_object_get(process, "apparmorProfile"));
        assert_non_null(json_object_get(process, "capabilities"));
        assert_non_null(json_object_get(process, "rlimits"));
        assert_null(json_object_get(json_array_get(json_object_get(config, "mounts"), 0), "uidMappings"));
        assert_null(json_object_get(linux_object, "cgroupsPath"));
        assert_non_null(json_object_get(linux_object, "seccomp"));
        assert_non_null(json_object_get(linux_object, "maskedPaths"));
        assert_null(json_object_get(resources, "memory"));
        assert_non_null(json_object_get(resources, "pids"));
}

static void test_namespaces_are_the_machines_own(void **state)
{
        (void)state;
        _cleanup_json_ json_t *sysctls = NULL;
        _cleanup_json_ json_t *config = adapt(
                "{\"linux\": {\"namespaces\": [{\"type\": \"network\", \"path\": \"/x\"}, {\"type\": \"user\"}]}}",
                &sysctls);
        json_t *namespaces = json_object_get(json_object_get(config, "linux"), "namespaces"), *namespace;
        size_t i;
        assert_int_equal(json_array_size(namespaces), 5);
        json_array_foreach(namespaces, i, namespace) {
                assert_null(json_object_get(namespace, "path"));
                assert_string_not_equal(json_string_value(json_object_get(namespace, "type")), "network");
                assert_string_not_equal(json_string_value(json_object_get(namespace, "type")), "user");
        }
}

static void test_parameters_of_the_network_are_set_by_the_machine(void **state)
{
        (void)state;
        _cleanup_json_ json_t *sysctls = NULL;
        _cleanup_json_ json_t *config =
                adapt("{\"linux\": {\"sysctl\": {\"net.ipv4.ip_forward\": \"1\", \"kernel.shmmax\": \"2\"}}}",
                      &sysctls);
        json_t *left = json_object_get(json_object_get(config, "linux"), "sysctl");
        assert_int_equal(json_object_size(sysctls), 1);
        assert_non_null(json_object_get(sysctls, "net.ipv4.ip_forward"));
        assert_int_equal(json_object_size(left), 1);
        assert_non_null(json_object_get(left, "kernel.shmmax"));
}

static void test_what_is_no_configuration_is_refused(void **state)
{
        (void)state;
        _cleanup_json_ json_t *list = json_array();
        _cleanup_json_ json_t *odd = json_pack("{s:s}", "linux", "text");
        json_t *sysctls = NULL;
        assert_int_equal(bundle_adapt(list, "/", &sysctls, NULL), -EINVAL);
        assert_int_equal(bundle_adapt(odd, "/", &sysctls, NULL), -EINVAL);
        assert_null(sysctls);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_what_is_the_hosts_goes_and_what_is_the_programs_stays),
                cmocka_unit_test(test_namespaces_are_the_machines_own),
                cmocka_unit_test(test_parameters_of_the_network_are_set_by_the_machine),
                cmocka_unit_test(test_what_is_no_configuration_is_refused),
        };
        return cmocka_run_group_tests(tests, NULL, NULL);
}
