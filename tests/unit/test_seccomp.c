/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "container/seccomp.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/seccomp.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/file.h"
#include "base/text.h"

struct folder {
        char path[64];
        int fd;
};

static int make_folder(void **state)
{
        struct folder *folder = calloc(1, sizeof(*folder));
        TEXT_COPY(folder->path, "/tmp/onggi-test-seccomp-XXXXXX");
        if (!mkdtemp(folder->path))
                return -1;
        folder->fd = open(folder->path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        *state = folder;
        return 0;
}

static int remove_folder(void **state)
{
        struct folder *folder = *state;
        close(folder->fd);
        int r = tree_remove(AT_FDCWD, folder->path, NULL);
        free(folder);
        return r;
}

static int prepare(const char *profile, const char *cache, struct seccomp **seccomp, struct error *err)
{
        json_t *value = NULL;
        assert_int_equal(json_parse(profile, strlen(profile), "config.json", &value, err), 0);
        struct json_reader reader = { .document = "config.json", .err = err };
        struct json_at at = json_root(&reader, value);
        int r = seccomp_prepare(&at, cache, seccomp, err);
        json_decref(value);
        return r;
}

static struct seccomp *prepared(const char *profile, const char *cache)
{
        struct error err = { 0 };
        struct seccomp *seccomp = NULL;
        if (prepare(profile, cache, &seccomp, &err) < 0)
                fail_msg("%s", err.text);
        assert_non_null(seccomp);
        return seccomp;
}

/* Runs act() under the profile in a child; returns its status as wait(2) gives it. */
static int status_under(const char *profile, const char *cache, int (*act)(void))
{
        struct seccomp *seccomp = prepared(profile, cache);
        fflush(NULL);
        pid_t pid = fork();
        if (!pid) {
                struct error err = { 0 };
                signal(SIGSYS, SIG_DFL); /* cmocka catches it */
                prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
                if (seccomp_apply(seccomp, &err) < 0)
                        _exit(100);
                /* exit_group() itself: a sanitizer would read files before it lets _exit() happen. */
                syscall(SYS_exit_group, act());
        }
        seccomp_free(seccomp);
        int status;
        assert_int_equal(waitpid(pid, &status, 0), pid);
        return status;
}

/* The errno of getpid(), which in truth never fails; 0 if it worked. */
static int try_getpid(void)
{
        errno = 0;
        return syscall(SYS_getpid) < 0 ? errno : 0;
}

static int exit_code(const char *profile, int (*act)(void))
{
        int status = status_under(profile, NULL, act);
        assert_true(WIFEXITED(status));
        return WEXITSTATUS(status);
}

#define RULE(action, more)                                                                                             \
        "{\"defaultAction\":\"SCMP_ACT_ALLOW\",\"syscalls\":[{\"names\":[\"getpid\"],\"action\":\"" action "\"" more   \
        "}]}"

static void test_errno_is_that_of_the_rule_and_eperm_without(void **state)
{
        (void)state;
        assert_int_equal(exit_code(RULE("SCMP_ACT_ERRNO", ""), try_getpid), EPERM);
        assert_int_equal(exit_code(RULE("SCMP_ACT_ERRNO", ",\"errnoRet\":38"), try_getpid), ENOSYS);
        assert_int_equal(exit_code(RULE("SCMP_ACT_ERRNO", ",\"errnoRet\":0"), try_getpid), 0);
}

static void test_allow_and_log_let_the_call_happen(void **state)
{
        (void)state;
        assert_int_equal(exit_code(RULE("SCMP_ACT_LOG", ""), try_getpid), 0);
        assert_int_equal(exit_code("{\"defaultAction\":\"SCMP_ACT_LOG\"}", try_getpid), 0);
}

static void test_kill_and_trap_end_the_process_by_sigsys(void **state)
{
        (void)state;
        static const char *const profiles[] = { RULE("SCMP_ACT_KILL", ""), RULE("SCMP_ACT_KILL_THREAD", ""),
                                                RULE("SCMP_ACT_KILL_PROCESS", ""), RULE("SCMP_ACT_TRAP", "") };
        for (size_t i = 0; i < ARRAY_SIZE(profiles); i++) {
                int status = status_under(profiles[i], NULL, try_getpid);
                assert_true(WIFSIGNALED(status));
                assert_int_equal(WTERMSIG(status), SIGSYS);
        }
}

static void test_trace_tells_the_tracer_its_number(void **state)
{
        (void)state;
        struct seccomp *seccomp = prepared(RULE("SCMP_ACT_TRACE", ",\"errnoRet\":77"), NULL);
        pid_t pid = fork();
        if (!pid) {
                prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
                ptrace(PTRACE_TRACEME, 0, NULL, NULL);
                raise(SIGSTOP);
                if (seccomp_apply(seccomp, NULL) < 0)
                        _exit(100);
                _exit(try_getpid());
        }
        seccomp_free(seccomp);
        int status;
        unsigned long message = 0;
        assert_int_equal(waitpid(pid, &status, 0), pid);
        assert_int_equal(ptrace(PTRACE_SETOPTIONS, pid, NULL, PTRACE_O_TRACESECCOMP | PTRACE_O_EXITKILL), 0);
        assert_int_equal(ptrace(PTRACE_CONT, pid, NULL, NULL), 0);
        assert_int_equal(waitpid(pid, &status, 0), pid);
        assert_int_equal(status >> 8, SIGTRAP | PTRACE_EVENT_SECCOMP << 8);
        assert_int_equal(ptrace(PTRACE_GETEVENTMSG, pid, NULL, &message), 0);
        assert_int_equal(message, 77);
        ptrace(PTRACE_CONT, pid, NULL, NULL);
        assert_int_equal(waitpid(pid, &status, 0), pid);
        assert_true(WIFEXITED(status));
}

static void test_the_default_action_has_an_errno_of_its_own(void **state)
{
        (void)state;
        const char *profile = "{\"defaultAction\":\"SCMP_ACT_ERRNO\",\"defaultErrnoRet\":95,"
                              "\"syscalls\":[{\"names\":[\"exit_group\",\"exit\"],\"action\":\"SCMP_ACT_ALLOW\"}]}";
        assert_int_equal(exit_code(profile, try_getpid), EOPNOTSUPP);
}

/* ---- arguments ---- */

/* Bit n of the exit code: whether the n-th value was let through. */
static const unsigned long probes[] = { 4, 5, 6, 0x104, 1UL << 32 | 5 };

static int try_values(void)
{
        int passed = 0;
        for (size_t i = 0; i < ARRAY_SIZE(probes); i++) {
                /* lseek() on a descriptor that is none: EBADF where the call happened */
                errno = 0;
                syscall(SYS_lseek, -1, probes[i], 0);
                passed |= (errno == EBADF) << i;
        }
        return passed;
}

static void test_every_operator_compares_all_64_bits(void **state)
{
        (void)state;
        static const struct {
                const char *condition;
                int stopped; /* which of the probes, as bits */
        } cases[] = {
                { "\"value\":5,\"op\":\"SCMP_CMP_NE\"", 0x1d },
                { "\"value\":5,\"op\":\"SCMP_CMP_LT\"", 0x01 },
                { "\"value\":5,\"op\":\"SCMP_CMP_LE\"", 0x03 },
                { "\"value\":5,\"op\":\"SCMP_CMP_EQ\"", 0x02 },
                { "\"value\":5,\"op\":\"SCMP_CMP_GE\"", 0x1e },
                { "\"value\":5,\"op\":\"SCMP_CMP_GT\"", 0x1c },
                { "\"value\":7,\"op\":\"SCMP_CMP_MASKED_EQ\",\"valueTwo\":4", 0x09 },
        };
        for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
                _cleanup_free_ char *profile = text_format("{\"defaultAction\":\"SCMP_ACT_ALLOW\",\"syscalls\":[{"
                                                           "\"names\":[\"lseek\"],\"action\":\"SCMP_ACT_ERRNO\","
                                                           "\"args\":[{\"index\":1,%s}]}]}",
                                                           cases[i].condition);
                assert_int_equal(0x1f & ~exit_code(profile, try_values), cases[i].stopped);
        }
}

static int try_two(void)
{
        int passed = 0;
        static const unsigned long pairs[][2] = { { 1, 1 }, { 1, 2 }, { 2, 1 }, { 2, 2 } };
        for (size_t i = 0; i < ARRAY_SIZE(pairs); i++) {
                errno = 0;
                syscall(SYS_lseek, -1, pairs[i][0], pairs[i][1] | 0x100);
                passed |= (errno == EBADF) << i;
        }
        return passed;
}

#define ARGS(first, second)                                                                                            \
        "{\"defaultAction\":\"SCMP_ACT_ALLOW\",\"syscalls\":[{"                                                        \
        "\"names\":[\"lseek\"],\"action\":\"SCMP_ACT_ERRNO\",\"args\":[" first "," second "]}]}"

static void test_conditions_on_several_arguments_must_all_hold(void **state)
{
        (void)state;
        assert_int_equal(exit_code(ARGS("{\"index\":1,\"value\":1,\"op\":\"SCMP_CMP_EQ\"}",
                                        "{\"index\":2,\"value\":258,\"op\":\"SCMP_CMP_EQ\"}"),
                                   try_two),
                         0xf & ~2);
}

static void test_of_several_conditions_on_one_argument_one_is_enough(void **state)
{
        (void)state;
        int passed = exit_code(ARGS("{\"index\":1,\"value\":4,\"op\":\"SCMP_CMP_EQ\"}",
                                    "{\"index\":1,\"value\":6,\"op\":\"SCMP_CMP_EQ\"}"),
                               try_values);
        assert_int_equal(passed, 0x1f & ~0x05);
}

/* ---- names, architectures, flags ---- */

static void test_unknown_names_of_system_calls_are_passed_over(void **state)
{
        (void)state;
        assert_int_equal(exit_code("{\"defaultAction\":\"SCMP_ACT_ALLOW\","
                                   "\"syscalls\":[{\"names\":[\"not_yet_invented\",\"getpid\"],"
                                   "\"action\":\"SCMP_ACT_ERRNO\"}]}",
                                   try_getpid),
                         EPERM);
}

static void test_all_23_architectures_are_accepted(void **state)
{
        (void)state;
        json_t *features = seccomp_features(), *list = json_object_get(features, "archs"), *element;
        size_t i;
        _cleanup_text_ struct text profile = { 0 };
        assert_int_equal(json_array_size(list), 23);
        text_append(&profile, "{\"defaultAction\":\"SCMP_ACT_ALLOW\",\"architectures\":[");
        json_array_foreach(list, i, element)
                text_printf(&profile, "%s\"%s\"", i ? "," : "", json_string_value(element));
        text_append(&profile, "],\"syscalls\":[{\"names\":[\"getpid\"],\"action\":\"SCMP_ACT_ERRNO\"}]}");
        assert_int_equal(exit_code(profile.data, try_getpid), EPERM);
        assert_int_equal(json_array_size(json_object_get(features, "actions")), 9);
        assert_int_equal(json_array_size(json_object_get(features, "operators")), 7);
        json_decref(features);
}

static void test_flags_are_given_to_the_kernel(void **state)
{
        (void)state;
        assert_int_equal(exit_code("{\"defaultAction\":\"SCMP_ACT_ALLOW\",\"flags\":[\"SECCOMP_FILTER_FLAG_TSYNC\","
                                   "\"SECCOMP_FILTER_FLAG_LOG\",\"SECCOMP_FILTER_FLAG_SPEC_ALLOW\","
                                   "\"SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV\"],\"syscalls\":[{\"names\":[\"getpid\"],"
                                   "\"action\":\"SCMP_ACT_ERRNO\"}]}",
                                   try_getpid),
                         EPERM);
}

/* ---- the listener ---- */

#define NOTIFY(more)                                                                                                   \
        "{\"defaultAction\":\"SCMP_ACT_ALLOW\"" more                                                                   \
        ",\"syscalls\":[{\"names\":[\"getpid\"],\"action\":\"SCMP_ACT_NOTIFY\"}]}"

/* In a child: loads, sends the listener and calls getpid(), whose answer becomes the exit code. */
static pid_t start_notifying(struct seccomp *seccomp)
{
        pid_t pid = fork();
        if (pid)
                return pid;
        prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
        json_t *process = json_pack("{s:s, s:i}", "ociVersion", "1.2.0", "pid", 42);
        int notify = seccomp_apply(seccomp, NULL);
        if (notify <= 0 || seccomp_send_notify(seccomp, notify, process, NULL) < 0)
                _exit(100);
        close(notify);
        _exit((int)syscall(SYS_getpid));
}

static int receive(int connection, char *text, size_t size)
{
        union {
                struct cmsghdr header;
                char room[CMSG_SPACE(sizeof(int))];
        } control;
        struct iovec part = { text, size - 1 };
        struct msghdr message = {
                .msg_iov = &part, .msg_iovlen = 1, .msg_control = &control, .msg_controllen = sizeof(control)
        };
        ssize_t n = recvmsg(connection, &message, MSG_CMSG_CLOEXEC);
        assert_true(n > 0);
        text[n] = 0;
        assert_int_equal(control.header.cmsg_type, SCM_RIGHTS);
        int fd;
        memcpy(&fd, CMSG_DATA(&control.header), sizeof(fd));
        return fd;
}

static void test_the_listener_gets_descriptor_and_state_and_answers_calls(void **state)
{
        struct folder *folder = *state;
        struct sockaddr_un address = { .sun_family = AF_UNIX };
        snprintf(address.sun_path, sizeof(address.sun_path), "%s/listener", folder->path);
        int server = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
        assert_int_equal(bind(server, (struct sockaddr *)&address, sizeof(address)), 0);
        assert_int_equal(listen(server, 1), 0);

        _cleanup_free_ char *profile = text_format(NOTIFY(",\"listenerPath\":\"%s\",\"listenerMetadata\":\"meta\","
                                                          "\"flags\":[\"SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV\","
                                                          "\"SECCOMP_FILTER_FLAG_TSYNC\"]"),
                                                   address.sun_path);
        struct seccomp *seccomp = prepared(profile, folder->path);
        assert_true(seccomp_has_notify(seccomp));
        assert_string_equal(seccomp_listener_path(seccomp), address.sun_path);
        assert_string_equal(seccomp_listener_metadata(seccomp), "meta");
        pid_t pid = start_notifying(seccomp);

        char text[256];
        int connection = accept(server, NULL, NULL);
        int notify = receive(connection, text, sizeof(text));
        assert_string_equal(text, "{\"ociVersion\":\"1.2.0\",\"fds\":[\"seccompFd\"],\"pid\":42,\"metadata\":\"meta\","
                                  "\"state\":{\"ociVersion\":\"1.2.0\",\"pid\":42}}");
        assert_int_equal(read(connection, text, 1), 0);

        struct seccomp_notif request = { 0 };
        assert_int_equal(ioctl(notify, SECCOMP_IOCTL_NOTIF_RECV, &request), 0);
        assert_int_equal(request.data.nr, SYS_getpid);
        struct seccomp_notif_resp answer = { .id = request.id, .val = 55 };
        assert_int_equal(ioctl(notify, SECCOMP_IOCTL_NOTIF_SEND, &answer), 0);
        int status;
        assert_int_equal(waitpid(pid, &status, 0), pid);
        assert_int_equal(WEXITSTATUS(status), 55);

        seccomp_free(seccomp);
        close(notify);
        close(connection);
        close(server);
}

static void test_a_listener_that_is_not_there_is_an_error(void **state)
{
        struct folder *folder = *state;
        struct error err = { 0 };
        _cleanup_free_ char *profile = text_format(NOTIFY(",\"listenerPath\":\"%s/none\""), folder->path);
        struct seccomp *seccomp = prepared(profile, NULL);
        json_t *process = json_object();
        assert_int_equal(seccomp_send_notify(seccomp, 0, process, &err), -ENOENT);
        json_decref(process);
        seccomp_free(seccomp);
}

/* ---- the cache ---- */

static size_t files_in(const struct folder *folder, char *name)
{
        DIR *dir = opendir(folder->path);
        size_t count = 0;
        for (struct dirent *entry; (entry = readdir(dir));) {
                if (entry->d_type != DT_REG)
                        continue;
                count++;
                if (name)
                        text_copy(name, 256, entry->d_name);
        }
        closedir(dir);
        return count;
}

static void change_byte(const struct folder *folder, const char *name, off_t at)
{
        char byte;
        int fd = openat(folder->fd, name, O_RDWR | O_CLOEXEC);
        assert_int_equal(pread(fd, &byte, 1, at), 1);
        byte ^= 1;
        assert_int_equal(pwrite(fd, &byte, 1, at), 1);
        close(fd);
}

static void test_a_compiled_filter_is_found_again(void **state)
{
        struct folder *folder = *state;
        char name[NAME_MAX + 1];
        struct stat before, after;
        assert_int_equal(WEXITSTATUS(status_under(RULE("SCMP_ACT_ERRNO", ""), folder->path, try_getpid)), EPERM);
        assert_int_equal(files_in(folder, name), 1);
        assert_int_equal(fstatat(folder->fd, name, &before, 0), 0);
        assert_int_equal(before.st_mode & 07777, 0600);

        assert_int_equal(WEXITSTATUS(status_under(RULE("SCMP_ACT_ERRNO", ""), folder->path, try_getpid)), EPERM);
        assert_int_equal(files_in(folder, name), 1);
        assert_int_equal(fstatat(folder->fd, name, &after, 0), 0);
        assert_int_equal(before.st_ino, after.st_ino);

        assert_int_equal(WEXITSTATUS(
                                 status_under(RULE("SCMP_ACT_ERRNO", ",\"errnoRet\":38"), folder->path, try_getpid)),
                         ENOSYS);
        assert_int_equal(files_in(folder, NULL), 2);
}

static void test_a_damaged_cache_is_compiled_anew(void **state)
{
        struct folder *folder = *state;
        char name[NAME_MAX + 1];
        struct stat st;
        seccomp_free(prepared(RULE("SCMP_ACT_ERRNO", ""), folder->path));
        assert_int_equal(files_in(folder, name), 1);
        assert_int_equal(fstatat(folder->fd, name, &st, 0), 0);
        for (off_t at = 0; at < st.st_size; at++) {
                change_byte(folder, name, at);
                assert_int_equal(WEXITSTATUS(status_under(RULE("SCMP_ACT_ERRNO", ""), folder->path, try_getpid)),
                                 EPERM);
        }
        int fd = openat(folder->fd, name, O_WRONLY | O_TRUNC | O_CLOEXEC);
        close(fd);
        assert_int_equal(WEXITSTATUS(status_under(RULE("SCMP_ACT_ERRNO", ""), folder->path, try_getpid)), EPERM);
        assert_int_equal(fstatat(folder->fd, name, &st, 0), 0);
        assert_true(st.st_size > 0);
}

static void test_a_cached_filter_of_another_profile_is_not_taken(void **state)
{
        struct folder *folder = *state;
        char lax[NAME_MAX + 1], strict[NAME_MAX + 1];
        seccomp_free(prepared("{\"defaultAction\":\"SCMP_ACT_ALLOW\"}", folder->path));
        files_in(folder, lax);
        _cleanup_free_ char *data = NULL;
        size_t length;
        assert_int_equal(file_read(folder->fd, lax, 1 << 20, &data, &length, NULL), 0);
        assert_int_equal(unlinkat(folder->fd, lax, 0), 0);
        seccomp_free(prepared(RULE("SCMP_ACT_ERRNO", ""), folder->path));
        files_in(folder, strict);
        assert_int_equal(file_replace(folder->fd, strict, data, length, 0600, NULL), 0);
        assert_int_equal(WEXITSTATUS(status_under(RULE("SCMP_ACT_ERRNO", ""), folder->path, try_getpid)), EPERM);
}

static void test_a_cache_that_others_may_write_is_not_trusted(void **state)
{
        struct folder *folder = *state;
        assert_int_equal(fchmod(folder->fd, 0777), 0);
        seccomp_free(prepared(RULE("SCMP_ACT_ERRNO", ""), folder->path));
        assert_int_equal(files_in(folder, NULL), 0);
}

static void test_the_cache_is_bounded_and_loses_the_oldest(void **state)
{
        struct folder *folder = *state;
        char first[NAME_MAX + 1] = "";
        struct stat st;
        for (int i = 0; i < 70; i++) {
                _cleanup_free_ char *profile = text_format(RULE("SCMP_ACT_ERRNO", ",\"errnoRet\":%d"), i + 1);
                seccomp_free(prepared(profile, folder->path));
                if (!i)
                        files_in(folder, first);
        }
        assert_int_equal(files_in(folder, NULL), 64);
        assert_int_equal(fstatat(folder->fd, first, &st, 0), -1);
}

/* ---- profiles that are wrong ---- */

static void test_invalid_profiles_are_refused_at_their_field(void **state)
{
        (void)state;
        static const struct {
                const char *profile, *message;
        } cases[] = {
                { "{}", "defaultAction is required" },
                { "{\"defaultAction\":\"SCMP_ACT_NONE\"}", "has the unknown defaultAction \"SCMP_ACT_NONE\"" },
                { "{\"defaultAction\":\"SCMP_ACT_ALLOW\",\"defaultErrnoRet\":1}",
                  "has defaultErrnoRet, which SCMP_ACT_ALLOW" },
                { "{\"defaultAction\":\"SCMP_ACT_ERRNO\",\"defaultErrnoRet\":4096}", "must be between 0 and 4095" },
                { "{\"defaultAction\":\"SCMP_ACT_NOTIFY\"}", "SCMP_ACT_NOTIFY as defaultAction" },
                { "{\"defaultAction\":\"SCMP_ACT_ALLOW\",\"architectures\":[\"SCMP_ARCH_Z80\"]}", "architectures[0]" },
                { "{\"defaultAction\":\"SCMP_ACT_ALLOW\",\"flags\":[\"SECCOMP_FILTER_FLAG_X\"]}", "flags[0]" },
                { "{\"defaultAction\":\"SCMP_ACT_ALLOW\",\"listenerMetadata\":\"x\"}",
                  "listenerMetadata but no listenerPath" },
                { "{\"defaultAction\":\"SCMP_ACT_ALLOW\",\"syscalls\":[{\"action\":\"SCMP_ACT_TRAP\"}]}",
                  "names of system calls" },
                { "{\"defaultAction\":\"SCMP_ACT_ALLOW\",\"syscalls\":[{\"names\":[\"read\"]}]}",
                  "syscalls[0].action is required" },
                { "{\"defaultAction\":\"SCMP_ACT_ALLOW\",\"syscalls\":[{\"names\":[7],\"action\":\"SCMP_ACT_TRAP\"}]}",
                  "syscalls[0].names[0] must be a string" },
                { "{\"defaultAction\":\"SCMP_ACT_ALLOW\","
                  "\"syscalls\":[{\"names\":[\"read\"],\"action\":\"SCMP_ACT_KILL\","
                  "\"errnoRet\":1}]}",
                  "has errnoRet" },
                { "{\"defaultAction\":\"SCMP_ACT_ALLOW\","
                  "\"syscalls\":[{\"names\":[\"read\"],\"action\":\"SCMP_ACT_TRAP\","
                  "\"args\":[{\"index\":6,\"value\":1,\"op\":\"SCMP_CMP_EQ\"}]}]}",
                  "args[0].index is 6" },
                { "{\"defaultAction\":\"SCMP_ACT_ALLOW\","
                  "\"syscalls\":[{\"names\":[\"read\"],\"action\":\"SCMP_ACT_TRAP\","
                  "\"args\":[{\"index\":1,\"value\":1,\"op\":\"==\"}]}]}",
                  "unknown op \"==\"" },
        };
        for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
                struct error err = { 0 };
                struct seccomp *seccomp = NULL;
                assert_int_equal(prepare(cases[i].profile, NULL, &seccomp, &err), -EINVAL);
                assert_null(seccomp);
                if (!strstr(err.text, cases[i].message))
                        fail_msg("\"%s\" instead of \"%s\"", err.text, cases[i].message);
        }
}

#define IN_FOLDER(name) cmocka_unit_test_setup_teardown(name, make_folder, remove_folder)

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_errno_is_that_of_the_rule_and_eperm_without),
                cmocka_unit_test(test_allow_and_log_let_the_call_happen),
                cmocka_unit_test(test_kill_and_trap_end_the_process_by_sigsys),
                cmocka_unit_test(test_trace_tells_the_tracer_its_number),
                cmocka_unit_test(test_the_default_action_has_an_errno_of_its_own),
                cmocka_unit_test(test_every_operator_compares_all_64_bits),
                cmocka_unit_test(test_conditions_on_several_arguments_must_all_hold),
                cmocka_unit_test(test_of_several_conditions_on_one_argument_one_is_enough),
                cmocka_unit_test(test_unknown_names_of_system_calls_are_passed_over),
                cmocka_unit_test(test_all_23_architectures_are_accepted),
                cmocka_unit_test(test_flags_are_given_to_the_kernel),
                IN_FOLDER(test_the_listener_gets_descriptor_and_state_and_answers_calls),
                IN_FOLDER(test_a_listener_that_is_not_there_is_an_error),
                IN_FOLDER(test_a_compiled_filter_is_found_again),
                IN_FOLDER(test_a_damaged_cache_is_compiled_anew),
                IN_FOLDER(test_a_cached_filter_of_another_profile_is_not_taken),
                IN_FOLDER(test_a_cache_that_others_may_write_is_not_trusted),
                IN_FOLDER(test_the_cache_is_bounded_and_loses_the_oldest),
                cmocka_unit_test(test_invalid_profiles_are_refused_at_their_field),
        };
        return cmocka_run_group_tests(tests, NULL, NULL);
}
