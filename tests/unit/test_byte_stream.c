/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <pty.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <termios.h>
#include <unistd.h>

#include <cmocka.h>

#include "hosted/byte_stream.h"

static ssize_t put(struct byte_stream *stream, const char *text)
{
        struct iovec part = { (void *)text, strlen(text) };
        return byte_stream_write(stream, &part, 1);
}

static void adopt(struct byte_stream *stream, int fd)
{
        struct error err = { 0 };
        assert_return_code(byte_stream_adopt(stream, fd, &err), 0);
}

static void test_an_empty_pipe_makes_nobody_wait_and_keeps_its_mode(void **state)
{
        struct byte_stream stream;
        char bytes[8];
        int ends[2];
        (void)state;
        assert_return_code(pipe(ends), 0);
        int shared = dup(ends[0]);
        adopt(&stream, ends[0]);
        assert_int_equal(byte_stream_read(&stream, bytes, sizeof(bytes)), -EAGAIN);
        assert_false(fcntl(shared, F_GETFL) & O_NONBLOCK);
        assert_int_equal(write(ends[1], "abc", 3), 3);
        assert_int_equal(byte_stream_read(&stream, bytes, sizeof(bytes)), 3);
        close(ends[1]);
        assert_int_equal(byte_stream_read(&stream, bytes, sizeof(bytes)), 0);
        assert_int_equal(put(&stream, "x"), -EPIPE); /* it was opened for reading */
        byte_stream_close(&stream);
        close(shared);
}

static void test_a_full_pipe_takes_what_it_can_and_ends_for_its_reader(void **state)
{
        struct byte_stream stream;
        char bytes[65536] = { 0 };
        int ends[2];
        (void)state;
        assert_return_code(pipe(ends), 0);
        adopt(&stream, ends[1]);
        struct iovec part = { bytes, sizeof(bytes) };
        while (byte_stream_write(&stream, &part, 1) > 0)
                ;
        assert_int_equal(byte_stream_write(&stream, &part, 1), -EAGAIN);
        byte_stream_end_writing(&stream);
        assert_int_equal(stream.fd, -1);
        while (read(ends[0], bytes, sizeof(bytes)) > 0)
                ;
        close(ends[0]);
}

static void test_a_pipe_that_nobody_reads_is_an_error_and_no_signal(void **state)
{
        struct byte_stream stream;
        int ends[2];
        (void)state;
        signal(SIGPIPE, SIG_IGN);
        assert_return_code(pipe(ends), 0);
        close(ends[0]);
        adopt(&stream, ends[1]);
        assert_int_equal(put(&stream, "x"), -EPIPE);
        byte_stream_close(&stream);
}

static void test_a_file_goes_on_where_its_descriptor_stood(void **state)
{
        struct byte_stream stream;
        char path[] = "/tmp/onggi-stream-XXXXXX", bytes[8] = "";
        (void)state;
        int fd = mkstemp(path);
        unlink(path);
        assert_int_equal(write(fd, "abcdef", 6), 6);
        lseek(fd, 4, SEEK_SET);
        adopt(&stream, fd);
        assert_false(stream.pollable);
        assert_int_equal(byte_stream_read(&stream, bytes, sizeof(bytes)), 2);
        assert_string_equal(bytes, "ef");
        assert_int_equal(byte_stream_read(&stream, bytes, sizeof(bytes)), 0);
        byte_stream_close(&stream);
}

static void test_a_socket_is_closed_in_one_direction(void **state)
{
        struct byte_stream stream;
        char bytes[8];
        int ends[2];
        (void)state;
        assert_return_code(socketpair(AF_UNIX, SOCK_STREAM, 0, ends), 0);
        adopt(&stream, ends[0]);
        assert_int_equal(byte_stream_read(&stream, bytes, sizeof(bytes)), -EAGAIN);
        assert_int_equal(put(&stream, "abc"), 3);
        byte_stream_end_writing(&stream);
        assert_int_equal(read(ends[1], bytes, sizeof(bytes)), 3);
        assert_int_equal(read(ends[1], bytes, sizeof(bytes)), 0);
        assert_int_equal(write(ends[1], "de", 2), 2);
        assert_int_equal(byte_stream_read(&stream, bytes, sizeof(bytes)), 2);
        byte_stream_close(&stream);
        close(ends[1]);
}

static void test_a_terminal_that_was_hung_up_is_an_error_and_no_end(void **state)
{
        struct byte_stream stream;
        struct termios raw;
        char bytes[8];
        int master, slave;
        (void)state;
        assert_return_code(openpty(&master, &slave, NULL, NULL, NULL), 0);
        tcgetattr(slave, &raw);
        cfmakeraw(&raw);
        tcsetattr(slave, TCSANOW, &raw);
        adopt(&stream, slave);
        assert_int_equal(byte_stream_read(&stream, bytes, sizeof(bytes)), -EAGAIN);
        assert_int_equal(write(master, "\4", 1), 1); /* Ctrl-D is a byte for the guest's terminal */
        assert_int_equal(byte_stream_read(&stream, bytes, sizeof(bytes)), 1);
        close(master);
        assert_int_equal(byte_stream_read(&stream, bytes, sizeof(bytes)), -EIO);
        byte_stream_close(&stream);
}

static void test_a_descriptor_that_is_not_open_is_refused(void **state)
{
        struct byte_stream stream;
        struct error err = { 0 };
        (void)state;
        assert_int_equal(byte_stream_adopt(&stream, 1000, &err), -EBADF);
        assert_non_null(strstr(err.text, "descriptor 1000 is not open"));
        assert_int_equal(stream.fd, -1);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_an_empty_pipe_makes_nobody_wait_and_keeps_its_mode),
                cmocka_unit_test(test_a_full_pipe_takes_what_it_can_and_ends_for_its_reader),
                cmocka_unit_test(test_a_pipe_that_nobody_reads_is_an_error_and_no_signal),
                cmocka_unit_test(test_a_file_goes_on_where_its_descriptor_stood),
                cmocka_unit_test(test_a_socket_is_closed_in_one_direction),
                cmocka_unit_test(test_a_terminal_that_was_hung_up_is_an_error_and_no_end),
                cmocka_unit_test(test_a_descriptor_that_is_not_open_is_refused),
        };
        return cmocka_run_group_tests(tests, NULL, NULL);
}
