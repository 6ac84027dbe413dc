/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "instance/events.h"

#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/file.h"
#include "base/text.h"
#include "instance/instance.h"
#include "instance/timestamp.h"

struct fixture {
        char path[64];
        struct host host;
        struct text read; /* "type action;" of each event that was read */
        const char *last; /* the action that ends the walk; NULL: none */
};

static int set_up(void **state)
{
        struct fixture *fixture = calloc(1, sizeof(*fixture));
        TEXT_COPY(fixture->path, "/tmp/onggi-events-XXXXXX");
        assert_non_null(mkdtemp(fixture->path));
        fixture->host.state = fixture->path;
        *state = fixture;
        return 0;
}

static int tear_down(void **state)
{
        struct fixture *fixture = *state;
        tree_remove(AT_FDCWD, fixture->path, NULL);
        text_free(&fixture->read);
        free(fixture);
        return 0;
}

static int take(const json_t *event, void *context)
{
        struct fixture *fixture = context;
        const char *action = json_string_value(json_object_get(event, "Action"));
        text_printf(&fixture->read, "%s %s;", json_string_value(json_object_get(event, "Type")), action);
        return text_equal(action, fixture->last);
}

static struct timespec now(void)
{
        struct timespec time;
        clock_gettime(CLOCK_REALTIME, &time);
        return time;
}

/* All from `since` to `until`; neither waits. */
static const char *read_between(struct fixture *fixture, struct timespec since, struct timespec until,
                                char *const *filters)
{
        const struct event_query query = { .since = since, .until = until, .filters = filters };
        struct error err = { 0 };
        text_free(&fixture->read);
        if (events_read(&fixture->host, &query, take, fixture, &err) < 0)
                fail_msg("%s", err.text);
        return fixture->read.data ? fixture->read.data : "";
}

static const char *read_all(struct fixture *fixture, char *const *filters)
{
        return read_between(fixture, (struct timespec){ .tv_sec = 1 }, now(), filters);
}

static void append(struct fixture *fixture, const char *type, const char *action, const char *id,
                   const char *attributes)
{
        json_t *object = json_loads(attributes, 0, NULL);
        event_append(fixture->path, type, action, id, object);
        json_decref(object);
}

static void test_events_are_read_in_their_order(void **state)
{
        struct fixture *fixture = *state;
        event_append(fixture->path, "container", "start", "abc", NULL);
        event_append(fixture->path, "volume", "create", "data", NULL);
        assert_string_equal(read_all(fixture, NULL), "container start;volume create;");
}

static void test_an_instances_death_has_its_exit_code(void **state)
{
        struct fixture *fixture = *state;
        struct instance instance = { .host = &fixture->host, .id = "abc", .name = "web" };
        instance.config = json_pack("{s:{s:s}}", "image", "reference", "base:1");
        instance.state = json_pack("{s:i}", "exit_code", 7);
        event_of_instance(&instance, "die");
        json_decref(instance.config);
        json_decref(instance.state);
        char path[80], *line;
        snprintf(path, sizeof(path), "%s/events", fixture->path);
        assert_int_equal(file_read(AT_FDCWD, path, 4096, &line, NULL, NULL), 0);
        assert_non_null(strstr(line, "{\"name\":\"web\",\"image\":\"base:1\",\"exitCode\":7}"));
        free(line);
}

static void test_filters_of_one_key_widen_and_of_two_narrow(void **state)
{
        struct fixture *fixture = *state;
        append(fixture, "container", "start", "abc", "{\"name\": \"web\", \"image\": \"base\", \"tier\": \"front\"}");
        append(fixture, "container", "die", "def", "{\"name\": \"job\", \"image\": \"other\"}");
        append(fixture, "volume", "create", "data", "{}");
        static const struct {
                const char *filters[3], *expected;
        } cases[] = {
                { { "type=volume" }, "volume create;" },
                { { "event=start", "event=die" }, "container start;container die;" },
                { { "type=container", "event=create" }, "" },
                { { "container=web" }, "container start;" },
                { { "container=de" }, "container die;" },
                { { "image=other" }, "container die;" },
                { { "volume=data" }, "volume create;" },
                { { "label=tier" }, "container start;" },
                { { "label=tier=front" }, "container start;" },
                { { "label=tier=back" }, "" },
        };
        for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
                assert_string_equal(read_all(fixture, (char *const *)cases[i].filters), cases[i].expected);
}

static void test_an_unknown_filter_is_named(void **state)
{
        struct fixture *fixture = *state;
        static const char *const wrong[] = { "colour=red", "type", "=x", "", "typ=x" };
        for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
                const struct event_query query = { .filters = (char *[]){ (char *)wrong[i], NULL }, .until = { 1 } };
                struct error err = { 0 };
                assert_int_equal(events_read(&fixture->host, &query, take, fixture, &err), -EINVAL);
                char quoted[32];
                snprintf(quoted, sizeof(quoted), "unknown filter \"%s\"", wrong[i]);
                assert_non_null(strstr(err.text, quoted));
        }
}

static void test_since_and_until_bound_what_is_read(void **state)
{
        struct fixture *fixture = *state;
        event_append(fixture->path, "container", "create", "a", NULL);
        struct timespec between = now();
        event_append(fixture->path, "container", "start", "a", NULL);
        assert_string_equal(read_between(fixture, between, now(), NULL), "container start;");
        assert_string_equal(read_between(fixture, (struct timespec){ .tv_sec = 1 }, between, NULL),
                            "container create;");
        /* Without since: only what is still to come. */
        assert_string_equal(read_between(fixture, (struct timespec){ 0 }, now(), NULL), "");
}

static void test_damaged_lines_are_passed_over(void **state)
{
        struct fixture *fixture = *state;
        static const char *const damage = "\n{\"time\":\n[]\n7\n{}\n{\"time\": 1, \"Type\": []}\n\xff\xfe\n"
                                          "{\"time\": \"yesterday\", \"Type\": \"container\", \"Action\": \"x\"}\n";
        char path[80];
        snprintf(path, sizeof(path), "%s/events", fixture->path);
        int fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
        assert_int_equal(write_all(fd, damage, strlen(damage)), 0);
        close(fd);
        event_append(fixture->path, "container", "start", "a", NULL);
        assert_string_equal(read_all(fixture, NULL), "container start;");
}

static void test_a_link_in_place_of_the_file_is_not_followed(void **state)
{
        struct fixture *fixture = *state;
        char path[80], target[80];
        snprintf(path, sizeof(path), "%s/events", fixture->path);
        snprintf(target, sizeof(target), "%s/elsewhere", fixture->path);
        assert_int_equal(symlink(target, path), 0);
        event_append(fixture->path, "container", "start", "a", NULL);
        assert_int_equal(access(target, F_OK), -1);
}

#define MANY 1500 /* of a thousand bytes: the file is renamed once */

static void write_many(const char *folder)
{
        char filler[1001] = { 0 };
        memset(filler, 'x', 1000);
        json_t *attributes = json_pack("{s:s}", "filler", filler);
        for (int i = 0; i < MANY; i++)
                event_append(folder, "container", i + 1 < MANY ? "start" : "last", "a", attributes);
        json_decref(attributes);
}

static void test_a_reader_follows_over_a_rotation_and_loses_nothing(void **state)
{
        struct fixture *fixture = *state;
        fixture->last = "last";
        pid_t writer = fork();
        if (!writer) {
                write_many(fixture->path);
                _exit(0);
        }
        const struct event_query query = { .since = { .tv_sec = 1 } };
        alarm(60); /* a lost event would be waited for without end */
        assert_int_equal(events_read(&fixture->host, &query, take, fixture, NULL), 1);
        alarm(0);
        assert_int_equal(waitpid(writer, NULL, 0), writer);
        char rotated[80];
        snprintf(rotated, sizeof(rotated), "%s/events.1", fixture->path);
        assert_int_equal(access(rotated, F_OK), 0);
        assert_int_equal(fixture->read.length, (MANY - 1) * strlen("container start;") + strlen("container last;"));
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test_setup_teardown(test_events_are_read_in_their_order, set_up, tear_down),
                cmocka_unit_test_setup_teardown(test_an_instances_death_has_its_exit_code, set_up, tear_down),
                cmocka_unit_test_setup_teardown(test_filters_of_one_key_widen_and_of_two_narrow, set_up, tear_down),
                cmocka_unit_test_setup_teardown(test_an_unknown_filter_is_named, set_up, tear_down),
                cmocka_unit_test_setup_teardown(test_since_and_until_bound_what_is_read, set_up, tear_down),
                cmocka_unit_test_setup_teardown(test_damaged_lines_are_passed_over, set_up, tear_down),
                cmocka_unit_test_setup_teardown(test_a_link_in_place_of_the_file_is_not_followed, set_up, tear_down),
                cmocka_unit_test_setup_teardown(test_a_reader_follows_over_a_rotation_and_loses_nothing, set_up,
                                                tear_down),
        };
        return cmocka_run_group_tests(tests, NULL, NULL);
}
