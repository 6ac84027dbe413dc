/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "container/config.h"

static const char base[] =
        "{ \"ociVersion\": \"1.2.0\", \"root\": { \"path\": \"rootfs\" }, \"hostname\": \"h\","
        "  \"process\": { \"cwd\": \"/\", \"args\": [\"/bin/true\"], \"env\": [\"A=b\"],"
        "                 \"user\": { \"uid\": 0, \"gid\": 0 } },"
        "  \"mounts\": [ { \"destination\": \"/proc\", \"type\": \"proc\", \"source\": \"proc\" } ],"
        "  \"linux\": { \"namespaces\": [ { \"type\": \"mount\" }, { \"type\": \"uts\" }, { \"type\": \"ipc\" },"
        "                               { \"type\": \"network\" }, { \"type\": \"time\" } ] } }";

static char bundle[] = "/tmp/onggi-test-config-XXXXXX";

static int make_bundle(void **state)
{
        (void)state;
        char path[64];
        if (!mkdtemp(bundle))
                return -1;
        snprintf(path, sizeof(path), "%s/rootfs", bundle);
        return mkdir(path, 0755);
}

static int remove_bundle(void **state)
{
        (void)state;
        char path[64];
        snprintf(path, sizeof(path), "%s/rootfs", bundle);
        return rmdir(path) || rmdir(bundle);
}

/* The base document with the members of `patch` put over it. A null there leaves the member out. */
static int parse_patched(const char *patch, struct config **config, struct error *err)
{
        json_error_t where;
        json_t *document = json_loads(base, 0, &where), *change = json_loads(patch, 0, &where);
        assert_non_null(document);
        if (!change)
                fail_msg("%s: %s", patch, where.text);
        assert_int_equal(json_object_update_recursive(document, change), 0);
        char *text = json_dumps(document, JSON_COMPACT);
        int r = config_parse(text, strlen(text), bundle, CONFIG_ALL, config, err);
        free(text);
        json_decref(change);
        json_decref(document);
        return r;
}

static const struct {
        const char *patch, *says;
} refused[] = {
        { "{\"ociVersion\":null}", "ociVersion is required" },
        { "{\"ociVersion\":1}", "ociVersion must be a string" },
        { "{\"ociVersion\":\"2.0.0\"}", "ociVersion is 2.0.0" },
        { "{\"ociVersion\":\"new\"}", "not a version" },
        { "{\"process\":[]}", "process must be an object" },
        { "{\"process\":{\"args\":[]}}", "process.args must name a program" },
        { "{\"process\":{\"args\":[\"\"]}}", "empty name" },
        { "{\"process\":{\"args\":[1]}}", "process.args[0] must be a string" },
        { "{\"process\":{\"args\":\"/bin/true\"}}", "process.args must be an array" },
        { "{\"process\":{\"env\":[\"A\"]}}", "not NAME=value" },
        { "{\"process\":{\"env\":[\"=a\"]}}", "not NAME=value" },
        { "{\"process\":{\"cwd\":null}}", "process.cwd is required" },
        { "{\"process\":{\"cwd\":\"tmp\"}}", "must be an absolute path" },
        { "{\"process\":{\"terminal\":\"yes\"}}", "process.terminal must be true or false" },
        { "{\"process\":{\"consoleSize\":{\"height\":70000}}}", "process.consoleSize.height is 70000" },
        { "{\"process\":{\"user\":{\"uid\":-1}}}", "process.user.uid is -1" },
        { "{\"process\":{\"user\":{\"gid\":4294967295}}}", "process.user.gid is 4294967295" },
        { "{\"process\":{\"user\":{\"umask\":4096}}}", "process.user.umask" },
        { "{\"process\":{\"user\":{\"additionalGids\":[-4]}}}", "additionalGids[0] must be a group number" },
        { "{\"process\":{\"rlimits\":[{\"type\":\"RLIMIT_X\",\"hard\":1,\"soft\":1}]}}", "unknown type \"RLIMIT_X\"" },
        { "{\"process\":{\"rlimits\":[{\"type\":\"RLIMIT_AS\",\"hard\":1,\"soft\":2}]}}", "soft limit above" },
        { "{\"process\":{\"rlimits\":[{\"type\":\"RLIMIT_AS\",\"soft\":2}]}}", "hard is required" },
        { "{\"process\":{\"rlimits\":[{\"type\":\"RLIMIT_AS\",\"hard\":2,\"soft\":2},"
          "{\"type\":\"RLIMIT_AS\",\"hard\":2,\"soft\":2}]}}",
          "repeats the type" },
        { "{\"process\":{\"oomScoreAdj\":1001}}", "process.oomScoreAdj is 1001" },
        { "{\"process\":{\"noNewPrivileges\":1}}", "noNewPrivileges must be true or false" },
        { "{\"process\":{\"capabilities\":[]}}", "process.capabilities must be an object" },
        { "{\"process\":{\"capabilities\":{\"bounding\":\"CAP_KILL\"}}}",
          "process.capabilities.bounding must be an array" },
        { "{\"process\":{\"scheduler\":{}}}", "process.scheduler.policy is required" },
        { "{\"process\":{\"scheduler\":{\"policy\":\"SCHED_NONE\"}}}", "unknown value \"SCHED_NONE\"" },
        { "{\"process\":{\"scheduler\":{\"policy\":\"SCHED_OTHER\",\"priority\":5}}}", "only SCHED_FIFO and SCHED_RR" },
        { "{\"process\":{\"scheduler\":{\"policy\":\"SCHED_RR\",\"nice\":5}}}", "nice value" },
        { "{\"process\":{\"scheduler\":{\"policy\":\"SCHED_RR\",\"runtime\":5}}}", "only SCHED_DEADLINE" },
        { "{\"process\":{\"scheduler\":{\"policy\":\"SCHED_RR\",\"flags\":[\"X\"]}}}",
          "flags[0] has the unknown value" },
        { "{\"process\":{\"ioPriority\":{\"class\":\"IOPRIO_CLASS_X\"}}}", "process.ioPriority.class" },
        { "{\"process\":{\"ioPriority\":{\"class\":\"IOPRIO_CLASS_BE\",\"priority\":8}}}",
          "process.ioPriority.priority is 8" },
        { "{\"process\":{\"execCPUAffinity\":{\"initial\":\"a\"}}}", "must be a list" },
        { "{\"process\":{\"execCPUAffinity\":{\"final\":\"3-1\"}}}", "out of order" },
        { "{\"process\":{\"execCPUAffinity\":{\"final\":\"0,\"}}}", "must be a list" },
        { "{\"process\":{\"execCPUAffinity\":{\"final\":\"99999999999\"}}}", "beyond" },
        { "{\"root\":null}", "root" },
        { "{\"root\":{\"path\":7}}", "root.path must be a string" },
        { "{\"hostname\":5}", "hostname must be a string" },
        { "{\"hostname\":\"0123456789012345678901234567890123456789012345678901234567890123456789\"}",
          "longer than the 64" },
        { "{\"linux\":{\"namespaces\":[{\"type\":\"mount\"}]}}", "hostname needs a uts namespace" },
        { "{\"hostname\":null,\"domainname\":\"d\",\"linux\":{\"namespaces\":[{\"type\":\"mount\"}]}}",
          "domainname needs a uts" },
        { "{\"linux\":null}", "must have one of type mount" },
        { "{\"linux\":[]}", "linux must be an object" },
        { "{\"linux\":{\"namespaces\":[]}}", "must have one of type mount" },
        { "{\"linux\":{\"namespaces\":[\"mount\"]}}", "linux.namespaces[0] must be an object" },
        { "{\"linux\":{\"namespaces\":[{\"type\":\"mnt\"}]}}", "unknown type \"mnt\"" },
        { "{\"linux\":{\"namespaces\":[{\"type\":\"mount\"},{\"type\":\"mount\"}]}}",
          "linux.namespaces[1] repeats the type" },
        { "{\"linux\":{\"namespaces\":[{\"type\":\"mount\",\"path\":\"ns\"}]}}", "must be absolute" },
        { "{\"linux\":{\"uidMappings\":[{\"containerID\":0,\"hostID\":0,\"size\":1}]}}", "needs a user namespace" },
        { "{\"linux\":{\"namespaces\":[{\"type\":\"mount\"},{\"type\":\"uts\"},{\"type\":\"user\"}]}}",
          "uidMappings is required" },
        { "{\"linux\":{\"uidMappings\":[{\"containerID\":0,\"size\":1}]}}", "needs containerID, hostID and size" },
        { "{\"linux\":{\"uidMappings\":[{\"containerID\":0,\"hostID\":0,\"size\":0}]}}", "uidMappings[0].size is 0" },
        { "{\"linux\":{\"uidMappings\":[{\"containerID\":4294967294,\"hostID\":0,\"size\":9}]}}", "reaches beyond" },
        { "{\"linux\":{\"gidMappings\":[{\"containerID\":0,\"hostID\":0,\"size\":9},"
          "{\"containerID\":8,\"hostID\":90,\"size\":9}]}}",
          "gidMappings[1] overlaps" },
        { "{\"hostname\":null,\"process\":{\"user\":{\"uid\":7}},"
          "\"linux\":{\"namespaces\":[{\"type\":\"mount\"},{\"type\":\"user\"}],"
          "\"uidMappings\":[{\"containerID\":0,\"hostID\":9,\"size\":2}],"
          "\"gidMappings\":[{\"containerID\":0,\"hostID\":9,\"size\":2}]}}",
          "uid 7, which linux.uidMappings does not map" },
        { "{\"linux\":{\"timeOffsets\":{\"realtime\":{\"secs\":1}}}}", "unknown clock" },
        { "{\"linux\":{\"timeOffsets\":{\"boottime\":{\"nanosecs\":1000000000}}}}", "nanosecs" },
        { "{\"hostname\":null,\"linux\":{\"namespaces\":[{\"type\":\"mount\"}],"
          "\"timeOffsets\":{\"boottime\":{\"secs\":1}}}}",
          "needs a new time namespace" },
        { "{\"linux\":{\"personality\":{\"domain\":\"BSD\"}}}", "must be LINUX or LINUX32" },
        { "{\"linux\":{\"personality\":{}}}", "personality.domain is required" },
        { "{\"linux\":{\"personality\":{\"domain\":\"LINUX\",\"flags\":[\"X\"]}}}", "no flag is defined" },
        { "{\"linux\":{\"memoryPolicy\":{\"mode\":\"MPOL_X\"}}}", "unknown value \"MPOL_X\"" },
        { "{\"linux\":{\"memoryPolicy\":{\"mode\":\"MPOL_BIND\"}}}", "needs nodes" },
        { "{\"linux\":{\"memoryPolicy\":{\"mode\":\"MPOL_LOCAL\",\"nodes\":\"0\"}}}", "does not take" },
        { "{\"linux\":{\"memoryPolicy\":{\"mode\":\"MPOL_BIND\",\"nodes\":\"0\",\"flags\":[\"MPOL_F_STATIC_NODES\","
          "\"MPOL_F_RELATIVE_NODES\"]}}}",
          "together" },
        { "{\"linux\":{\"intelRdt\":{\"closID\":\"../x\"}}}", "not the name of a folder" },
        { "{\"linux\":{\"intelRdt\":{\"schemata\":\"L3\"}}}", "must be an array" },
        { "{\"linux\":{\"netDevices\":{\"eth0\":{\"name\":\"a/b\"}}}}", "no interface can have" },
        { "{\"linux\":{\"netDevices\":{\"a-name-that-is-too-long\":{}}}}", "not the name of an interface" },
        { "{\"linux\":{\"netDevices\":{\"a\":{\"name\":\"x\"},\"b\":{\"name\":\"x\"}}}}", "of another one" },
        { "{\"hostname\":null,\"linux\":{\"namespaces\":[{\"type\":\"mount\"}],\"netDevices\":{\"a\":{}}}}",
          "network namespace" },
        { "{\"linux\":{\"sysctl\":{\"vm.swappiness\":\"1\"}}}", "it would change the host" },
        { "{\"linux\":{\"sysctl\":{\"kernel.hostname\":\"x\"}}}", "is set by the member hostname" },
        { "{\"linux\":{\"sysctl\":{\"net/../kernel/panic\":\"1\"}}}", "not the name of a kernel parameter" },
        { "{\"linux\":{\"sysctl\":{\"net.ipv4.ip_forward\":1}}}", "must be a string" },
        { "{\"hostname\":null,\"linux\":{\"namespaces\":[{\"type\":\"mount\"}],"
          "\"sysctl\":{\"net.ipv4.ip_forward\":\"1\"}}}",
          "needs a network namespace" },
        { "{\"linux\":{\"cgroupsPath\":5}}", "linux.cgroupsPath must be a string" },
        { "{\"linux\":{\"resources\":[]}}", "linux.resources must be an object" },
        { "{\"annotations\":{\"a\":1}}", "annotations.a must be a string" },
        { "{\"annotations\":{\"\":\"x\"}}", "empty key" },
        { "{\"hooks\":{\"prestart\":{}}}", "hooks.prestart must be an array" },
        { "{\"hooks\":{\"prestart\":[{}]}}", "hooks.prestart[0].path is required" },
        { "{\"hooks\":{\"createRuntime\":[{\"path\":\"x\"}]}}", "must be absolute" },
        { "{\"hooks\":{\"createContainer\":[{\"path\":\"/x\",\"timeout\":0}]}}",
          "hooks.createContainer[0].timeout is 0" },
        { "{\"hooks\":{\"startContainer\":[{\"path\":\"/x\",\"args\":\"y\"}]}}", "args must be an array" },
        { "{\"hooks\":{\"poststart\":[{\"path\":\"/x\",\"env\":[3]}]}}", "env[0] must be a string" },
        { "{\"hooks\":{\"poststop\":[\"/x\"]}}", "hooks.poststop[0] must be an object" },
        { "{\"mounts\":{}}", "mounts must be an array" },
};

static void test_a_field_that_is_wrong_is_refused_by_its_name(void **state)
{
        (void)state;
        for (size_t i = 0; i < ARRAY_SIZE(refused); i++) {
                struct config *config = NULL;
                struct error err = { 0 };
                int r = parse_patched(refused[i].patch, &config, &err);
                if (r >= 0)
                        fail_msg("%s was accepted", refused[i].patch);
                if (!strstr(err.text, refused[i].says))
                        fail_msg("%s: the error is \"%s\" and should say \"%s\"", refused[i].patch, err.text,
                                 refused[i].says);
                assert_null(config);
        }
}

static const char *const accepted[] = {
        "{}",
        "{\"ociVersion\":\"1.0.2-dev\"}",
        "{\"ociVersion\":\"1.3.0\",\"unknown\":{\"member\":1}}",
        "{\"process\":null}",
        "{\"process\":{\"rlimits\":[{\"type\":\"RLIMIT_AS\",\"hard\":18446744073709551615.0,\"soft\":-1}]}}",
        ("{\"process\":{\"scheduler\":{\"policy\":\"SCHED_FIFO\",\"priority\":5,"
         "\"flags\":[\"SCHED_FLAG_RESET_ON_FORK\"]}}}"),
        "{\"process\":{\"execCPUAffinity\":{\"initial\":\"0-1,3\",\"final\":\"\"}}}",
        "{\"linux\":{\"timeOffsets\":{\"monotonic\":{\"secs\":-5,\"nanosecs\":7}}}}",
        "{\"linux\":{\"sysctl\":{\"net.ipv4.conf.eth0/1.forwarding\":\"1\",\"kernel/shm_rmid_forced\":\"1\"}}}",
        "{\"linux\":{\"memoryPolicy\":{\"mode\":\"MPOL_BIND\",\"nodes\":\"0\",\"flags\":[\"MPOL_F_STATIC_NODES\"]}}}",
        "{\"linux\":{\"netDevices\":{\"a\":{\"name\":\"x\"},\"b\":{}}}}",
};

static void test_what_the_specification_allows_is_accepted(void **state)
{
        (void)state;
        for (size_t i = 0; i < ARRAY_SIZE(accepted); i++) {
                struct config *config = NULL;
                struct error err = { 0 };
                if (parse_patched(accepted[i], &config, &err) < 0)
                        fail_msg("%s: %s", accepted[i], err.text);
                config_free(config);
        }
}

static void test_a_part_is_read_without_the_others(void **state)
{
        (void)state;
        static const char text[] =
                "{\"ociVersion\":\"1.0.0\",\"hooks\":{\"poststop\":[{\"path\":\"/x\"}]},\"linux\":7,\"process\":7}";
        struct config *config = NULL;
        struct error err = { 0 };
        assert_int_equal(config_parse(text, strlen(text), bundle, CONFIG_HOOKS, &config, &err), 0);
        assert_int_equal(config->hooks.counts[HOOK_POSTSTOP], 1);
        assert_false(config->has_program);
        config_free(config);
}

static void test_what_was_read_is_there(void **state)
{
        (void)state;
        struct config *config = NULL;
        struct error err = { 0 };
        assert_int_equal(
                parse_patched("{\"process\":{\"user\":{\"uid\":5,\"gid\":6,\"umask\":18,\"additionalGids\":[7,8]},"
                              "\"rlimits\":[{\"type\":\"RLIMIT_NOFILE\",\"hard\":20,\"soft\":10}]},"
                              "\"linux\":{\"timeOffsets\":{\"boottime\":{\"secs\":-5,\"nanosecs\":7}}}}",
                              &config, &err),
                0);
        const struct program *program = &config->program;
        assert_int_equal(program->uid, 5);
        assert_int_equal(program->gid, 6);
        assert_true(program->has_umask);
        assert_int_equal(program->umask, 18);
        assert_int_equal(program->group_count, 2);
        assert_int_equal(program->groups[1], 8);
        assert_int_equal(program->limits[0].values.rlim_cur, 10);
        assert_string_equal(program->args[0], "/bin/true");
        assert_true(config->boottime.present);
        assert_int_equal(config->boottime.seconds, -5);
        assert_false(config->monotonic.present);
        assert_int_equal(config->namespaces.create,
                         CLONE_NEWNS | CLONE_NEWUTS | CLONE_NEWIPC | CLONE_NEWNET | CLONE_NEWTIME);
        config_free(config);
}

static void test_a_variable_of_the_environment_is_replaced_or_added(void **state)
{
        (void)state;
        char **env = NULL;
        assert_int_equal(environment_set(&env, "A", "1"), 0);
        assert_int_equal(environment_set(&env, "AB", "2"), 0);
        assert_int_equal(environment_set(&env, "A", "3"), 0);
        assert_string_equal(environment_get(env, "A"), "3");
        assert_string_equal(environment_get(env, "AB"), "2");
        assert_null(environment_get(env, "B"));
        for (char **item = env; *item; item++)
                free(*item);
        free(env);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_a_field_that_is_wrong_is_refused_by_its_name),
                cmocka_unit_test(test_what_the_specification_allows_is_accepted),
                cmocka_unit_test(test_a_part_is_read_without_the_others),
                cmocka_unit_test(test_what_was_read_is_there),
                cmocka_unit_test(test_a_variable_of_the_environment_is_replaced_or_added),
        };
        return cmocka_run_group_tests(tests, make_bundle, remove_bundle);
}
