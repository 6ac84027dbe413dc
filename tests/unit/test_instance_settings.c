/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/json.h"
#include "base/text.h"
#include "instance/setting_text.h"
#include "instance/settings.h"
#include "instance/spec.h"

static json_t *parse(const char *text)
{
        json_error_t error;
        json_t *value = json_loads(text, 0, &error);
        assert_non_null(value);
        return value;
}

static void test_settings_survive_being_written_and_read(void **state)
{
        (void)state;
        _cleanup_json_ json_t *object = parse(
                "{\"image\": \"a\", \"command\": [\"x\", \"y z\"], \"tty\": true, \"memory\": 67108864, \"memory_swap\": -1,"
                " \"cpus\": \"1.5\", \"stop_timeout\": 3, \"environment\": [\"A=1\"], \"health_interval\": 1000000000}");
        struct instance_settings settings;
        assert_int_equal(instance_settings_read(object, &settings, NULL), 0);
        assert_string_equal(settings.command[1], "y z");
        assert_true(settings.memory_swap == UINT64_MAX);
        _cleanup_json_ json_t *written = instance_settings_write(&settings);
        assert_true(json_equal(object, written));
        instance_settings_free(&settings);
}

static void test_strangers_settings_are_refused_with_the_field(void **state)
{
        (void)state;
        static const struct {
                const char *text, *word;
        } wrong[] = {
                { "{\"tty\": 1}", "tty" },
                { "{\"command\": \"x\"}", "command" },
                { "{\"command\": [1]}", "command" },
                { "{\"memory\": \"1g\"}", "memory" },
                { "{\"memory\": -2}", "memory" },
                { "{\"colour\": true}", "colour" },
                { "{\"restart\": \"maybe\"}", "--restart" },
                { "{\"user\": \"a\\u0000b\"}", "user" },
        };
        for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
                json_error_t parse_error;
                json_t *object = json_loads(wrong[i].text, JSON_ALLOW_NUL, &parse_error);
                struct instance_settings settings;
                struct error err;
                assert_int_equal(instance_settings_read(object, &settings, &err), -EINVAL);
                assert_non_null(strstr(err.text, wrong[i].word));
                json_decref(object);
        }
}

static void refuse(struct instance_settings settings, const char *word)
{
        struct error err = { 0 };
        assert_int_equal(instance_settings_check(&settings, &err), -EINVAL);
        if (!strstr(err.text, word))
                fail_msg("\"%s\" does not name %s", err.text, word);
}

static void test_each_option_is_checked_by_its_name(void **state)
{
        (void)state;
#define WITH(...) ((struct instance_settings){ .stop_timeout = -1, .memory_swappiness = -1, __VA_ARGS__ })
#define LIST(...) ((char *[]){ __VA_ARGS__, NULL })
        refuse(WITH(.workdir = "relative"), "--workdir");
        refuse(WITH(.stop_signal = "SIGNOTHING"), "--stop-signal");
        refuse(WITH(.name = "-x"), "--name");
        refuse(WITH(.name = "x"), "--name");
        refuse(WITH(.hostname = "a b"), "--hostname");
        refuse(WITH(.remove = true, .restart = "always"), "--rm");
        refuse(WITH(.memory = 10), "--memory");
        refuse(WITH(.memory_swap = 1 << 20), "--memory-swap");
        refuse(WITH(.memory = 1 << 20, .memory_reservation = 1 << 21), "--memory-reservation");
        refuse(WITH(.cpus = "two"), "--cpus");
        refuse(WITH(.cpus = "0"), "--cpus");
        refuse(WITH(.cpus = "1", .cpu_quota = 5000), "--cpus");
        refuse(WITH(.cpu_shares = 1), "--cpu-shares");
        refuse(WITH(.cpuset_cpus = "a"), "--cpuset");
        refuse(WITH(.pids_limit = -2), "--pids-limit");
        refuse(WITH(.oom_score_adj = 1001), "--oom-score-adj");
        refuse(WITH(.ulimits = LIST("nofile=5:4")), "--ulimit");
        refuse(WITH(.ulimits = LIST("files=5")), "--ulimit");
        refuse(WITH(.devices = LIST("sda")), "--device");
        refuse(WITH(.device_rules = LIST("x 1:2 rwm")), "--device-cgroup-rule");
        refuse(WITH(.device_read_bps = LIST("/dev/sda:fast")), "--device-read-bps");
        refuse(WITH(.security_options = LIST("magic")), "--security-opt");
        refuse(WITH(.sysctls = LIST("net.core")), "--sysctl");
        refuse(WITH(.userns = "0:1"), "--userns");
        refuse(WITH(.pid_mode = "other"), "--pid");
        refuse(WITH(.ipc_mode = "container:"), "--ipc");
        refuse(WITH(.networks = LIST("none", "web")), "--network");
        refuse(WITH(.networks = LIST("web:colour=red")), "--network");
        refuse(WITH(.extra_hosts = LIST("name")), "--add-host");
        refuse(WITH(.log_driver = "syslog"), "--log-driver");
        refuse(WITH(.log_options = LIST("max-file=0")), "--log-opt");
        refuse(WITH(.volumes = LIST("a:b")), "a:b");
        refuse(WITH(.volumes = LIST("a:/b:colour")), "colour");
        refuse(WITH(.volumes = LIST("a:/b", "c:/b")), "/b");
        refuse(WITH(.volumes = LIST("a:/")), "root");
        refuse(WITH(.mounts = LIST("type=bind,source=x,target=/x")), "source");
        refuse(WITH(.mounts = LIST("type=magic,target=/x")), "type");
        refuse(WITH(.tmpfs = LIST("x")), "absolute");
        refuse(WITH(.health_command = "x", .no_healthcheck = true), "--no-healthcheck");
}

static void test_an_image_fills_in_what_the_user_left_out(void **state)
{
        (void)state;
        _cleanup_json_ json_t *image = parse(
                "{\"config\": {\"Cmd\": [\"serve\"], \"Entrypoint\": [\"/app\"], \"Env\": [\"A=image\", \"B=image\"], \"User\": \"web\","
                " \"WorkingDir\": \"/srv\", \"Labels\": {\"l\": \"1\"}, \"ExposedPorts\": {\"80/tcp\": {}}, \"StopSignal\": \"SIGQUIT\","
                " \"Volumes\": {\"/data\": {}}, \"Healthcheck\": {\"Test\": [\"CMD\", \"true\"], \"Retries\": 5}}}");
        struct instance_settings settings = instance_settings_default();
        assert_int_equal(list_append(&settings.environment, "B=user"), 0);
        assert_int_equal(list_append(&settings.volumes, "mine:/data"), 0);
        assert_int_equal(instance_settings_merge_image(&settings, image, NULL), 0);
        assert_string_equal(settings.entrypoint[0], "/app");
        assert_string_equal(settings.command[0], "serve");
        assert_string_equal(settings.user, "web");
        assert_string_equal(settings.workdir, "/srv");
        assert_string_equal(settings.stop_signal, "SIGQUIT");
        assert_string_equal(settings.environment[0], "A=image");
        assert_string_equal(settings.environment[1], "B=user");
        assert_null(settings.environment[2]);
        assert_string_equal(settings.expose[0], "80/tcp");
        assert_string_equal(settings.labels[0], "l=1");
        assert_int_equal(list_length(settings.volumes), 1);
        assert_int_equal(settings.health_retries, 5);
        assert_string_equal(settings.health_test[1], "true");
        instance_settings_free(&settings);
}

static void test_an_entry_point_of_the_users_takes_the_images_command_away(void **state)
{
        (void)state;
        _cleanup_json_ json_t *image = parse("{\"config\": {\"Cmd\": [\"serve\"], \"Entrypoint\": [\"/app\"]}}");
        struct instance_settings settings = instance_settings_default();
        assert_int_equal(list_append(&settings.entrypoint, "/bin/sh"), 0);
        assert_int_equal(instance_settings_merge_image(&settings, image, NULL), 0);
        assert_null(settings.command);
        _cleanup_free_ char **arguments = spec_arguments(&settings);
        assert_string_equal(arguments[0], "/bin/sh");
        assert_null(arguments[1]);
        instance_settings_free(&settings);
}

static json_t *build(const struct instance_settings *settings)
{
        static const struct identity root = { .home = "/root" };
        const struct spec_input input = { .id = "abc",
                                          .settings = settings,
                                          .identity = &root,
                                          .root = "/rootfs",
                                          .hostname = "host",
                                          .network_namespace = "" };
        json_t *spec = NULL;
        struct error err = { 0 };
        if (spec_build(&input, &spec, &err) < 0)
                fail_msg("%s", err.text);
        return spec;
}

static json_t *at(json_t *object, const char *path)
{
        char copy[128], *rest = copy, *key;
        snprintf(copy, sizeof(copy), "%s", path);
        while ((key = strsep(&rest, ".")))
                object = json_object_get(object, key);
        return object;
}

static bool has(const json_t *array, const char *text)
{
        size_t i;
        json_t *item;
        json_array_foreach((json_t *)array, i, item)
                if (text_equal(json_string_value(item), text))
                        return true;
        return false;
}

static void test_the_default_container_is_confined(void **state)
{
        (void)state;
        struct instance_settings settings = WITH(.command = LIST("true"));
        _cleanup_json_ json_t *spec = build(&settings);
        assert_true(has(at(spec, "linux.maskedPaths"), "/proc/kcore"));
        assert_true(has(at(spec, "linux.readonlyPaths"), "/proc/sys"));
        assert_int_equal(json_array_size(at(spec, "process.capabilities.bounding")), 14);
        assert_false(has(at(spec, "process.capabilities.bounding"), "CAP_SYS_ADMIN"));
        assert_string_equal(json_string_value(at(spec, "linux.seccomp.defaultAction")), "SCMP_ACT_ERRNO");
        assert_int_equal(json_array_size(at(spec, "linux.namespaces")), 6);
        assert_true(has(at(spec, "process.env"), "HOME=/root"));
}

static void test_limits_become_resources(void **state)
{
        (void)state;
        struct instance_settings settings = WITH(.command = LIST("true"), .memory = 64 << 20, .memory_swap = UINT64_MAX,
                                                 .cpus = "1.5", .cpu_shares = 512, .cpuset_cpus = "0", .pids_limit = 7);
        _cleanup_json_ json_t *spec = build(&settings);
        assert_int_equal(json_integer_value(at(spec, "linux.resources.memory.limit")), 64 << 20);
        assert_int_equal(json_integer_value(at(spec, "linux.resources.memory.swap")), -1);
        assert_int_equal(json_integer_value(at(spec, "linux.resources.cpu.quota")), 150000);
        assert_int_equal(json_integer_value(at(spec, "linux.resources.cpu.period")), 100000);
        assert_int_equal(json_integer_value(at(spec, "linux.resources.pids.limit")), 7);
}

static void test_capabilities_are_added_and_dropped_in_dockers_order(void **state)
{
        (void)state;
        struct instance_settings one =
                WITH(.command = LIST("true"), .cap_drop = LIST("all"), .cap_add = LIST("net_admin"));
        _cleanup_json_ json_t *spec = build(&one);
        assert_int_equal(json_array_size(at(spec, "process.capabilities.bounding")), 1);
        assert_true(has(at(spec, "process.capabilities.bounding"), "CAP_NET_ADMIN"));

        struct instance_settings most =
                WITH(.command = LIST("true"), .cap_add = LIST("ALL"), .cap_drop = LIST("CAP_SYS_ADMIN"));
        _cleanup_json_ json_t *other = build(&most);
        assert_true(has(at(other, "process.capabilities.bounding"), "CAP_SYS_PTRACE"));
        assert_false(has(at(other, "process.capabilities.bounding"), "CAP_SYS_ADMIN"));
}

static void test_privileged_takes_the_confinement_away(void **state)
{
        (void)state;
        struct instance_settings settings = WITH(.command = LIST("true"), .privileged = true);
        _cleanup_json_ json_t *spec = build(&settings);
        assert_null(at(spec, "linux.maskedPaths"));
        assert_null(at(spec, "linux.seccomp"));
        assert_true(json_is_true(json_object_get(json_array_get(at(spec, "linux.resources.devices"), 0), "allow")));
        assert_true(has(at(spec, "process.capabilities.effective"), "CAP_SYS_ADMIN"));
}

static void test_an_unlimited_ulimit_is_minus_one(void **state)
{
        (void)state;
        struct instance_settings settings = WITH(.command = LIST("true"), .ulimits = LIST("core=0:unlimited"));
        _cleanup_json_ json_t *spec = build(&settings);
        json_t *limit = json_array_get(at(spec, "process.rlimits"), 0);
        assert_string_equal(json_string_value(json_object_get(limit, "type")), "RLIMIT_CORE");
        assert_int_equal(json_integer_value(json_object_get(limit, "soft")), 0);
        assert_int_equal(json_integer_value(json_object_get(limit, "hard")), -1);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_settings_survive_being_written_and_read),
                cmocka_unit_test(test_strangers_settings_are_refused_with_the_field),
                cmocka_unit_test(test_each_option_is_checked_by_its_name),
                cmocka_unit_test(test_an_image_fills_in_what_the_user_left_out),
                cmocka_unit_test(test_an_entry_point_of_the_users_takes_the_images_command_away),
                cmocka_unit_test(test_the_default_container_is_confined),
                cmocka_unit_test(test_limits_become_resources),
                cmocka_unit_test(test_capabilities_are_added_and_dropped_in_dockers_order),
                cmocka_unit_test(test_privileged_takes_the_confinement_away),
                cmocka_unit_test(test_an_unlimited_ulimit_is_minus_one),
        };
        return cmocka_run_group_tests(tests, NULL, NULL);
}
