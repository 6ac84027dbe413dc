/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "container/dbus_call.h"

#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/file.h"
#include "base/text.h"

static const struct dbus_method method = { "org.example", "/org/example", "org.example.Thing", "Do" };

/* ---- the other end ---- */

struct peer {
        char folder[64], path[96];
        int listening;
        pid_t pid;
};

static void peer_listen(struct peer *peer)
{
        TEXT_COPY(peer->folder, "/tmp/onggi-dbus-XXXXXX");
        assert_non_null(mkdtemp(peer->folder));
        snprintf(peer->path, sizeof(peer->path), "%s/socket", peer->folder);
        struct sockaddr_un address = { .sun_family = AF_UNIX };
        TEXT_COPY(address.sun_path, peer->path);
        peer->listening = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
        assert_int_equal(bind(peer->listening, (struct sockaddr *)&address, sizeof(address)), 0);
        assert_int_equal(listen(peer->listening, 1), 0);
}

static void read_line(int fd, const char *expected)
{
        char line[128] = "";
        for (size_t i = 0; i < sizeof(line) - 1 && read(fd, &line[i], 1) == 1 && line[i] != '\n'; i++)
                ;
        if (strcmp(line, expected))
                _exit(1);
}

/* Lets the caller in, takes one call, and says what the test wants said. */
static void peer_answer(struct peer *peer, const char *greeting, const struct text *answer)
{
        peer_listen(peer);
        peer->pid = fork();
        if (peer->pid)
                return;
        int fd = accept(peer->listening, NULL, NULL);
        char zero = 1, user[16], expected[64] = "AUTH EXTERNAL ", call[4096];
        snprintf(user, sizeof(user), "%u", (unsigned)geteuid());
        for (const char *digit = user; *digit; digit++)
                sprintf(expected + strlen(expected), "%02x", (unsigned)*digit);
        snprintf(expected + strlen(expected), sizeof(expected) - strlen(expected), "\r\n");
        if (read(fd, &zero, 1) != 1 || zero)
                _exit(1);
        read_line(fd, expected);
        read_line(fd, "BEGIN\r\n");
        write_all(fd, greeting, strlen(greeting));
        if (!strncmp(greeting, "OK", 2)) {
                if (read(fd, call, sizeof(call)) < 16)
                        _exit(1);
                write_all(fd, answer->data, answer->length);
        }
        _exit(0);
}

static void peer_end(struct peer *peer)
{
        int status;
        assert_int_equal(waitpid(peer->pid, &status, 0), peer->pid);
        assert_int_equal(status, 0);
        close(peer->listening);
        assert_int_equal(tree_remove(AT_FDCWD, peer->folder, NULL), 0);
}

static void append_u32(struct text *text, uint32_t value)
{
        static const char zeros[4] = { 0 };
        text_append_bytes(text, zeros, -text->length & 3);
        text_append_bytes(text, &value, 4);
}

static void append_string(struct text *text, const char *string)
{
        append_u32(text, (uint32_t)strlen(string));
        text_append_bytes(text, string, strlen(string) + 1);
}

static void append_message(struct text *out, uint8_t type, uint32_t reply_to, const char *member, const char *signature,
                           const struct text *body)
{
        static const char zeros[8] = { 0 };
        struct text fields = { 0 };
        if (member) {
                text_append_bytes(&fields, "\3\1s\0", 4);
                append_string(&fields, member);
        }
        text_append_bytes(&fields, zeros, -fields.length & 7);
        if (reply_to) {
                text_append_bytes(&fields, "\5\1u\0", 4);
                append_u32(&fields, reply_to);
        }
        text_append_bytes(&fields, zeros, -fields.length & 7);
        text_append_bytes(&fields, "\10\1g\0", 4);
        char length = (char)strlen(signature);
        text_append_bytes(&fields, &length, 1);
        text_append_bytes(&fields, signature, strlen(signature) + 1);

        char head[4] = { 'l', (char)type, 0, 1 };
        text_append_bytes(out, head, 4);
        uint32_t numbers[] = { (uint32_t)body->length, 77, (uint32_t)fields.length };
        text_append_bytes(out, numbers, sizeof(numbers));
        text_append_bytes(&fields, zeros, -fields.length & 7);
        text_append_bytes(out, fields.data, fields.length);
        text_append_bytes(out, body->data, body->length);
        text_free(&fields);
}

static void append_job(struct text *out, const char *job, const char *result)
{
        struct text body = { 0 };
        append_u32(&body, 5);
        append_string(&body, job);
        append_string(&body, "x.scope");
        append_string(&body, result);
        append_message(out, 4, 0, "JobRemoved", "uoss", &body);
        text_free(&body);
}

/* ---- tests ---- */

static void test_arguments_are_aligned_as_the_specification_says(void **state)
{
        (void)state;
        struct dbus_arguments arguments = { .signature = "sa(sv)" };
        dbus_put_string(&arguments, "ab");
        size_t array = dbus_begin_array(&arguments, 8);
        dbus_put_struct(&arguments);
        dbus_put_string(&arguments, "T");
        dbus_put_signature(&arguments, "t");
        dbus_put_u64(&arguments, 0x0102030405060708);
        dbus_end_array(&arguments, array, 8);
        static const uint8_t expected[] = {
                2,  0, 0, 0, 'a', 'b', 0, 0, /* "ab", and to a multiple of four */
                24, 0, 0, 0, 0,   0,   0, 0, /* the array's length, and to a multiple of eight, which does not count */
                1,  0, 0, 0, 'T', 0,   1, 't', /* "T", signature of the variant … */
                0,  0, 0, 0, 0,   0,   0, 0,   /* … and to a multiple of eight */
                8,  7, 6, 5, 4,   3,   2, 1,
        };
        assert_int_equal(arguments.bytes.length, sizeof(expected));
        assert_memory_equal(arguments.bytes.data, expected, sizeof(expected));
        text_free(&arguments.bytes);
}

static void test_an_empty_array_has_length_zero_and_its_padding(void **state)
{
        (void)state;
        struct dbus_arguments arguments = { .signature = "a(sv)" };
        size_t array = dbus_begin_array(&arguments, 8);
        dbus_end_array(&arguments, array, 8);
        static const uint8_t expected[8] = { 0 };
        assert_int_equal(arguments.bytes.length, sizeof(expected));
        assert_memory_equal(arguments.bytes.data, expected, sizeof(expected));
        text_free(&arguments.bytes);
}

/* Calls once and waits for the job that the reply names; *result is the job's. */
static int call_and_wait(const struct text *answer, char **result, struct error *err)
{
        struct peer peer;
        peer_answer(&peer, "OK 0123456789abcdef\r\n", answer);
        struct dbus *bus = NULL;
        char *job = NULL;
        int r = dbus_open(peer.path, false, &bus, err);
        assert_int_equal(r, 0);
        struct dbus_arguments arguments = { .signature = "s" };
        dbus_put_string(&arguments, "x.scope");
        r = dbus_call(bus, &method, &arguments, &job, err);
        if (!r)
                r = dbus_wait_job(bus, job, result, err);
        text_free(&arguments.bytes);
        free(job);
        dbus_close(bus);
        peer_end(&peer);
        return r;
}

static void test_a_job_that_ends_before_the_reply_is_not_missed(void **state)
{
        (void)state;
        struct text answer = { 0 }, body = { 0 };
        append_string(&body, "/job/7");
        append_job(&answer, "/job/6", "failed");
        append_job(&answer, "/job/7", "done");
        append_message(&answer, 2, 1, NULL, "o", &body);
        char *result = NULL;
        struct error err = { 0 };
        assert_int_equal(call_and_wait(&answer, &result, &err), 0);
        assert_string_equal(result, "done");
        free(result);
        text_free(&answer);
        text_free(&body);
}

static void test_a_job_that_ends_after_the_reply_is_awaited(void **state)
{
        (void)state;
        struct text answer = { 0 }, body = { 0 };
        append_string(&body, "/job/7");
        append_message(&answer, 2, 1, NULL, "o", &body);
        append_job(&answer, "/job/7", "timeout");
        char *result = NULL;
        struct error err = { 0 };
        assert_int_equal(call_and_wait(&answer, &result, &err), 0);
        assert_string_equal(result, "timeout");
        free(result);
        text_free(&answer);
        text_free(&body);
}

static void test_an_error_reply_is_told_in_its_own_words(void **state)
{
        (void)state;
        struct text answer = { 0 }, body = { 0 };
        append_string(&body, "Unit x.scope was already loaded");
        append_message(&answer, 3, 1, NULL, "s", &body);
        char *result = NULL;
        struct error err = { 0 };
        assert_int_equal(call_and_wait(&answer, &result, &err), -EREMOTEIO);
        assert_string_equal(err.text, "Unit x.scope was already loaded");
        text_free(&answer);
        text_free(&body);
}

static void test_messages_that_break_the_rules_are_refused(void **state)
{
        (void)state;
        static const struct {
                const char *bytes;
                size_t length;
        } hostile[] = {
                { "", 0 },
                { "l\2\0\1\0\0\0", 7 },
                { "B\2\0\1\0\0\0\0\1\0\0\0\0\0\0\0", 16 },                         /* the other byte order */
                { "l\2\0\2\0\0\0\0\1\0\0\0\0\0\0\0", 16 },                         /* another version */
                { "l\2\0\1\377\377\377\377\1\0\0\0\0\0\0\0", 16 },                 /* a body of 4 GiB */
                { "l\2\0\1\0\0\0\0\1\0\0\0\377\377\377\177", 16 },                 /* fields of 2 GiB */
                { "l\2\0\1\0\0\0\0\1\0\0\0\10\0\0\0\5\1u\0\1\0\0", 23 },           /* cut short */
                { "l\2\0\1\0\0\0\0\1\0\0\0\10\0\0\0\3\1s\0\377\377\377\177", 24 }, /* a string beyond the end */
                { "l\2\0\1\0\0\0\0\1\0\0\0\10\0\0\0\3\1x\0\0\0\0\0", 24 },         /* a field of an unknown type */
                { "l\2\0\1\0\0\0\0\1\0\0\0\10\0\0\0\5\1u\0\1\0\0\0",
                  24 }, /* a reply without the text that was asked for */
        };
        for (size_t i = 0; i < sizeof(hostile) / sizeof(hostile[0]); i++) {
                struct text answer = { 0 };
                text_append_bytes(&answer, hostile[i].bytes, hostile[i].length);
                char *result = NULL;
                struct error err = { 0 };
                assert_true(call_and_wait(&answer, &result, &err) < 0);
                assert_null(result);
                text_free(&answer);
        }
}

static void test_a_refused_login_is_an_error(void **state)
{
        (void)state;
        struct peer peer;
        struct text none = { 0 };
        peer_answer(&peer, "REJECTED EXTERNAL\r\n", &none);
        struct dbus *bus = NULL;
        struct error err = { 0 };
        assert_int_equal(dbus_open(peer.path, false, &bus, &err), -EACCES);
        assert_non_null(strstr(err.text, "does not let us in"));
        peer_end(&peer);
        assert_true(dbus_open("/nonexistent/socket", false, &bus, &err) < 0);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_arguments_are_aligned_as_the_specification_says),
                cmocka_unit_test(test_an_empty_array_has_length_zero_and_its_padding),
                cmocka_unit_test(test_a_job_that_ends_before_the_reply_is_not_missed),
                cmocka_unit_test(test_a_job_that_ends_after_the_reply_is_awaited),
                cmocka_unit_test(test_an_error_reply_is_told_in_its_own_words),
                cmocka_unit_test(test_messages_that_break_the_rules_are_refused),
                cmocka_unit_test(test_a_refused_login_is_an_error),
        };
        return cmocka_run_group_tests(tests, NULL, NULL);
}
