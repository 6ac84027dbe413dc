/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/text.h"
#include "runtime_vm/machine_settings.h"

#define MIB (1ULL << 20)

/* A bundle with these members of linux.resources and these annotations. */
static struct config *bundle(const char *resources, const char *annotations)
{
        struct config *config = NULL;
        struct error err = { 0 };
        _cleanup_free_ char *text = text_format(
                "{\"ociVersion\":\"1.0.2\",\"process\":{\"args\":[\"x\"],\"cwd\":\"/\"},\"root\":{\"path\":\"r\"},"
                "\"linux\":{\"namespaces\":[{\"type\":\"mount\"}],\"resources\":{%s}},\"annotations\":{%s}}",
                resources, annotations);
        assert_int_equal(config_parse(text, strlen(text), "/b", CONFIG_ALL, &config, &err), 0);
        return config;
}

static void assert_size(const char *resources, const char *annotations, uint64_t memory, unsigned cpus)
{
        struct machine_settings settings;
        struct error err = { 0 };
        struct config *config = bundle(resources, annotations);
        assert_int_equal(machine_settings_read(config, false, &settings, &err), 0);
        assert_int_equal(settings.memory, memory);
        assert_int_equal(settings.cpus, cpus);
        machine_settings_release(&settings);
        config_free(config);
}

static void assert_refused(const char *resources, const char *annotations, const char *reason)
{
        struct machine_settings settings;
        struct error err = { 0 };
        struct config *config = bundle(resources, annotations);
        assert_int_equal(machine_settings_read(config, false, &settings, &err), -EINVAL);
        assert_non_null(strstr(err.text, reason));
        assert_null(strchr(err.text, '\n'));
        config_free(config);
}

static void test_a_bundle_without_limits_gets_a_machine_of_the_default_size(void **state)
{
        (void)state;
        assert_size("", "", 256 * MIB, 1);
        assert_size("\"memory\":{\"limit\":-1},\"cpu\":{\"quota\":-1}", "", 256 * MIB, 1);
}

static void test_a_machine_is_as_large_as_the_limits_of_its_bundle(void **state)
{
        (void)state;
        assert_size("\"memory\":{\"limit\":134742017}", "", 128 * MIB, 1); /* whole MiB */
        assert_size("\"cpu\":{\"quota\":150000,\"period\":100000}", "", 256 * MIB, 2);
        assert_size("\"cpu\":{\"quota\":50000}", "", 256 * MIB, 1);
        assert_size("\"cpu\":{\"cpus\":\"0-2,7\"}", "", 256 * MIB, 4);
        assert_size("\"cpu\":{\"quota\":9000000000}", "", 256 * MIB, 64);
}

static void test_annotations_say_it_better_than_limits(void **state)
{
        (void)state;
        assert_size("\"memory\":{\"limit\":134217728},\"cpu\":{\"quota\":400000}",
                    "\"org.onggi.vm.memory\":\"201326592\",\"org.onggi.vm.cpus\":\"3\"", 192 * MIB, 3);
}

static void test_what_is_no_machine_is_refused_in_one_line(void **state)
{
        (void)state;
        assert_refused("\"memory\":{\"limit\":33554432}", "", "at least 64 MiB; this one has 32");
        assert_refused("", "\"org.onggi.vm.memory\":\"much\"", "annotation org.onggi.vm.memory is \"much\"");
        assert_refused("", "\"org.onggi.vm.cpus\":\"65\"", "a number from 1 to 64");
        assert_refused("", "\"org.onggi.vm.cpus\":\"0\"", "a number from 1 to 64");
        assert_refused("", "\"org.onggi.vm.engine\":\"steam\"", "\"steam\"");
        setenv(MACHINE_FILES_VARIABLE, "1", 1);
        assert_refused("", "\"org.onggi.vm.image\":\"relative\"", "an absolute path without a comma");
        assert_refused("", "\"org.onggi.vm.image\":\"/a,ro=no\"", "an absolute path without a comma");
        assert_refused("", "\"org.onggi.vm.disk\":\"/disk\"", "needs org.onggi.vm.image");
        unsetenv(MACHINE_FILES_VARIABLE);
}

static void test_an_image_cannot_choose_files_of_the_host_by_its_annotations(void **state)
{
        (void)state;
        struct machine_settings settings;
        struct error err = { 0 };
        struct config *config = bundle("", "\"org.onggi.vm.image\":\"/a\",\"org.onggi.vm.disk\":\"/dev/sda\","
                                           "\"org.onggi.vm.reason\":\"/etc/passwd\"");
        assert_int_equal(machine_settings_read(config, false, &settings, &err), 0);
        assert_null(settings.image);
        assert_null(settings.disk);
        assert_null(settings.reason);
        machine_settings_release(&settings);
        config_free(config);
}

static void test_the_host_keeps_something_for_the_machines_process(void **state)
{
        (void)state;
        assert_true(machine_overhead(0) >= 16 * MIB);
        assert_true(machine_overhead(64ULL << 30) >= (64ULL << 30) / 256); /* two sets of page tables */
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_a_bundle_without_limits_gets_a_machine_of_the_default_size),
                cmocka_unit_test(test_a_machine_is_as_large_as_the_limits_of_its_bundle),
                cmocka_unit_test(test_annotations_say_it_better_than_limits),
                cmocka_unit_test(test_what_is_no_machine_is_refused_in_one_line),
                cmocka_unit_test(test_an_image_cannot_choose_files_of_the_host_by_its_annotations),
                cmocka_unit_test(test_the_host_keeps_something_for_the_machines_process),
        };
        return cmocka_run_group_tests(tests, NULL, NULL);
}
