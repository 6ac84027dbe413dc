/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "container/default_profile.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/audit.h>
#include <linux/capability.h>
#include <linux/seccomp.h>
#include <sched.h>
#include <seccomp.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/json.h"
#include "container/capability.h"
#include "container/seccomp.h"
#include "container/seccomp_compile.h"

#define PEER             "/usr/share/containers/seccomp.json"
#define ALL_CAPABILITIES ((UINT64_C(1) << 41) - 1)

static void test_the_default_capabilities_are_dockers_fourteen(void **state)
{
        (void)state;
        static const char *const documented[] = {
                "CAP_AUDIT_WRITE", "CAP_CHOWN",   "CAP_DAC_OVERRIDE",     "CAP_FOWNER",     "CAP_FSETID",
                "CAP_KILL",        "CAP_MKNOD",   "CAP_NET_BIND_SERVICE", "CAP_NET_RAW",    "CAP_SETFCAP",
                "CAP_SETGID",      "CAP_SETPCAP", "CAP_SETUID",           "CAP_SYS_CHROOT",
        };
        uint64_t set = 0;
        for (size_t i = 0; i < ARRAY_SIZE(documented); i++)
                set |= UINT64_C(1) << capability_from_name(documented[i]);
        assert_int_equal(default_capabilities(), set);
        assert_int_equal(__builtin_popcountll(default_capabilities()), 14);
}

/* ---- against the profile that podman's package brings ---- */

static bool lists(const json_t *rule, const char *name)
{
        size_t i;
        json_t *element;
        json_array_foreach(json_object_get(rule, "names"), i, element) {
                if (!strcmp(json_string_value(element), name))
                        return true;
        }
        return false;
}

static bool is_allow(const json_t *rule)
{
        return !strcmp(json_string_value(json_object_get(rule, "action")), "SCMP_ACT_ALLOW");
}

static bool holds_one(const json_t *names, uint64_t capabilities)
{
        size_t i;
        json_t *element;
        json_array_foreach(names, i, element) {
                if (capabilities >> capability_from_name(json_string_value(element)) & 1)
                        return true;
        }
        return false;
}

static bool applies(const json_t *rule, uint64_t capabilities)
{
        const json_t *with = json_object_get(json_object_get(rule, "includes"), "caps");
        const json_t *without = json_object_get(json_object_get(rule, "excludes"), "caps");
        return (!json_array_size(with) || holds_one(with, capabilities)) && !holds_one(without, capabilities);
}

/* Whether the peer's profile lets the call through at all, or with that condition where it has some. */
static bool peer_allows(const json_t *peer, const char *name, const json_t *condition, uint64_t capabilities)
{
        size_t i;
        json_t *rule;
        /* of an architecture that the peer's profile is too old for */
        if (!strcmp(name, "riscv_flush_icache"))
                return true;
        json_array_foreach(json_object_get(peer, "syscalls"), i, rule) {
                if (!is_allow(rule) || !applies(rule, capabilities) || !lists(rule, name))
                        continue;
                const json_t *arguments = json_object_get(rule, "args");
                if (!json_array_size(arguments) || !strcmp(name, "socket"))
                        return true;
                if (condition && json_equal(json_array_get(arguments, 0), condition))
                        return true;
        }
        return false;
}

static void check_no_wider(const json_t *peer, uint64_t capabilities)
{
        json_t *own = default_seccomp_profile(capabilities), *rule, *name;
        size_t i, j;
        json_array_foreach(json_object_get(own, "syscalls"), i, rule) {
                if (!is_allow(rule))
                        continue;
                json_array_foreach(json_object_get(rule, "names"), j, name) {
                        const json_t *condition = json_array_get(json_object_get(rule, "args"), 0);
                        if (!peer_allows(peer, json_string_value(name), condition, capabilities))
                                fail_msg("%s is allowed with capabilities %llx, but not by " PEER,
                                         json_string_value(name), (unsigned long long)capabilities);
                }
        }
        json_decref(own);
}

static void test_the_profile_is_no_wider_than_that_of_podmans_package(void **state)
{
        (void)state;
        _cleanup_json_ json_t *peer = NULL;
        struct error err = { 0 };
        if (json_read(AT_FDCWD, PEER, &peer, &err) < 0) {
                print_message("skipped: %s\n", err.text);
                skip();
        }
        check_no_wider(peer, 0);
        check_no_wider(peer, default_capabilities());
        check_no_wider(peer, ALL_CAPABILITIES);
        for (int i = 0; i <= CAP_LAST_CAP; i++) {
                /* Both were part of CAP_SYS_ADMIN when the peer's profile was written. */
                if (i != CAP_BPF && i != CAP_PERFMON)
                        check_no_wider(peer, UINT64_C(1) << i);
        }
}

/* ---- the compiled program, call by call ---- */

/* What the kernel's interpreter would return (the classic BPF that seccomp programs consist of). */
static uint32_t interpret(const struct seccomp_program *program, const struct seccomp_data *data)
{
        uint32_t a = 0;
        for (size_t at = 0; at < program->length; at++) {
                const struct sock_filter *code = &program->filter[at];
                bool taken = false;
                switch (code->code) {
                case BPF_LD | BPF_W | BPF_ABS: memcpy(&a, (const char *)data + code->k, sizeof(a)); continue;
                case BPF_ALU | BPF_AND | BPF_K: a &= code->k; continue;
                case BPF_RET | BPF_K: return code->k;
                case BPF_JMP | BPF_JA: at += code->k; continue;
                case BPF_JMP | BPF_JEQ | BPF_K: taken = a == code->k; break;
                case BPF_JMP | BPF_JGT | BPF_K: taken = a > code->k; break;
                case BPF_JMP | BPF_JGE | BPF_K: taken = a >= code->k; break;
                default: fail_msg("instruction %x", code->code);
                }
                at += taken ? code->jt : code->jf;
        }
        fail_msg("the program has no end");
        return 0;
}

static bool condition_holds(const json_t *condition, const struct seccomp_data *data)
{
        uint64_t argument = data->args[json_integer_value(json_object_get(condition, "index"))];
        uint64_t value = (uint64_t)json_integer_value(json_object_get(condition, "value"));
        const char *operator= json_string_value(json_object_get(condition, "op"));
        if (!strcmp(operator, "SCMP_CMP_EQ"))
                return argument == value;
        if (!strcmp(operator, "SCMP_CMP_NE"))
                return argument != value;
        assert_string_equal(operator, "SCMP_CMP_MASKED_EQ");
        return (argument & value) == (uint64_t)json_integer_value(json_object_get(condition, "valueTwo"));
}

static uint32_t expected(const json_t *profile, const char *name, const struct seccomp_data *data)
{
        size_t i;
        json_t *rule;
        json_array_foreach(json_object_get(profile, "syscalls"), i, rule) {
                const json_t *condition = json_array_get(json_object_get(rule, "args"), 0);
                if (!lists(rule, name) || (condition && !condition_holds(condition, data)))
                        continue;
                return is_allow(rule) ? SECCOMP_RET_ALLOW : SECCOMP_RET_ERRNO | ENOSYS;
        }
        return SECCOMP_RET_ERRNO | EPERM;
}

static void check_architecture(const json_t *profile, const struct seccomp_program *program, uint32_t token,
                               uint32_t audit, uint32_t bit)
{
        static const uint64_t values[] = { 0,
                                           8,
                                           40,
                                           0x20000,
                                           0x20008,
                                           0xffffffff,
                                           CLONE_NEWUSER,
                                           CLONE_NEWNS | SIGCHLD,
                                           SIGCHLD,
                                           UINT64_C(1) << 32,
                                           UINT64_C(1) << 32 | 8 };
        size_t compared = 0;
        for (uint32_t number = 0; number < 600; number++) {
                char *name = seccomp_syscall_resolve_num_arch(token, (int)(number | bit));
                for (size_t i = 0; name && i < ARRAY_SIZE(values); i++) {
                        struct seccomp_data data = { .nr = (int)(number | bit), .arch = audit, .args = { values[i] } };
                        /* libseccomp compares as many bits as the architecture's arguments have. */
                        struct seccomp_data seen = data;
                        if (token != SCMP_ARCH_X86_64)
                                seen.args[0] &= UINT32_MAX;
                        uint32_t wanted = expected(profile, name, &seen), got = interpret(program, &data);
                        /* Younger than the youngest in the profile: the other denial. */
                        bool stub = wanted == (SECCOMP_RET_ERRNO | EPERM) && got == (SECCOMP_RET_ERRNO | ENOSYS) &&
                                    number > 440;
                        if (wanted != got && !stub)
                                fail_msg("%s(%llx) of %x: %x instead of %x", name, (unsigned long long)values[i], token,
                                         got, wanted);
                        compared++;
                }
                free(name);
        }
        assert_true(compared > 300 * ARRAY_SIZE(values));
}

static void test_the_program_answers_every_call_as_the_profile_says(void **state)
{
        (void)state;
#ifdef __x86_64__
        struct error err = { 0 };
        struct json_reader reader = { .document = "profile", .err = &err };
        const uint64_t sets[] = { 0, default_capabilities(), ALL_CAPABILITIES };
        for (size_t i = 0; i < ARRAY_SIZE(sets); i++) {
                _cleanup_json_ json_t *profile = default_seccomp_profile(sets[i]);
                struct json_at at = json_root(&reader, profile);
                struct seccomp_program program = { 0 };
                if (seccomp_compile(&at, &program, &err) < 0)
                        fail_msg("%s", err.text);
                check_architecture(profile, &program, SCMP_ARCH_X86_64, AUDIT_ARCH_X86_64, 0);
                check_architecture(profile, &program, SCMP_ARCH_X32, AUDIT_ARCH_X86_64, 0x40000000);
                check_architecture(profile, &program, SCMP_ARCH_X86, AUDIT_ARCH_I386, 0);
                struct seccomp_data foreign = { .arch = AUDIT_ARCH_AARCH64 };
                assert_int_equal(interpret(&program, &foreign), SECCOMP_RET_KILL_PROCESS);
                free(program.filter);
        }
#else
        print_message("skipped: written for x86-64\n");
        skip();
#endif
}

/* ---- in a process ---- */

static int run_under(uint64_t capabilities, int (*act)(void))
{
        struct error err = { 0 };
        struct json_reader reader = { .document = "profile", .err = &err };
        _cleanup_json_ json_t *profile = default_seccomp_profile(capabilities);
        struct json_at at = json_root(&reader, profile);
        struct seccomp *seccomp = NULL;
        if (seccomp_prepare(&at, NULL, &seccomp, &err) < 0)
                fail_msg("%s", err.text);
        fflush(NULL);
        pid_t pid = fork();
        if (!pid) {
                prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
                _exit(seccomp_apply(seccomp, NULL) < 0 ? 100 : act());
        }
        seccomp_free(seccomp);
        int status;
        assert_int_equal(waitpid(pid, &status, 0), pid);
        return WIFEXITED(status) ? WEXITSTATUS(status) : 101;
}

#define FAILS_WITH(call, code) (errno = 0, (call) < 0 && errno == (code))

static int act_as_a_container(void)
{
        if (!FAILS_WITH(unshare(CLONE_NEWUSER), EPERM) || !FAILS_WITH(mount("a", "/", "tmpfs", 0, NULL), EPERM))
                return 1;
        if (!FAILS_WITH(syscall(SYS_clone, CLONE_NEWUTS, 0, 0, 0, 0), EPERM) ||
            !FAILS_WITH(syscall(SYS_clone3, NULL, 0), ENOSYS))
                return 2;
        if (!FAILS_WITH(syscall(SYS_keyctl, 0, 0, 0, 0, 0), EPERM) ||
            !FAILS_WITH(syscall(SYS_io_uring_setup, 1, NULL), EPERM))
                return 3;
        if (!FAILS_WITH(socket(AF_VSOCK, SOCK_STREAM, 0), EPERM) || socket(AF_UNIX, SOCK_STREAM, 0) < 0)
                return 4;
        if (!FAILS_WITH(syscall(SYS_personality, 0x0040000), EPERM) || syscall(SYS_personality, 0xffffffff) < 0)
                return 5;
        if (!FAILS_WITH(syscall(SYS_bpf, 0, NULL, 0), EPERM) || !FAILS_WITH(syscall(SYS_reboot, 0, 0, 0, NULL), EPERM))
                return 6;
        pid_t pid = fork();
        if (!pid)
                _exit(0);
        return pid < 0 || waitpid(pid, NULL, 0) != pid ? 7 : 0;
}

static int act_as_an_administrator(void)
{
        return unshare(CLONE_NEWUTS) < 0 && errno == EPERM && !geteuid() ? 1
               : FAILS_WITH(syscall(SYS_clone3, NULL, 0), EINVAL)        ? 0
                                                                         : 2;
}

/* A number that no kernel has yet: programs must be able to tell "not there" from "forbidden". */
static int call_the_future(void)
{
        return FAILS_WITH(syscall(2000), ENOSYS) ? 0 : 1;
}

static void test_a_process_under_the_profile_can_do_ordinary_things_only(void **state)
{
        (void)state;
        assert_int_equal(run_under(default_capabilities(), act_as_a_container), 0);
}

static void test_capabilities_widen_the_profile(void **state)
{
        (void)state;
        assert_int_equal(run_under(default_capabilities() | UINT64_C(1) << CAP_SYS_ADMIN, act_as_an_administrator), 0);
}

static void test_calls_that_came_after_the_profile_do_not_exist(void **state)
{
        (void)state;
        assert_int_equal(run_under(default_capabilities(), call_the_future), 0);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_the_default_capabilities_are_dockers_fourteen),
                cmocka_unit_test(test_the_profile_is_no_wider_than_that_of_podmans_package),
                cmocka_unit_test(test_the_program_answers_every_call_as_the_profile_says),
                cmocka_unit_test(test_a_process_under_the_profile_can_do_ordinary_things_only),
                cmocka_unit_test(test_capabilities_widen_the_profile),
                cmocka_unit_test(test_calls_that_came_after_the_profile_do_not_exist),
        };
        return cmocka_run_group_tests(tests, NULL, NULL);
}
