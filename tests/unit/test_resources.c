/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "container/resources.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/cleanup.h"
#include "base/json.h"
#include "base/text.h"
#include "container/cgroup.h"
#include "container/cgroup_layout.h"

DEFINE_CLEANUP(resources, struct resources, resources_free)

static int parse(const char *text, struct resources **resources, struct error *err)
{
        _cleanup_json_ json_t *value = NULL;
        assert_int_equal(json_parse(text, strlen(text), "config.json", &value, err), 0);
        struct json_reader reader = { .document = "config.json", .err = err };
        struct json_at root = json_root(&reader, value), linux_at = json_get_object(&root, "linux");
        struct json_at at = json_get(&linux_at, "resources");
        return resources_parse(&at, resources, err);
}

/* Each: what is wrong under linux.resources, and what the error must name. */
static const struct {
        const char *text, *names;
} invalid[] = {
        { "7", "linux.resources must be an object" },
        { "{\"devices\":{}}", "linux.resources.devices must be an array" },
        { "{\"devices\":[1]}", "linux.resources.devices[0] must be an object" },
        { "{\"devices\":[{\"access\":\"r\"}]}", "devices[0].allow is required" },
        { "{\"devices\":[{\"allow\":1}]}", "devices[0].allow must be true or false" },
        { "{\"devices\":[{\"allow\":true,\"type\":\"x\"}]}", "devices[0].type is \"x\"" },
        { "{\"devices\":[{\"allow\":true,\"access\":\"rx\"}]}", "devices[0].access is \"rx\"" },
        { "{\"devices\":[{\"allow\":true,\"access\":\"\"}]}", "devices[0].access is \"\"" },
        { "{\"devices\":[{\"allow\":true,\"major\":-2}]}", "devices[0].major is -2" },
        { "{\"devices\":[{\"allow\":true,\"minor\":4294967296}]}", "devices[0].minor is 4294967296" },
        { "{\"memory\":[]}", "linux.resources.memory must be an object" },
        { "{\"memory\":{\"limit\":\"1g\"}}", "memory.limit must be an integer" },
        { "{\"memory\":{\"limit\":-2}}", "memory.limit is -2" },
        { "{\"memory\":{\"reservation\":-2}}", "memory.reservation is -2" },
        { "{\"memory\":{\"kernel\":-2}}", "memory.kernel is -2" },
        { "{\"memory\":{\"kernelTCP\":-2}}", "memory.kernelTCP is -2" },
        { "{\"memory\":{\"swappiness\":101}}", "memory.swappiness is 101" },
        { "{\"memory\":{\"disableOOMKiller\":0}}", "memory.disableOOMKiller must be true or false" },
        { "{\"memory\":{\"useHierarchy\":\"no\"}}", "memory.useHierarchy must be true or false" },
        { "{\"memory\":{\"checkBeforeUpdate\":1}}", "memory.checkBeforeUpdate must be true or false" },
        { "{\"memory\":{\"limit\":200,\"swap\":100}}", "memory.swap is 100, memory and swap together" },
        { "{\"memory\":{\"limit\":-1,\"swap\":100}}", "memory.swap is 100, memory and swap together" },
        { "{\"cpu\":{\"shares\":-1}}", "cpu.shares is -1" },
        { "{\"cpu\":{\"quota\":-2}}", "cpu.quota is -2" },
        { "{\"cpu\":{\"quota\":10}}", "cpu.quota is 10" },
        { "{\"cpu\":{\"period\":10}}", "cpu.period is 10" },
        { "{\"cpu\":{\"period\":1000001}}", "cpu.period is 1000001" },
        { "{\"cpu\":{\"burst\":-1}}", "cpu.burst is -1" },
        { "{\"cpu\":{\"burst\":20000,\"quota\":10000}}", "cpu.burst is 20000" },
        { "{\"cpu\":{\"realtimeRuntime\":1.5}}", "cpu.realtimeRuntime must be an integer" },
        { "{\"cpu\":{\"realtimePeriod\":-1}}", "cpu.realtimePeriod is -1" },
        { "{\"cpu\":{\"idle\":2}}", "cpu.idle is 2" },
        { "{\"cpu\":{\"cpus\":\"3-1\"}}", "cpu.cpus is \"3-1\"" },
        { "{\"cpu\":{\"cpus\":\"1,\"}}", "cpu.cpus is \"1,\"" },
        { "{\"cpu\":{\"cpus\":\"0\\n1\"}}", "cpu.cpus is" },
        { "{\"cpu\":{\"mems\":\"a\"}}", "cpu.mems is \"a\"" },
        { "{\"cpu\":{\"mems\":0}}", "cpu.mems must be a string" },
        { "{\"blockIO\":{\"weight\":9}}", "blockIO.weight is 9" },
        { "{\"blockIO\":{\"weight\":1001}}", "blockIO.weight is 1001" },
        { "{\"blockIO\":{\"leafWeight\":5}}", "blockIO.leafWeight is 5" },
        { "{\"blockIO\":{\"weightDevice\":[{\"major\":8,\"minor\":0}]}}", "weightDevice[0] must have a weight" },
        { "{\"blockIO\":{\"weightDevice\":[{\"minor\":0,\"weight\":10}]}}", "weightDevice[0].major is required" },
        { "{\"blockIO\":{\"weightDevice\":[{\"major\":8,\"minor\":0,\"weight\":3}]}}", "weightDevice[0].weight is 3" },
        { "{\"blockIO\":{\"throttleReadBpsDevice\":[{\"major\":8,\"minor\":0}]}}",
          "throttleReadBpsDevice[0].rate is required" },
        { "{\"blockIO\":{\"throttleWriteBpsDevice\":[{\"major\":8,\"rate\":1}]}}",
          "throttleWriteBpsDevice[0].minor is required" },
        { "{\"blockIO\":{\"throttleReadIOPSDevice\":7}}", "throttleReadIOPSDevice must be an array" },
        { "{\"blockIO\":{\"throttleWriteIOPSDevice\":[{\"major\":8,\"minor\":0,\"rate\":-1}]}}",
          "throttleWriteIOPSDevice[0].rate is -1" },
        { "{\"hugepageLimits\":[{\"limit\":1}]}", "hugepageLimits[0].pageSize is required" },
        { "{\"hugepageLimits\":[{\"pageSize\":\"2MB\"}]}", "hugepageLimits[0].limit is required" },
        { "{\"hugepageLimits\":[{\"pageSize\":\"../x\",\"limit\":1}]}", "hugepageLimits[0].pageSize is \"../x\"" },
        { "{\"network\":{\"classID\":4294967296}}", "network.classID is 4294967296" },
        { "{\"network\":{\"priorities\":[{\"name\":\"eth0\"}]}}", "network.priorities[0].priority is required" },
        { "{\"network\":{\"priorities\":[{\"name\":\"a b\",\"priority\":1}]}}",
          "network.priorities[0].name is \"a b\"" },
        { "{\"pids\":{\"limit\":-2}}", "pids.limit is -2" },
        { "{\"rdma\":{\"mlx5\":{}}}", "rdma.mlx5 must have hcaHandles or hcaObjects" },
        { "{\"rdma\":{\"mlx5\":{\"hcaHandles\":-1}}}", "rdma.mlx5.hcaHandles is -1" },
        { "{\"unified\":{\"memory.high\":7}}", "unified.memory.high must be a string" },
        { "{\"unified\":{\"../memory.high\":\"7\"}}", "unified.../memory.high is not the name of a control file" },
        { "{\"unified\":{\"memory\":\"7\"}}", "unified.memory is not the name of a control file" },
        { "{\"unified\":{\".high\":\"7\"}}", "unified..high is not the name of a control file" },
        { "{\"unified\":{\"cgroup.procs\":\"1\"}}", "unified.cgroup.procs is a file that the runtime itself writes" },
};

static void test_every_invalid_field_is_refused_by_its_name(void **state)
{
        (void)state;
        for (size_t i = 0; i < ARRAY_SIZE(invalid); i++) {
                _cleanup_(resources) struct resources *resources = NULL;
                struct error err = { 0 };
                char text[512];
                snprintf(text, sizeof(text), "{\"linux\":{\"resources\":%s}}", invalid[i].text);
                if (parse(text, &resources, &err) != -EINVAL || !strstr(err.text, invalid[i].names))
                        fail_msg("%s gave \"%s\"", invalid[i].text, err.text);
        }
}

static void test_absent_resources_are_empty(void **state)
{
        (void)state;
        struct error err = { 0 };
        _cleanup_(resources) struct resources *resources = NULL;
        assert_int_equal(parse("{}", &resources, &err), 0);
        assert_false(resources->devices_present);
        assert_false(resources->memory.limit.present);
        assert_int_equal(resources_controllers(resources), 0);
}

static void test_zero_is_a_pids_limit_and_no_memory_limit(void **state)
{
        (void)state;
        struct error err = { 0 };
        _cleanup_(resources) struct resources *resources = NULL;
        assert_int_equal(
                parse("{\"linux\":{\"resources\":{\"pids\":{\"limit\":0},\"memory\":{\"limit\":0,\"swappiness\":0},"
                      "\"cpu\":{\"shares\":0,\"quota\":0,\"cpus\":\"\"}}}}",
                      &resources, &err),
                0);
        assert_true(resources->pids_limit.present);
        assert_int_equal(resources->pids_limit.value, 0);
        assert_true(resources->memory.swappiness.present);
        assert_false(resources->memory.limit.present);
        assert_false(resources->cpu.shares.present);
        assert_false(resources->cpu.quota.present);
        assert_null(resources->cpu.cpus);
}

static void test_device_rules_keep_their_order_and_fill_in_all(void **state)
{
        (void)state;
        struct error err = { 0 };
        _cleanup_(resources) struct resources *resources = NULL;
        assert_int_equal(parse("{\"linux\":{\"resources\":{\"devices\":[{\"allow\":false},"
                               "{\"allow\":true,\"type\":\"c\",\"major\":10,\"minor\":229,\"access\":\"rw\"}]}}}",
                               &resources, &err),
                         0);
        assert_int_equal(resources->device_count, 2);
        assert_int_equal(resources->devices[0].type, 'a');
        assert_int_equal(resources->devices[0].major, DEVICE_ANY);
        assert_int_equal(resources->devices[0].access, DEVICE_ALL);
        assert_int_equal(resources->devices[1].minor, 229);
        assert_int_equal(resources->devices[1].access, DEVICE_READ | DEVICE_WRITE);
}

static void test_limits_name_the_controllers_that_they_need(void **state)
{
        (void)state;
        static const struct {
                const char *text;
                uint32_t controllers;
        } cases[] = {
                { "{\"memory\":{\"limit\":-1,\"disableOOMKiller\":false}}", 0 },
                { "{\"memory\":{\"limit\":4096}}", CONTROLLER_BIT(CONTROLLER_MEMORY) },
                { "{\"pids\":{\"limit\":-1}}", 0 },
                { "{\"pids\":{\"limit\":0}}", CONTROLLER_BIT(CONTROLLER_PIDS) },
                { "{\"cpu\":{\"shares\":2}}", CONTROLLER_BIT(CONTROLLER_CPU) },
                { "{\"cpu\":{\"mems\":\"0\"}}", CONTROLLER_BIT(CONTROLLER_CPUSET) },
                { "{\"blockIO\":{\"throttleReadBpsDevice\":[{\"major\":8,\"minor\":0,\"rate\":1}]}}",
                  CONTROLLER_BIT(CONTROLLER_BLOCK) },
                { "{\"hugepageLimits\":[{\"pageSize\":\"2MB\",\"limit\":0}]}", CONTROLLER_BIT(CONTROLLER_HUGETLB) },
                { "{\"network\":{\"classID\":1}}", CONTROLLER_BIT(CONTROLLER_NET_CLS) },
                { "{\"unified\":{\"io.weight\":\"1\",\"memory.high\":\"1\"}}",
                  CONTROLLER_BIT(CONTROLLER_BLOCK) | CONTROLLER_BIT(CONTROLLER_MEMORY) },
                { "{\"unified\":{\"cgroup.max.depth\":\"1\"}}", 0 },
        };
        for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
                _cleanup_(resources) struct resources *resources = NULL;
                struct error err = { 0 };
                char text[256];
                snprintf(text, sizeof(text), "{\"linux\":{\"resources\":%s}}", cases[i].text);
                assert_int_equal(parse(text, &resources, &err), 0);
                assert_int_equal(resources_controllers(resources), cases[i].controllers);
        }
}

static void test_a_list_without_end_is_refused(void **state)
{
        (void)state;
        _cleanup_text_ struct text text = { 0 };
        text_append(&text, "{\"linux\":{\"resources\":{\"devices\":[{}");
        for (int i = 0; i < 5000; i++)
                text_append(&text, ",{}");
        text_append(&text, "]}}}");
        struct error err = { 0 };
        _cleanup_(resources) struct resources *resources = NULL;
        assert_int_equal(parse(text.data, &resources, &err), -EINVAL);
        assert_non_null(strstr(err.text, "has 5001 entries"));
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_every_invalid_field_is_refused_by_its_name),
                cmocka_unit_test(test_absent_resources_are_empty),
                cmocka_unit_test(test_zero_is_a_pids_limit_and_no_memory_limit),
                cmocka_unit_test(test_device_rules_keep_their_order_and_fill_in_all),
                cmocka_unit_test(test_limits_name_the_controllers_that_they_need),
                cmocka_unit_test(test_a_list_without_end_is_refused),
        };
        return cmocka_run_group_tests(tests, NULL, NULL);
}
