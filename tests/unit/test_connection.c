/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#include "instance/connection.h"
#include "instance/exit_code.h"
#include "instance/message.h"
#include "instance/name.h"

static void test_detach_keys_are_read_as_docker_writes_them(void **state)
{
        (void)state;
        struct detach_keys keys;
        assert_int_equal(detach_keys_parse(NULL, &keys, NULL), 0);
        assert_int_equal(keys.count, 2);
        assert_int_equal(keys.keys[0], 'P' - '@');
        assert_int_equal(detach_keys_parse("a,ctrl-x,ctrl-@", &keys, NULL), 0);
        assert_int_equal(keys.count, 3);
        assert_int_equal(keys.keys[0], 'a');
        assert_int_equal(keys.keys[1], 'X' - '@');
        assert_int_equal(keys.keys[2], 0);
        assert_int_equal(detach_keys_parse("ctrl-", &keys, NULL), -EINVAL);
        assert_int_equal(detach_keys_parse("ab", &keys, NULL), -EINVAL);
        assert_int_equal(detach_keys_parse("", &keys, NULL), 0);
        assert_int_equal(keys.count, 0);
}

static void test_a_sequence_that_breaks_off_gives_its_keys_back(void **state)
{
        (void)state;
        struct detach_keys keys;
        size_t position = 0, held;
        assert_int_equal(detach_keys_parse("a,b,c", &keys, NULL), 0);
        assert_int_equal(detach_keys_feed(&keys, &position, 'a', &held), 0);
        assert_int_equal(detach_keys_feed(&keys, &position, 'b', &held), 0);
        assert_int_equal(detach_keys_feed(&keys, &position, 'x', &held), -1);
        assert_int_equal(held, 2);
        assert_int_equal(detach_keys_feed(&keys, &position, 'a', &held), 0);
        assert_int_equal(detach_keys_feed(&keys, &position, 'b', &held), 0);
        assert_int_equal(detach_keys_feed(&keys, &position, 'c', &held), 1);
}

static void test_a_message_arrives_as_it_was_sent(void **state)
{
        (void)state;
        int ends[2];
        struct message message;
        assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends), 0);
        assert_int_equal(message_send(ends[0], MESSAGE_FAILED, &(int32_t){ 127 }, 1, "why", 3), 0);
        assert_int_equal(message_receive(ends[1], &message), 1);
        assert_int_equal(message.type, MESSAGE_FAILED);
        assert_int_equal(message_number(&message, 0), 127);
        assert_int_equal(message_number(&message, 1), 0);
        assert_string_equal(message_text(&message, 1), "why");
        assert_string_equal(message_text(&message, 5), "");
        close(ends[0]);
        assert_int_equal(message_receive(ends[1], &message), 0);
        close(ends[1]);
}

static void test_a_message_that_is_too_long_is_refused(void **state)
{
        (void)state;
        static char long_data[MESSAGE_DATA_MAX + 200];
        int ends[2];
        struct message message;
        assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends), 0);
        assert_int_equal(message_send(ends[0], MESSAGE_INPUT, NULL, 0, long_data, sizeof(long_data)), 0);
        assert_int_equal(message_receive(ends[1], &message), -EMSGSIZE);
        close(ends[0]);
        close(ends[1]);
}

static void test_names_are_dockers(void **state)
{
        (void)state;
        assert_true(instance_name_valid("web-1.x_y"));
        static const char *const wrong[] = { "", "a", "-a", ".a", "_a", "a b", "a/b", "../x", "a\n" };
        for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++)
                assert_false(instance_name_valid(wrong[i]));
}

static void test_failures_have_dockers_exit_codes(void **state)
{
        (void)state;
        assert_int_equal(exit_code_of_failure("exec: \"x\": executable file not found in $PATH"), 127);
        assert_int_equal(exit_code_of_failure("exec: \"/x\": stat /x: No such file or directory"), 127);
        assert_int_equal(exit_code_of_failure("exec: \"/etc\": Is a directory"), 126);
        assert_int_equal(exit_code_of_failure("exec: \"/etc/passwd\": Permission denied"), 126);
        assert_int_equal(exit_code_of_failure("cannot mount /proc: Permission denied"), 125);
        assert_int_equal(exit_code_of_failure("the first process ended: the memory limit is too low (out of memory)"),
                         137);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_detach_keys_are_read_as_docker_writes_them),
                cmocka_unit_test(test_a_sequence_that_breaks_off_gives_its_keys_back),
                cmocka_unit_test(test_a_message_arrives_as_it_was_sent),
                cmocka_unit_test(test_a_message_that_is_too_long_is_refused),
                cmocka_unit_test(test_names_are_dockers),
                cmocka_unit_test(test_failures_have_dockers_exit_codes),
        };
        return cmocka_run_group_tests(tests, NULL, NULL);
}
