/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "container/capability.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/file.h"

#define BIT(capability) (UINT64_C(1) << (capability))

static unsigned warnings;
static char warning[256];

static void warn(const char *text)
{
        warnings++;
        snprintf(warning, sizeof(warning), "%s", text);
}

static int parse(const char *text, struct capabilities *sets, struct error *err)
{
        _cleanup_json_ json_t *value = NULL;
        assert_int_equal(json_parse(text, strlen(text), "config.json", &value, err), 0);
        struct json_reader reader = { .document = "config.json", .err = err };
        struct json_at root = json_root(&reader, value);
        struct json_at at = json_get_object(&root, "capabilities");
        warnings = 0;
        return capabilities_parse(&at, sets, warn, err);
}

static void test_names_and_numbers_belong_together(void **state)
{
        (void)state;
        assert_int_equal(capability_from_name("CAP_CHOWN"), CAP_CHOWN);
        assert_int_equal(capability_from_name("CAP_SYS_ADMIN"), CAP_SYS_ADMIN);
        assert_int_equal(capability_from_name("CAP_CHECKPOINT_RESTORE"), CAP_CHECKPOINT_RESTORE);
        assert_int_equal(capability_from_name("CHOWN"), -EINVAL);
        for (unsigned i = 0; i <= CAP_LAST_CAP; i++)
                assert_int_equal(capability_from_name(capability_name(i)), i);
        json_t *features = capabilities_features();
        assert_int_equal(json_array_size(features), CAP_LAST_CAP + 1);
        json_decref(features);
}

static void test_the_five_sets_are_read(void **state)
{
        (void)state;
        struct capabilities sets;
        struct error err = { 0 };
        assert_int_equal(
                parse("{\"capabilities\":{\"bounding\":[\"CAP_KILL\",\"CAP_CHOWN\"],\"effective\":[\"CAP_KILL\"],"
                      "\"permitted\":[\"CAP_CHOWN\"],\"inheritable\":[\"CAP_MKNOD\"],\"ambient\":[\"CAP_BPF\"]}}",
                      &sets, &err),
                0);
        assert_int_equal(sets.bounding, BIT(CAP_KILL) | BIT(CAP_CHOWN));
        assert_int_equal(sets.effective, BIT(CAP_KILL));
        assert_int_equal(sets.permitted, BIT(CAP_CHOWN));
        assert_int_equal(sets.inheritable, BIT(CAP_MKNOD));
        assert_int_equal(sets.ambient, BIT(CAP_BPF));
        assert_int_equal(warnings, 0);

        assert_int_equal(parse("{}", &sets, &err), 0);
        assert_int_equal(sets.bounding | sets.effective | sets.permitted | sets.inheritable | sets.ambient, 0);
}

static void test_unknown_names_are_warned_of_and_left_out(void **state)
{
        (void)state;
        struct capabilities sets;
        struct error err = { 0 };
        assert_int_equal(parse("{\"capabilities\":{\"bounding\":[\"CAP_FLY\",\"CAP_KILL\"]}}", &sets, &err), 0);
        assert_int_equal(sets.bounding, BIT(CAP_KILL));
        assert_int_equal(warnings, 1);
        assert_non_null(strstr(warning, "CAP_FLY"));
        assert_int_equal(parse("{\"capabilities\":{\"bounding\":[7]}}", &sets, &err), -EINVAL);
        assert_int_equal(parse("{\"capabilities\":{\"ambient\":\"all\"}}", &sets, &err), -EINVAL);
}

/* ---- applied in a child: its sets as /proc/self/status shows them ---- */

static uint64_t status_set(const char *status, const char *key)
{
        unsigned long long value = ~0ULL;
        const char *line = strstr(status, key);
        if (line)
                sscanf(line + strlen(key), "%llx", &value);
        return value;
}

struct outcome {
        uint64_t bounding, effective, permitted, inheritable, ambient;
        uid_t uid;
        gid_t gid, group;
        int groups;
};

static void apply_in_child(const struct capabilities *sets, uid_t uid, struct outcome *outcome)
{
        int channel[2], code;
        assert_int_equal(pipe(channel), 0);
        pid_t pid = fork();
        if (!pid) {
                _cleanup_free_ char *status = NULL;
                const gid_t groups[] = { 7 };
                struct error err = { 0 };
                if (capabilities_apply(sets, uid, 1234, groups, 1, true, &err) < 0) {
                        fprintf(stderr, "%s\n", err.text);
                        _exit(1);
                }
                if (file_read(AT_FDCWD, "/proc/self/status", 1 << 16, &status, NULL, NULL) < 0)
                        _exit(2);
                struct outcome seen = {
                        .bounding = status_set(status, "CapBnd:"),
                        .effective = status_set(status, "CapEff:"),
                        .permitted = status_set(status, "CapPrm:"),
                        .inheritable = status_set(status, "CapInh:"),
                        .ambient = status_set(status, "CapAmb:"),
                        .uid = geteuid(),
                        .gid = getegid(),
                };
                seen.groups = getgroups(1, &seen.group);
                _exit(write(channel[1], &seen, sizeof(seen)) == sizeof(seen) ? 0 : 3);
        }
        assert_int_equal(waitpid(pid, &code, 0), pid);
        assert_int_equal(code, 0);
        assert_int_equal(read(channel[0], outcome, sizeof(*outcome)), sizeof(*outcome));
        close(channel[0]);
        close(channel[1]);
}

static void test_an_ordinary_user_gets_just_the_sets_that_are_given(void **state)
{
        (void)state;
        const struct capabilities sets = {
                .bounding = BIT(CAP_KILL) | BIT(CAP_NET_RAW) | BIT(CAP_CHOWN),
                .permitted = BIT(CAP_KILL) | BIT(CAP_NET_RAW),
                .effective = BIT(CAP_KILL),
                .inheritable = BIT(CAP_NET_RAW),
                .ambient = BIT(CAP_NET_RAW),
        };
        struct outcome outcome;
        apply_in_child(&sets, 4321, &outcome);
        assert_int_equal(outcome.bounding, sets.bounding);
        assert_int_equal(outcome.permitted, sets.permitted);
        assert_int_equal(outcome.effective, sets.effective);
        assert_int_equal(outcome.inheritable, sets.inheritable);
        assert_int_equal(outcome.ambient, sets.ambient);
        assert_int_equal(outcome.uid, 4321);
        assert_int_equal(outcome.gid, 1234);
        assert_int_equal(outcome.groups, 1);
        assert_int_equal(outcome.group, 7);
}

static void test_empty_sets_leave_nothing(void **state)
{
        (void)state;
        const struct capabilities sets = { 0 };
        struct outcome outcome;
        apply_in_child(&sets, 0, &outcome);
        assert_int_equal(outcome.bounding | outcome.permitted | outcome.effective | outcome.inheritable |
                                 outcome.ambient,
                         0);
}

static void test_what_the_caller_lacks_is_left_out(void **state)
{
        (void)state;
        const struct capabilities few = { .bounding = BIT(CAP_SETUID) | BIT(CAP_SETGID) | BIT(CAP_SETPCAP),
                                          .permitted = BIT(CAP_SETUID) | BIT(CAP_SETGID) | BIT(CAP_SETPCAP),
                                          .effective = BIT(CAP_SETUID) | BIT(CAP_SETGID) | BIT(CAP_SETPCAP) };
        const struct capabilities many = { .bounding = ~UINT64_C(0),
                                           .permitted = BIT(CAP_SYS_ADMIN) | BIT(CAP_SETUID),
                                           .effective = BIT(CAP_SYS_ADMIN) | BIT(CAP_SETUID),
                                           .inheritable = BIT(CAP_SYS_ADMIN),
                                           .ambient = BIT(CAP_SYS_ADMIN) };
        pid_t pid = fork();
        if (!pid) {
                if (capabilities_apply(&few, 0, 0, NULL, 0, true, NULL) < 0)
                        _exit(1);
                struct outcome outcome;
                apply_in_child(&many, 5, &outcome);
                _exit(outcome.permitted == BIT(CAP_SETUID) && outcome.effective == BIT(CAP_SETUID) && !outcome.ambient
                              ? 0
                              : 2);
        }
        int code;
        assert_int_equal(waitpid(pid, &code, 0), pid);
        assert_int_equal(code, 0);
}

int main(void)
{
        const struct CMUnitTest plain[] = {
                cmocka_unit_test(test_names_and_numbers_belong_together),
                cmocka_unit_test(test_the_five_sets_are_read),
                cmocka_unit_test(test_unknown_names_are_warned_of_and_left_out),
        };
        const struct CMUnitTest rooted[] = {
                cmocka_unit_test(test_an_ordinary_user_gets_just_the_sets_that_are_given),
                cmocka_unit_test(test_empty_sets_leave_nothing),
                cmocka_unit_test(test_what_the_caller_lacks_is_left_out),
        };
        int failed = cmocka_run_group_tests(plain, NULL, NULL);
        if (geteuid()) {
                puts("skipped: only root has capabilities to give away");
                return failed ? failed : 77;
        }
        return failed + cmocka_run_group_tests(rooted, NULL, NULL);
}
