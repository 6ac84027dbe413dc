/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/json.h"
#include "base/text.h"
#include "instance/settings.h"
#include "instance/vessel_private.h"

static int read_settings(const char *text, struct instance_settings *settings, struct error *err)
{
        _cleanup_json_ json_t *object = json_loads(text, 0, NULL);
        assert_non_null(object);
        return instance_settings_read(object, settings, err);
}

static void test_a_vessel_is_found_by_name_and_the_first_is_the_default(void **state)
{
        (void)state;
        assert_ptr_equal(vessel_find(NULL), &vessel_container);
        assert_ptr_equal(vessel_find("container"), &vessel_container);
        assert_ptr_equal(vessel_find("vm"), &vessel_vm);
        assert_null(vessel_find("jar"));
        assert_null(vessel_find(""));
}

static void test_what_shares_the_hosts_kernel_is_refused_for_a_virtual_machine(void **state)
{
        (void)state;
        static const struct {
                const char *setting, *word;
        } refused[] = {
                { "\"pid_mode\": \"host\"", "--pid" },
                { "\"pid_mode\": \"container:web\"", "--pid" },
                { "\"ipc_mode\": \"shareable\"", "--ipc" },
                { "\"uts_mode\": \"host\"", "--uts" },
                { "\"cgroupns\": \"host\"", "--cgroupns" },
                { "\"userns\": \"auto\"", "--userns" },
                { "\"devices\": [\"/dev/null\"]", "--device" },
                { "\"device_rules\": [\"c 1:3 rwm\"]", "--device-cgroup-rule" },
                { "\"networks\": [\"host\"]", "--network host" },
                { "\"networks\": [\"container:web\"]", "--network container" },
                { "\"memory\": 33554432", "64 MiB" },
                { "\"memory\": -1", "--memory -1" },
                { "\"cpu_quota\": 6500000", "64 processors" },
        };
        for (size_t i = 0; i < ARRAY_SIZE(refused); i++) {
                _cleanup_free_ char *vm = text_format("{\"isolation\": \"vm\", %s}", refused[i].setting);
                struct instance_settings settings;
                struct error err = { 0 };
                assert_true(read_settings(vm, &settings, &err) < 0);
                assert_non_null(strstr(err.text, refused[i].word));
        }
}

static void test_the_same_is_allowed_where_it_means_nothing_of_the_host(void **state)
{
        (void)state;
        struct instance_settings settings;
        assert_int_equal(read_settings("{\"isolation\": \"vm\", \"pid_mode\": \"private\", \"ipc_mode\": \"private\","
                                       " \"userns\": \"host\", \"networks\": [\"none\"], \"privileged\": true}",
                                       &settings, NULL),
                         0);
        instance_settings_free(&settings);
}

static void test_a_kernel_and_an_engine_are_refused_for_a_container(void **state)
{
        (void)state;
        static const char *const texts[] = { "{\"kernel\": \"6.1\"}", "{\"engine\": \"kvm\"}" };
        for (size_t i = 0; i < ARRAY_SIZE(texts); i++) {
                struct instance_settings settings;
                struct error err = { 0 };
                assert_true(read_settings(texts[i], &settings, &err) < 0);
                assert_non_null(strstr(err.text, "--isolation vm"));
        }
}

static void test_a_machine_is_as_large_as_its_limits_say(void **state)
{
        (void)state;
        static const struct {
                const char *limits;
                uint64_t mib;
                unsigned processors;
        } sizes[] = {
                { "", 512, 1 },
                { ", \"memory\": 134217728, \"cpus\": \"2\"", 128, 2 },
                { ", \"cpus\": \"0.5\"", 512, 1 },
                { ", \"cpus\": \"1.01\"", 512, 2 },
                { ", \"cpu_quota\": 150000", 512, 2 },
                { ", \"cpu_quota\": 150000, \"cpu_period\": 50000", 512, 3 },
                { ", \"memory\": 134217729", 130, 1 }, /* the host's large pages are not split */
        };
        for (size_t i = 0; i < ARRAY_SIZE(sizes); i++) {
                _cleanup_free_ char *text = text_format("{\"isolation\": \"vm\"%s}", sizes[i].limits);
                struct instance_settings settings;
                assert_int_equal(read_settings(text, &settings, NULL), 0);
                assert_int_equal(vm_memory(&settings), sizes[i].mib * 1024 * 1024);
                assert_int_equal(vm_processors(&settings), sizes[i].processors);
                instance_settings_free(&settings);
        }
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_a_vessel_is_found_by_name_and_the_first_is_the_default),
                cmocka_unit_test(test_what_shares_the_hosts_kernel_is_refused_for_a_virtual_machine),
                cmocka_unit_test(test_the_same_is_allowed_where_it_means_nothing_of_the_host),
                cmocka_unit_test(test_a_kernel_and_an_engine_are_refused_for_a_container),
                cmocka_unit_test(test_a_machine_is_as_large_as_its_limits_say),
        };
        return cmocka_run_group_tests(tests, NULL, NULL);
}
