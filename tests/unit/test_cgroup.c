/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Control groups in a folder that looks like the mounts of a v1, v2 or hybrid host: what is written where. */
#include "container/cgroup.h"

#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/file.h"
#include "base/text.h"
#include "container/cgroup_limits.h"
#include "container/cgroup_tree.h"

struct host {
        char root[64];
        char mounts[2048];
        struct cgroup *cgroup;
        struct resources *resources;
        struct error err;
};

static int set_up(void **state)
{
        struct host *host = calloc(1, sizeof(*host));
        assert_non_null(host);
        TEXT_COPY(host->root, "/tmp/onggi-cgroup-XXXXXX");
        assert_non_null(mkdtemp(host->root));
        *state = host;
        return 0;
}

static int tear_down(void **state)
{
        struct host *host = *state;
        cgroup_free(host->cgroup);
        resources_free(host->resources);
        assert_int_equal(tree_remove(AT_FDCWD, host->root, NULL), 0);
        free(host);
        return 0;
}

/* Mounts the folder <root>/<name> as a hierarchy. */
static void mount_hierarchy(struct host *host, const char *name, const char *type, const char *options)
{
        size_t used = strlen(host->mounts);
        snprintf(host->mounts + used, sizeof(host->mounts) - used, "1 1 0:1 / %s/%s rw - %s none rw,%s\n", host->root,
                 name, type, options);
        char path[256];
        snprintf(path, sizeof(path), "%s/%s", host->root, name);
        int fd = directory_make(path, 0755, NULL);
        assert_true(fd >= 0);
        close(fd);
}

static void put(struct host *host, const char *file, const char *value)
{
        char path[256];
        snprintf(path, sizeof(path), "%s/%s", host->root, file);
        char *slash = strrchr(path, '/');
        *slash = 0;
        int folder = directory_make(path, 0755, NULL);
        assert_true(folder >= 0);
        assert_int_equal(file_replace_volatile(folder, slash + 1, value, strlen(value), 0644, NULL), 0);
        close(folder);
}

/* Empty control files in a folder, as the kernel would make them. */
static void put_files(struct host *host, const char *folder, const char *files)
{
        char copy[1024], path[256], *rest = NULL;
        snprintf(copy, sizeof(copy), "%s", files);
        for (char *file = strtok_r(copy, " ", &rest); file; file = strtok_r(NULL, " ", &rest)) {
                snprintf(path, sizeof(path), "%s/%s", folder, file);
                put(host, path, "");
        }
}

static void assert_file(struct host *host, const char *file, const char *value)
{
        char path[256];
        snprintf(path, sizeof(path), "%s/%s", host->root, file);
        char *text = NULL;
        assert_int_equal(file_read(AT_FDCWD, path, 4096, &text, NULL, NULL), 0);
        if (strcmp(text, value))
                fail_msg("%s holds \"%s\", not \"%s\"", file, text, value);
        free(text);
}

static int create(struct host *host, const char *resources, bool rootless)
{
        json_t *value = NULL;
        assert_int_equal(json_parse(resources, strlen(resources), "test", &value, &host->err), 0);
        struct json_reader reader = { .document = "test", .err = &host->err };
        struct json_at at = json_root(&reader, value);
        resources_free(host->resources);
        host->resources = NULL;
        assert_int_equal(resources_parse(&at, &host->resources, &host->err), 0);
        json_decref(value);

        struct cgroup_layout layout;
        assert_int_equal(cgroup_layout_parse(host->mounts, NULL, &layout, &host->err), 0);
        struct cgroup_place place = { .below = "/onggi/id", .rootless = rootless };
        int r = cgroup_create_in(&layout, &place, host->resources, &host->cgroup, &host->err);
        cgroup_layout_free(&layout);
        return r;
}

/* A new container gets device rules, which need a kernel; so it counts as one that was there already. */
static int create_and_apply(struct host *host, const char *resources)
{
        int r = create(host, resources, false);
        if (r < 0)
                return r;
        host->cgroup->created = false;
        return cgroup_apply(host->cgroup, host->resources, &host->err);
}

static void make_v2(struct host *host)
{
        mount_hierarchy(host, "v2", "cgroup2", "nsdelegate");
        put(host, "v2/cgroup.controllers", "cpuset cpu io memory hugetlb pids rdma misc\n");
        put_files(host, "v2", "cgroup.subtree_control");
        put(host, "v2/onggi/cgroup.controllers", "cpuset cpu io memory hugetlb pids rdma misc\n");
        put_files(host, "v2/onggi", "cgroup.subtree_control");
        put(host, "v2/onggi/id/cgroup.controllers", "cpuset cpu io memory hugetlb pids rdma\n");
        put_files(
                host, "v2/onggi/id",
                "cgroup.procs memory.max memory.swap.max memory.low memory.high cpu.weight cpu.max cpu.max.burst "
                "cpu.idle cpuset.cpus "
                "cpuset.mems pids.max io.max io.weight hugetlb.2MB.max hugetlb.2MB.rsvd.max hugetlb.1GB.max rdma.max");
}

static void make_v1(struct host *host)
{
        static const char *const controllers[] = { "cpu",     "cpuset", "memory",  "pids",
                                                   "freezer", "blkio",  "hugetlb", "net_cls" };
        for (size_t i = 0; i < ARRAY_SIZE(controllers); i++)
                mount_hierarchy(host, controllers[i], "cgroup", controllers[i]);
        put(host, "cpuset/onggi/id/cpuset.cpus", "0-1\n");
        put_files(host, "memory/onggi/id",
                  "cgroup.procs memory.limit_in_bytes memory.memsw.limit_in_bytes memory.soft_limit_in_bytes "
                  "memory.swappiness memory.oom_control memory.kmem.tcp.limit_in_bytes");
        put_files(host, "cpu/onggi/id",
                  "cpu.shares cpu.cfs_quota_us cpu.cfs_period_us cpu.cfs_burst_us cpu.rt_period_us cpu.rt_runtime_us");
        put_files(host, "pids/onggi/id", "pids.max");
        put_files(host, "blkio/onggi/id", "blkio.bfq.weight blkio.bfq.weight_device blkio.throttle.read_bps_device");
        put_files(host, "hugetlb/onggi/id", "hugetlb.2MB.limit_in_bytes");
        put_files(host, "net_cls/onggi/id", "net_cls.classid");
}

static void test_v2_limits_are_converted(void **state)
{
        struct host *host = *state;
        make_v2(host);
        assert_int_equal(
                create_and_apply(
                        host,
                        "{\"memory\":{\"limit\":1000,\"swap\":1500,\"reservation\":500},\"pids\":{\"limit\":0},"
                        "\"cpu\":{\"shares\":1024,\"quota\":50000,\"period\":100000,\"burst\":10000,\"cpus\":\"0-1\","
                        "\"mems\":\"0\"},"
                        "\"blockIO\":{\"weight\":500,\"throttleReadBpsDevice\":[{\"major\":8,\"minor\":0,"
                        "\"rate\":600}]},"
                        "\"hugepageLimits\":[{\"pageSize\":\"2MB\",\"limit\":4},{\"pageSize\":\"1GB\",\"limit\":8}],"
                        "\"rdma\":{\"mlx5\":{\"hcaHandles\":3,\"hcaObjects\":9}},"
                        "\"unified\":{\"memory.high\":\"900\"}}"),
                0);
        assert_file(host, "v2/onggi/id/memory.max", "1000");
        assert_file(host, "v2/onggi/id/memory.swap.max", "500");
        assert_file(host, "v2/onggi/id/memory.low", "500");
        assert_file(host, "v2/onggi/id/memory.high", "900");
        assert_file(host, "v2/onggi/id/pids.max", "0");
        assert_file(host, "v2/onggi/id/cpu.weight", "100");
        assert_file(host, "v2/onggi/id/cpu.max", "50000 100000");
        assert_file(host, "v2/onggi/id/cpu.max.burst", "10000");
        assert_file(host, "v2/onggi/id/cpuset.cpus", "0-1");
        assert_file(host, "v2/onggi/id/io.weight", "4950");
        assert_file(host, "v2/onggi/id/io.max", "8:0 rbps=600");
        assert_file(host, "v2/onggi/id/hugetlb.2MB.rsvd.max", "4");
        assert_file(host, "v2/onggi/id/hugetlb.2MB.max", "");
        assert_file(host, "v2/onggi/id/hugetlb.1GB.max", "8");
        assert_file(host, "v2/onggi/id/rdma.max", "mlx5 hca_handle=3 hca_object=9");
}

static void test_v2_unlimited_memory_means_unlimited_swap(void **state)
{
        struct host *host = *state;
        make_v2(host);
        assert_int_equal(create_and_apply(host, "{\"memory\":{\"limit\":-1},\"pids\":{\"limit\":-1}}"), 0);
        assert_file(host, "v2/onggi/id/memory.max", "max");
        assert_file(host, "v2/onggi/id/memory.swap.max", "max");
        assert_file(host, "v2/onggi/id/pids.max", "max");
}

static void test_v2_swap_alone_is_counted_from_the_limit_that_is_set(void **state)
{
        struct host *host = *state;
        make_v2(host);
        put(host, "v2/onggi/id/memory.max", "1000\n");
        assert_int_equal(create_and_apply(host, "{\"memory\":{\"swap\":1200}}"), 0);
        assert_file(host, "v2/onggi/id/memory.swap.max", "200");
}

static void test_v2_period_alone_keeps_the_quota(void **state)
{
        struct host *host = *state;
        make_v2(host);
        put(host, "v2/onggi/id/cpu.max", "25000 50000\n");
        assert_int_equal(create_and_apply(host, "{\"cpu\":{\"period\":100000}}"), 0);
        assert_file(host, "v2/onggi/id/cpu.max", "25000 100000");
}

static void test_v2_names_what_it_cannot_hold(void **state)
{
        static const struct {
                const char *resources, *names;
        } cases[] = {
                { "{\"memory\":{\"kernel\":1}}", "memory.kernel: cgroup v2" },
                { "{\"memory\":{\"kernelTCP\":1}}", "memory.kernelTCP: cgroup v2" },
                { "{\"memory\":{\"swappiness\":1}}", "memory.swappiness: cgroup v2" },
                { "{\"memory\":{\"disableOOMKiller\":true}}", "memory.disableOOMKiller: cgroup v2" },
                { "{\"memory\":{\"useHierarchy\":false}}", "memory.useHierarchy: cgroup v2" },
                { "{\"memory\":{\"swap\":100}}", "memory.swap counts memory and swap together" },
                { "{\"cpu\":{\"realtimeRuntime\":1}}", "cpu.realtimeRuntime: cgroup v2" },
                { "{\"cpu\":{\"realtimePeriod\":1}}", "cpu.realtimePeriod: cgroup v2" },
                { "{\"blockIO\":{\"leafWeight\":10}}", "blockIO.leafWeight: cgroup v2" },
                { "{\"network\":{\"classID\":1}}", "no control group controller \"net_cls\"" },
                { "{\"network\":{\"priorities\":[{\"name\":\"lo\",\"priority\":1}]}}",
                  "no control group controller \"net_prio\"" },
                { "{\"hugepageLimits\":[{\"pageSize\":\"64KB\",\"limit\":4}]}",
                  "hugepageLimits[0].pageSize: this host has no pages of 64KB" },
                { "{\"unified\":{\"memory.nothing\":\"1\"}}", "no control file" },
        };
        struct host *host = *state;
        make_v2(host);
        for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
                if (create_and_apply(host, cases[i].resources) >= 0 || !strstr(host->err.text, cases[i].names))
                        fail_msg("%s gave \"%s\"", cases[i].resources, host->err.text);
                cgroup_free(host->cgroup);
                host->cgroup = NULL;
        }
}

static void test_v2_enables_controllers_from_the_mount_down(void **state)
{
        struct host *host = *state;
        make_v2(host);
        put(host, "v2/onggi/id/cgroup.controllers", "cpuset cpu io memory\n");
        put(host, "v2/cgroup.subtree_control", "cpuset cpu io memory\n");
        put(host, "v2/onggi/cgroup.subtree_control", "cpuset cpu io memory\n");
        assert_int_equal(create(host, "{\"pids\":{\"limit\":3}}", false), 0);
        /* The one that is missing, over the start of what the plain file held. */
        assert_file(host, "v2/cgroup.subtree_control", "+pidst cpu io memory\n");
        assert_file(host, "v2/onggi/cgroup.subtree_control", "+pidst cpu io memory\n");
}

static void test_v2_a_controller_that_the_host_lacks_is_an_error_with_a_cure(void **state)
{
        struct host *host = *state;
        make_v2(host);
        put(host, "v2/cgroup.controllers", "cpuset cpu io memory\n");
        put(host, "v2/onggi/id/cgroup.controllers", "cpuset cpu io memory\n");
        assert_int_equal(create(host, "{\"pids\":{\"limit\":3}}", false), -ENOENT);
        assert_non_null(strstr(host->err.text, "no cgroup v2 controller \"pids\""));
        assert_non_null(strstr(host->err.text, "remove the limit"));
}

static void test_v2_enables_nothing_where_processes_stand_in_the_way(void **state)
{
        struct host *host = *state;
        make_v2(host);
        put(host, "v2/onggi/id/cgroup.controllers", "cpu\n");
        put(host, "v2/onggi/cgroup.type", "domain\n");
        put(host, "v2/onggi/cgroup.procs", "4711\n");
        assert_int_equal(create(host, "{\"pids\":{\"limit\":3}}", false), -EBUSY);
        assert_non_null(strstr(host->err.text, "\"pids\""));
        assert_non_null(strstr(host->err.text, "holds processes itself"));
        assert_file(host, "v2/onggi/cgroup.subtree_control", "");

        /* Nothing depends on them: the container goes without. */
        assert_int_equal(create(host, "{}", false), 0);
        assert_file(host, "v2/onggi/cgroup.subtree_control", "");
}

static void test_v1_limits_go_to_their_hierarchies(void **state)
{
        struct host *host = *state;
        make_v1(host);
        assert_int_equal(
                create_and_apply(
                        host,
                        "{\"memory\":{\"limit\":1000,\"swap\":1500,\"reservation\":500,\"swappiness\":10,"
                        "\"disableOOMKiller\":true,\"kernelTCP\":7},"
                        "\"pids\":{\"limit\":-1},\"cpu\":{\"shares\":512,\"quota\":-1,\"period\":100000,\"burst\":0,"
                        "\"realtimePeriod\":9,"
                        "\"realtimeRuntime\":8},\"hugepageLimits\":[{\"pageSize\":\"2MB\",\"limit\":4}],"
                        "\"network\":{\"classID\":17},"
                        "\"blockIO\":{\"weight\":500,\"weightDevice\":[{\"major\":8,\"minor\":0,\"weight\":20}],"
                        "\"throttleReadBpsDevice\":[{\"major\":8,\"minor\":0,\"rate\":600}]}}"),
                0);
        assert_file(host, "memory/onggi/id/memory.limit_in_bytes", "1000");
        assert_file(host, "memory/onggi/id/memory.memsw.limit_in_bytes", "1500");
        assert_file(host, "memory/onggi/id/memory.soft_limit_in_bytes", "500");
        assert_file(host, "memory/onggi/id/memory.swappiness", "10");
        assert_file(host, "memory/onggi/id/memory.oom_control", "1");
        assert_file(host, "memory/onggi/id/memory.kmem.tcp.limit_in_bytes", "7");
        assert_file(host, "pids/onggi/id/pids.max", "max");
        assert_file(host, "cpu/onggi/id/cpu.shares", "512");
        assert_file(host, "cpu/onggi/id/cpu.cfs_quota_us", "-1");
        assert_file(host, "cpu/onggi/id/cpu.cfs_period_us", "100000");
        assert_file(host, "cpu/onggi/id/cpu.cfs_burst_us", "0");
        assert_file(host, "cpu/onggi/id/cpu.rt_runtime_us", "8");
        assert_file(host, "hugetlb/onggi/id/hugetlb.2MB.limit_in_bytes", "4");
        assert_file(host, "net_cls/onggi/id/net_cls.classid", "17");
        assert_file(host, "blkio/onggi/id/blkio.bfq.weight", "500");
        assert_file(host, "blkio/onggi/id/blkio.bfq.weight_device", "8:0 20");
        assert_file(host, "blkio/onggi/id/blkio.throttle.read_bps_device", "8:0 600");
}

static void test_v1_refuses_unified_and_a_missing_controller(void **state)
{
        struct host *host = *state;
        make_v1(host);
        assert_int_equal(create_and_apply(host, "{\"unified\":{\"memory.high\":\"1\"}}"), -EOPNOTSUPP);
        assert_non_null(strstr(host->err.text, "cgroup v2 is not mounted"));
        cgroup_free(host->cgroup);
        host->cgroup = NULL;
        assert_int_equal(create_and_apply(host, "{\"rdma\":{\"a\":{\"hcaHandles\":1}}}"), -EOPNOTSUPP);
        assert_non_null(strstr(host->err.text, "linux.resources.rdma"));
}

static void test_hybrid_keeps_each_limit_where_its_controller_is(void **state)
{
        struct host *host = *state;
        mount_hierarchy(host, "memory", "cgroup", "memory");
        put_files(host, "memory/onggi/id", "memory.limit_in_bytes");
        make_v2(host);
        put(host, "v2/cgroup.controllers", "pids\n");
        put(host, "v2/onggi/id/cgroup.controllers", "pids\n");
        assert_int_equal(create_and_apply(host, "{\"memory\":{\"limit\":77},\"pids\":{\"limit\":5}}"), 0);
        assert_file(host, "memory/onggi/id/memory.limit_in_bytes", "77");
        assert_file(host, "v2/onggi/id/memory.max", "");
        assert_file(host, "v2/onggi/id/pids.max", "5");
}

static void test_a_control_group_with_processes_is_refused_and_left_alone(void **state)
{
        struct host *host = *state;
        make_v2(host);
        put(host, "v2/onggi/id/cgroup.procs", "4711\n4712\n");
        assert_int_equal(create(host, "{}", false), -EBUSY);
        assert_non_null(strstr(host->err.text, "4711"));
        assert_file(host, "v2/onggi/id/cgroup.procs", "4711\n4712\n");
}

static void test_what_a_failed_creation_made_is_gone(void **state)
{
        struct host *host = *state;
        mount_hierarchy(host, "pids", "cgroup", "pids");
        mount_hierarchy(host, "memory", "cgroup", "memory");
        put(host, "memory/onggi/id/cgroup.procs", "1\n");
        assert_int_equal(create(host, "{}", false), -EBUSY);
        char path[128];
        snprintf(path, sizeof(path), "%s/pids/onggi", host->root);
        assert_int_equal(access(path, F_OK), -1);
        snprintf(path, sizeof(path), "%s/pids", host->root);
        assert_int_equal(access(path, F_OK), 0);
}

static void test_v1_cpuset_inherits_before_anyone_joins(void **state)
{
        struct host *host = *state;
        mount_hierarchy(host, "cpuset", "cgroup", "cpuset");
        put(host, "cpuset/onggi/cpuset.cpus", "0-3\n");
        put(host, "cpuset/onggi/cpuset.mems", "0\n");
        put_files(host, "cpuset/onggi/id", "cpuset.cpus cpuset.mems");
        assert_int_equal(create(host, "{}", false), 0);
        assert_file(host, "cpuset/onggi/id/cpuset.cpus", "0-3");
        assert_file(host, "cpuset/onggi/id/cpuset.mems", "0");
}

static void test_saved_control_groups_are_found_again(void **state)
{
        struct host *host = *state;
        make_v1(host);
        assert_int_equal(create(host, "{}", false), 0);
        json_t *saved = cgroup_save(host->cgroup), *paths = cgroup_paths(host->cgroup), *again;
        struct cgroup *loaded = NULL;
        assert_int_equal(cgroup_load(saved, &loaded, &host->err), 0);
        again = cgroup_paths(loaded);
        assert_true(json_equal(paths, again));
        char path[128];
        snprintf(path, sizeof(path), "%s/memory/onggi/id", host->root);
        assert_string_equal(json_string_value(json_object_get(paths, "memory")), path);
        json_decref(saved);
        json_decref(paths);
        json_decref(again);
        cgroup_free(loaded);
}

static void test_a_saved_path_that_leads_elsewhere_is_refused(void **state)
{
        struct host *host = *state;
        static const char *const texts[] = {
                "[]",
                "{}",
                "{\"directories\":[7]}",
                "{\"directories\":[{\"version\":1,\"mount\":\"/sys/fs/cgroup\",\"path\":\"/etc\"}]}",
                "{\"directories\":[{\"version\":1,\"mount\":\"/sys/fs/cgroup\",\"path\":\"/sys/fs/cgroup/\"}]}",
                ("{\"directories\":[{\"version\":1,\"mount\":\"/sys/fs/cgroup\","
                 "\"path\":\"/sys/fs/cgroup/../../etc\"}]}"),
                "{\"directories\":[{\"version\":3,\"mount\":\"/sys\",\"path\":\"/sys/a\"}]}",
        };
        for (size_t i = 0; i < ARRAY_SIZE(texts); i++) {
                json_t *saved = NULL;
                assert_int_equal(json_parse(texts[i], strlen(texts[i]), "x", &saved, &host->err), 0);
                struct cgroup *loaded = NULL;
                assert_int_equal(cgroup_load(saved, &loaded, &host->err), -EINVAL);
                json_decref(saved);
        }
}

static void test_what_was_never_made_is_adopted_as_nothing(void **state)
{
        struct host *host = *state;
        assert_int_equal(cgroup_adopt("no-such-container", NULL, false, false, &host->cgroup, &host->err), 0);
        json_t *paths = cgroup_paths(host->cgroup);
        assert_int_equal(json_object_size(paths), 0);
        json_decref(paths);
        assert_int_equal(cgroup_remove(host->cgroup, &host->err), 0);
}

static void test_v2_statistics_have_the_shape_of_runc(void **state)
{
        struct host *host = *state;
        make_v2(host);
        put(host, "v2/onggi/id/cpu.stat",
            "usage_usec 5\nuser_usec 3\nsystem_usec 2\nnr_periods 9\nnr_throttled 4\nthrottled_usec 7\n");
        put(host, "v2/onggi/id/memory.current", "100\n");
        put(host, "v2/onggi/id/memory.max", "max\n");
        put(host, "v2/onggi/id/memory.swap.current", "11\n");
        put(host, "v2/onggi/id/memory.stat", "anon 1\nfile 44\n");
        put(host, "v2/onggi/id/memory.events", "low 0\nmax 6\noom 3\noom_kill 2\n");
        put(host, "v2/onggi/id/pids.current", "8\n");
        put(host, "v2/onggi/id/pids.max", "max\n");
        put(host, "v2/onggi/id/io.stat", "8:0 rbytes=10 wbytes=20 rios=1 wios=2 dbytes=0 dios=0\n");
        assert_int_equal(create(host, "{}", false), 0);
        json_t *all = NULL;
        assert_int_equal(cgroup_statistics(host->cgroup, &all, &host->err), 0);
        json_int_t total, throttled, usage, swap, cache, failures, current, limit;
        json_t *bytes;
        assert_int_equal(json_unpack(all,
                                     "{s:{s:{s:I}, s:{s:I}}, s:{s:{s:I, s:I}, s:{s:I}, s:I}, s:{s:I, s:I}, s:{s:o}}",
                                     "cpu", "usage", "total", &total, "throttling", "throttledTime", &throttled,
                                     "memory", "usage", "usage", &usage, "failcnt", &failures, "swap", "usage", &swap,
                                     "cache", &cache, "pids", "current", &current, "limit", &limit, "blkio",
                                     "ioServiceBytesRecursive", &bytes),
                         0);
        assert_int_equal(total, 5000);
        assert_int_equal(throttled, 7000);
        assert_int_equal(usage, 100);
        assert_int_equal(swap, 111);
        assert_int_equal(cache, 44);
        assert_int_equal(failures, 6);
        assert_int_equal(current, 8);
        assert_int_equal(limit, 0);
        assert_int_equal(json_array_size(bytes), 3);
        assert_int_equal(cgroup_oom_kills(host->cgroup), 2);
        json_decref(all);
}

static void test_cpu_shares_and_weights_meet_at_their_ends_and_usual_values(void **state)
{
        (void)state;
        static const uint64_t pairs[][2] = { { 0, 1 },      { 2, 1 },          { 1024, 100 },
                                             { 2000, 170 }, { 262144, 10000 }, { 1 << 30, 10000 } };
        for (size_t i = 0; i < ARRAY_SIZE(pairs); i++)
                assert_int_equal(cpu_weight_of_shares(pairs[i][0]), pairs[i][1]);
        for (uint64_t shares = 2; shares < 262144; shares += 37)
                assert_true(cpu_weight_of_shares(shares) <= cpu_weight_of_shares(shares + 37));
        assert_int_equal(io_weight_of_block_weight(10), 1);
        assert_int_equal(io_weight_of_block_weight(1000), 10000);
}

#define IN_A_FOLDER(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)

int main(void)
{
        const struct CMUnitTest tests[] = {
                IN_A_FOLDER(test_v2_limits_are_converted),
                IN_A_FOLDER(test_v2_unlimited_memory_means_unlimited_swap),
                IN_A_FOLDER(test_v2_swap_alone_is_counted_from_the_limit_that_is_set),
                IN_A_FOLDER(test_v2_period_alone_keeps_the_quota),
                IN_A_FOLDER(test_v2_names_what_it_cannot_hold),
                IN_A_FOLDER(test_v2_enables_controllers_from_the_mount_down),
                IN_A_FOLDER(test_v2_a_controller_that_the_host_lacks_is_an_error_with_a_cure),
                IN_A_FOLDER(test_v2_enables_nothing_where_processes_stand_in_the_way),
                IN_A_FOLDER(test_v1_limits_go_to_their_hierarchies),
                IN_A_FOLDER(test_v1_refuses_unified_and_a_missing_controller),
                IN_A_FOLDER(test_hybrid_keeps_each_limit_where_its_controller_is),
                IN_A_FOLDER(test_a_control_group_with_processes_is_refused_and_left_alone),
                IN_A_FOLDER(test_what_a_failed_creation_made_is_gone),
                IN_A_FOLDER(test_v1_cpuset_inherits_before_anyone_joins),
                IN_A_FOLDER(test_saved_control_groups_are_found_again),
                IN_A_FOLDER(test_a_saved_path_that_leads_elsewhere_is_refused),
                IN_A_FOLDER(test_what_was_never_made_is_adopted_as_nothing),
                IN_A_FOLDER(test_v2_statistics_have_the_shape_of_runc),
                cmocka_unit_test(test_cpu_shares_and_weights_meet_at_their_ends_and_usual_values),
        };
        return cmocka_run_group_tests(tests, NULL, NULL);
}
