/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "base/process.h"

#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/cleanup.h"

static void test_a_process_is_known_by_number_and_start(void **state)
{
        (void)state;
        uint64_t start;
        assert_int_equal(process_start_time(getpid(), &start), 0);
        _cleanup_close_ int fd = process_open(getpid(), start);
        assert_true(fd >= 0);
        assert_int_equal(process_open(getpid(), start + 1), -ESRCH);
        assert_int_equal(process_open(0, 0), -ESRCH);
}

static void test_a_zombie_counts_as_gone(void **state)
{
        (void)state;
        pid_t child = fork();
        if (!child)
                _exit(0);
        siginfo_t info;
        assert_int_equal(waitid(P_PID, (id_t)child, &info, WEXITED | WNOWAIT), 0);
        assert_int_equal(process_open(child, 0), -ESRCH);
        int code;
        assert_int_equal(process_wait(child, &code), 0);
        assert_int_equal(code, 0);
}

static void test_spawn_connects_the_standard_descriptors(void **state)
{
        (void)state;
        int pipes[2];
        assert_int_equal(pipe2(pipes, O_CLOEXEC), 0);
        struct error err = { 0 };
        pid_t pid;
        char *argv[] = { "sh", "-c", "echo out; exit 7", NULL };
        assert_int_equal(process_spawn(argv, (int[]){ -1, pipes[1], -1 }, &pid, &err), 0);
        close(pipes[1]);
        char text[8] = { 0 };
        assert_int_equal(read(pipes[0], text, sizeof(text) - 1), 4);
        assert_string_equal(text, "out\n");
        close(pipes[0]);
        int code;
        assert_int_equal(process_wait(pid, &code), 0);
        assert_int_equal(code, 7);
}

static void test_spawn_reports_a_program_that_is_not_there(void **state)
{
        (void)state;
        struct error err = { 0 };
        pid_t pid = 0;
        char *argv[] = { "/nowhere/program", NULL };
        assert_int_equal(process_spawn(argv, (int[]){ -1, -1, -1 }, &pid, &err), -ENOENT);
        assert_string_equal(err.text, "cannot start /nowhere/program: No such file or directory");
        assert_int_equal(waitpid(-1, NULL, WNOHANG), -1);
}

static void test_a_signal_gives_128_and_its_number(void **state)
{
        (void)state;
        pid_t child = fork();
        if (!child) {
                pause();
                _exit(0);
        }
        _cleanup_close_ int fd = process_open(child, 0);
        assert_int_equal(process_signal(fd, SIGKILL), 0);
        int code;
        assert_int_equal(process_wait(child, &code), 0);
        assert_int_equal(code, 137);
}

static void test_signals_have_names(void **state)
{
        (void)state;
        assert_int_equal(signal_from_name("TERM"), SIGTERM);
        assert_int_equal(signal_from_name("sigkill"), SIGKILL);
        assert_int_equal(signal_from_name("15"), SIGTERM);
        assert_int_equal(signal_from_name("RTMIN+3"), SIGRTMIN + 3);
        assert_int_equal(signal_from_name("SIGRTMAX-1"), SIGRTMAX - 1);
        static const char *const bad[] = { "", "0", "65", "NOPE", "RTMIN-1", "RTMIN+99", "-9", "SIG" };
        for (size_t i = 0; i < ARRAY_SIZE(bad); i++)
                assert_int_equal(signal_from_name(bad[i]), -EINVAL);
        assert_string_equal(signal_name(SIGHUP), "SIGHUP");
        assert_string_equal(signal_name(SIGRTMIN + 2), "SIGRTMIN+2");
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_a_process_is_known_by_number_and_start),
                cmocka_unit_test(test_a_zombie_counts_as_gone),
                cmocka_unit_test(test_spawn_connects_the_standard_descriptors),
                cmocka_unit_test(test_spawn_reports_a_program_that_is_not_there),
                cmocka_unit_test(test_a_signal_gives_128_and_its_number),
                cmocka_unit_test(test_signals_have_names),
        };
        return cmocka_run_group_tests(tests, NULL, NULL);
}
