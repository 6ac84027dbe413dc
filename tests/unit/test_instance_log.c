/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/file.h"
#include "base/text.h"
#include "instance/instance.h"
#include "instance/log.h"

struct fixture {
        char path[64];
        struct instance instance;
        struct log_writer log;
        struct text read; /* entries, one a line: stream, tag, text */
};

static int set_up(void **state)
{
        struct fixture *fixture = calloc(1, sizeof(*fixture));
        TEXT_COPY(fixture->path, "/tmp/onggi-log-XXXXXX");
        assert_non_null(mkdtemp(fixture->path));
        fixture->instance.folder = open(fixture->path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        fixture->log.fd = -1;
        *state = fixture;
        return 0;
}

static int tear_down(void **state)
{
        struct fixture *fixture = *state;
        log_close(&fixture->log);
        close(fixture->instance.folder);
        tree_remove(AT_FDCWD, fixture->path, NULL);
        text_free(&fixture->read);
        free(fixture);
        return 0;
}

static int take(const struct log_entry *entry, void *context)
{
        struct fixture *fixture = context;
        text_printf(&fixture->read, "%d%c%.*s\n", entry->stream, entry->whole ? 'F' : 'P', (int)entry->length,
                    entry->text);
        return 0;
}

static const char *read_log(struct fixture *fixture, const struct log_query *query)
{
        text_free(&fixture->read);
        assert_int_equal(log_read(&fixture->instance, query, take, fixture, NULL), 0);
        return fixture->read.data ? fixture->read.data : "";
}

static void say(struct fixture *fixture, int stream, const char *text)
{
        assert_int_equal(log_append(&fixture->log, stream, text, strlen(text)), 0);
}

static void test_lines_and_parts_come_back_as_they_were_written(void **state)
{
        struct fixture *fixture = *state;
        assert_int_equal(log_open(&fixture->log, fixture->instance.folder, 0, 1, NULL), 0);
        say(fixture, 1, "one\ntwo\nthr");
        say(fixture, 2, "error\n");
        say(fixture, 1, "ee\n\n");
        const struct log_query all = { .tail = -1 };
        assert_string_equal(read_log(fixture, &all), "1Fone\n1Ftwo\n1Pthr\n2Ferror\n1Fee\n1F\n");
        const struct log_query errors = { .tail = -1, .no_stdout = true };
        assert_string_equal(read_log(fixture, &errors), "2Ferror\n");
}

static void test_tail_counts_lines_and_not_parts(void **state)
{
        struct fixture *fixture = *state;
        assert_int_equal(log_open(&fixture->log, fixture->instance.folder, 0, 1, NULL), 0);
        say(fixture, 1, "one\ntw");
        say(fixture, 1, "o\nthree\n");
        const struct log_query two = { .tail = 2 }, none = { .tail = 0 };
        assert_string_equal(read_log(fixture, &two), "1Ptw\n1Fo\n1Fthree\n");
        assert_string_equal(read_log(fixture, &none), "");
}

static void test_rotation_keeps_the_newest_lines_whole(void **state)
{
        struct fixture *fixture = *state;
        assert_int_equal(log_open(&fixture->log, fixture->instance.folder, 4096, 3, NULL), 0);
        char line[32];
        for (int i = 0; i < 1000; i++) {
                snprintf(line, sizeof(line), "line %d\n", i);
                say(fixture, 1, line);
        }
        struct stat st;
        assert_int_equal(fstatat(fixture->instance.folder, "log.2", &st, 0), 0);
        assert_true(st.st_size <= 4096);
        assert_int_equal(fstatat(fixture->instance.folder, "log.3", &st, 0), -1);
        const struct log_query all = { .tail = -1 };
        const char *text = read_log(fixture, &all);
        int first = -1;
        assert_int_equal(sscanf(text, "1Fline %d", &first), 1);
        assert_true(first > 0 && first < 950);
        /* From the oldest that is kept to the newest there is no gap. */
        for (int i = first; i < 1000; i++) {
                snprintf(line, sizeof(line), "1Fline %d\n", i);
                assert_true(text_starts(text, line));
                text += strlen(line);
        }
        assert_string_equal(text, "");
}

static void test_a_log_goes_on_where_it_ended(void **state)
{
        struct fixture *fixture = *state;
        for (int i = 0; i < 2; i++) {
                assert_int_equal(log_open(&fixture->log, fixture->instance.folder, 0, 1, NULL), 0);
                say(fixture, 1, i ? "again\n" : "first\n");
                log_close(&fixture->log);
        }
        const struct log_query all = { .tail = -1 };
        assert_string_equal(read_log(fixture, &all), "1Ffirst\n1Fagain\n");
}

static void test_lines_that_are_no_entries_are_passed_over(void **state)
{
        struct fixture *fixture = *state;
        static const char text[] = "garbage\n2026-01-02T03:04:05.5Z stdout F good\n2026-01-02T03:04:05Z stdin F bad\n"
                                   "2026-01-02T03:04:05Z stdout X bad\n\n2026-01-02T03:04:05Z stderr P cut";
        assert_int_equal(file_replace_volatile(fixture->instance.folder, "log", text, strlen(text), 0640, NULL), 0);
        const struct log_query all = { .tail = -1 };
        assert_string_equal(read_log(fixture, &all), "1Fgood\n");
}

static void test_an_entry_has_its_parts(void **state)
{
        (void)state;
        struct log_entry entry;
        static const char line[] = "2026-01-02T03:04:05.000000007Z stderr P a b";
        assert_int_equal(log_parse(line, strlen(line), &entry), 0);
        assert_int_equal(entry.time.tv_sec, 1767323045);
        assert_int_equal(entry.time.tv_nsec, 7);
        assert_int_equal(entry.stream, 2);
        assert_false(entry.whole);
        assert_int_equal(entry.length, 3);
        for (size_t length = 0; length < strlen(line) - 4; length++)
                assert_int_equal(log_parse(line, length, &entry), -EBADMSG);
}

static void test_since_and_until_bound_the_entries(void **state)
{
        struct fixture *fixture = *state;
        static const char text[] =
                "2026-01-02T03:04:05Z stdout F a\n2026-01-02T03:04:06Z stdout F b\n2026-01-02T03:04:07Z stdout F c\n";
        assert_int_equal(file_replace_volatile(fixture->instance.folder, "log", text, strlen(text), 0640, NULL), 0);
        struct log_query query = { .tail = -1 };
        assert_int_equal(log_parse_time("2026-01-02T03:04:06Z", &query.since), 0);
        query.until = query.since;
        assert_string_equal(read_log(fixture, &query), "1Fb\n");
}

static void test_times_are_read_as_people_write_them(void **state)
{
        (void)state;
        struct timespec time, now;
        assert_int_equal(log_parse_time("1767323045.25", &time), 0);
        assert_int_equal(time.tv_sec, 1767323045);
        assert_int_equal(time.tv_nsec, 250000000);
        assert_int_equal(log_parse_time("2026-01-02T04:04:05+01:00", &time), 0);
        assert_int_equal(time.tv_sec, 1767323045);
        clock_gettime(CLOCK_REALTIME, &now);
        assert_int_equal(log_parse_time("10m", &time), 0);
        assert_in_range(now.tv_sec - time.tv_sec, 599, 601);
        assert_int_equal(log_parse_time("yesterday", &time), -EINVAL);
        assert_int_equal(log_parse_time("2026-13-02T04:04:05Z", &time), -EINVAL);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test_setup_teardown(test_lines_and_parts_come_back_as_they_were_written, set_up, tear_down),
                cmocka_unit_test_setup_teardown(test_tail_counts_lines_and_not_parts, set_up, tear_down),
                cmocka_unit_test_setup_teardown(test_rotation_keeps_the_newest_lines_whole, set_up, tear_down),
                cmocka_unit_test_setup_teardown(test_a_log_goes_on_where_it_ended, set_up, tear_down),
                cmocka_unit_test_setup_teardown(test_lines_that_are_no_entries_are_passed_over, set_up, tear_down),
                cmocka_unit_test(test_an_entry_has_its_parts),
                cmocka_unit_test_setup_teardown(test_since_and_until_bound_the_entries, set_up, tear_down),
                cmocka_unit_test(test_times_are_read_as_people_write_them),
        };
        return cmocka_run_group_tests(tests, NULL, NULL);
}
