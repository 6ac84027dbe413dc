/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "instance/volume.h"

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
#include "base/json.h"
#include "base/text.h"
#include "instance/instance.h"
#include "instance/name.h"

struct fixture {
        char path[64];
        struct host host;
};

static int set_up(void **state)
{
        struct fixture *fixture = calloc(1, sizeof(*fixture));
        TEXT_COPY(fixture->path, "/tmp/onggi-volume-XXXXXX");
        assert_non_null(mkdtemp(fixture->path));
        fixture->host.root = fixture->host.state = fixture->path;
        *state = fixture;
        return 0;
}

static int tear_down(void **state)
{
        struct fixture *fixture = *state;
        tree_remove(AT_FDCWD, fixture->path, NULL);
        free(fixture);
        return 0;
}

static void write_file(const struct fixture *fixture, const char *name, const char *text)
{
        int folder = open(fixture->path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        assert_int_equal(file_replace_volatile(folder, name, text, strlen(text), 0600, NULL), 0);
        close(folder);
}

static void create(struct fixture *fixture, const char *name, const char *label)
{
        char *labels[] = { (char *)label, NULL };
        assert_int_equal(volume_create(&fixture->host, name, labels, NULL, NULL, NULL, NULL), 0);
}

/* Names of those that fit, each with a space behind it. */
static const char *names(struct fixture *fixture, char *const *filters, char text[256])
{
        json_t *list = NULL, *volume;
        size_t i;
        text[0] = 0;
        assert_int_equal(volume_list(&fixture->host, filters, &list, NULL), 0);
        json_array_foreach(list, i, volume)
                snprintf(text + strlen(text), 256 - strlen(text), "%s ",
                         json_string_value(json_object_get(volume, "Name")));
        json_decref(list);
        return text;
}

static void test_names_are_dockers(void **state)
{
        (void)state;
        char longest[130];
        memset(longest, 'a', sizeof(longest));
        longest[128] = 0;
        assert_true(volume_name_valid(longest));
        longest[128] = 'a';
        longest[129] = 0;
        assert_false(volume_name_valid(longest));
        static const char *const right[] = { "v", "7", "data-1.x_y" };
        for (size_t i = 0; i < sizeof(right) / sizeof(right[0]); i++)
                assert_true(volume_name_valid(right[i]));
        static const char *const wrong[] = { "",     ".",   "..",  "-",   ".hidden", "_a",
                                             "../v", "a/b", "a b", "a\n", "\xc3\xa9" };
        for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++)
                assert_false(volume_name_valid(wrong[i]));
}

static void test_a_name_that_leads_outside_makes_and_removes_nothing(void **state)
{
        struct fixture *fixture = *state;
        struct error err = { 0 };
        write_file(fixture, "precious", "x");
        assert_int_equal(volume_create(&fixture->host, "../precious", NULL, NULL, NULL, NULL, &err), -EINVAL);
        assert_non_null(strstr(err.text, "../precious"));
        assert_int_equal(volume_remove(&fixture->host, "../precious", true, &err), -ENOENT);
        char path[80];
        snprintf(path, sizeof(path), "%s/precious", fixture->path);
        assert_int_equal(access(path, F_OK), 0);
}

static void test_creating_one_that_exists_keeps_what_is_in_it(void **state)
{
        struct fixture *fixture = *state;
        char *path = NULL;
        assert_int_equal(volume_create(&fixture->host, "data", NULL, NULL, NULL, &path, NULL), 0);
        write_file(fixture, "volumes/data/_data/file", "x");
        create(fixture, "data", "a=1");
        _cleanup_free_ char *file = text_format("%s/file", path);
        assert_int_equal(access(file, F_OK), 0);
        json_t *volume = NULL;
        assert_int_equal(volume_inspect(&fixture->host, "data", &volume, NULL), 0);
        assert_string_equal(json_string_value(json_object_get(volume, "Mountpoint")), path);
        assert_int_equal(json_object_size(json_object_get(volume, "Labels")), 0);
        json_decref(volume);
        free(path);
}

static void test_an_anonymous_volume_gets_a_name_of_its_own(void **state)
{
        struct fixture *fixture = *state;
        char *name = NULL, *other = NULL;
        assert_int_equal(volume_create(&fixture->host, NULL, NULL, NULL, &name, NULL, NULL), 0);
        assert_int_equal(volume_create(&fixture->host, NULL, NULL, NULL, &other, NULL, NULL), 0);
        assert_true(instance_id_valid(name));
        assert_string_not_equal(name, other);
        free(name);
        free(other);
}

static void test_an_option_that_has_no_meaning_here_is_refused(void **state)
{
        struct fixture *fixture = *state;
        struct error err = { 0 };
        char *options[] = { "type=nfs", NULL };
        assert_int_equal(volume_create(&fixture->host, "data", NULL, options, NULL, NULL, &err), -EINVAL);
        assert_non_null(strstr(err.text, "type=nfs"));
}

static void test_the_list_is_sorted_and_filtered(void **state)
{
        struct fixture *fixture = *state;
        char text[256];
        create(fixture, "web-data", "tier=front");
        create(fixture, "db-data", "tier=back");
        create(fixture, "cache", NULL);
        assert_string_equal(names(fixture, NULL, text), "cache db-data web-data ");
        assert_string_equal(names(fixture, (char *[]){ "name=data", NULL }, text), "db-data web-data ");
        assert_string_equal(names(fixture, (char *[]){ "label=tier", NULL }, text), "db-data web-data ");
        assert_string_equal(names(fixture, (char *[]){ "label=tier=back", NULL }, text), "db-data ");
        assert_string_equal(names(fixture, (char *[]){ "name=data", "label=tier=front", NULL }, text), "web-data ");
        assert_string_equal(names(fixture, (char *[]){ "dangling=false", NULL }, text), "");
        struct error err = { 0 };
        json_t *list = NULL;
        assert_int_equal(volume_list(&fixture->host, (char *[]){ "colour=red", NULL }, &list, &err), -EINVAL);
        assert_non_null(strstr(err.text, "colour=red"));
}

static void test_a_damaged_description_is_named_and_hides_no_other(void **state)
{
        struct fixture *fixture = *state;
        static const char *const damage[] = {
                "", "{", "[]", "{}", "{\"created\": 1}", "{\"created\": \"x\", \"labels\": []}"
        };
        char text[256];
        create(fixture, "broken", NULL);
        create(fixture, "whole", NULL);
        for (size_t i = 0; i < sizeof(damage) / sizeof(damage[0]); i++) {
                struct error err = { 0 };
                json_t *volume = NULL;
                write_file(fixture, "volumes/broken/volume.json", damage[i]);
                assert_int_equal(volume_inspect(&fixture->host, "broken", &volume, &err), -EINVAL);
                assert_non_null(strstr(err.text, "broken/volume.json"));
                assert_string_equal(names(fixture, NULL, text), "whole ");
        }
        assert_int_equal(volume_remove(&fixture->host, "broken", false, NULL), 0);
}

static void test_what_is_removed_is_gone_and_missed_only_without_force(void **state)
{
        struct fixture *fixture = *state;
        create(fixture, "data", NULL);
        assert_int_equal(volume_remove(&fixture->host, "data", false, NULL), 0);
        assert_int_equal(volume_remove(&fixture->host, "data", false, NULL), -ENOENT);
        assert_int_equal(volume_remove(&fixture->host, "data", true, NULL), 0);
}

static void test_prune_takes_the_anonymous_and_with_all_the_named(void **state)
{
        struct fixture *fixture = *state;
        char text[256];
        _cleanup_list_ char **removed = NULL;
        uint64_t freed;
        create(fixture, "data", NULL);
        assert_int_equal(volume_create(&fixture->host, NULL, NULL, NULL, NULL, NULL, NULL), 0);
        assert_int_equal(volume_prune(&fixture->host, false, NULL, &removed, &freed, NULL), 0);
        assert_int_equal(list_length(removed), 1);
        assert_string_equal(names(fixture, NULL, text), "data ");
        assert_int_equal(volume_prune(&fixture->host, true, NULL, &removed, &freed, NULL), 0);
        assert_string_equal(names(fixture, NULL, text), "");
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_names_are_dockers),
                cmocka_unit_test_setup_teardown(test_a_name_that_leads_outside_makes_and_removes_nothing, set_up,
                                                tear_down),
                cmocka_unit_test_setup_teardown(test_creating_one_that_exists_keeps_what_is_in_it, set_up, tear_down),
                cmocka_unit_test_setup_teardown(test_an_anonymous_volume_gets_a_name_of_its_own, set_up, tear_down),
                cmocka_unit_test_setup_teardown(test_an_option_that_has_no_meaning_here_is_refused, set_up, tear_down),
                cmocka_unit_test_setup_teardown(test_the_list_is_sorted_and_filtered, set_up, tear_down),
                cmocka_unit_test_setup_teardown(test_a_damaged_description_is_named_and_hides_no_other, set_up,
                                                tear_down),
                cmocka_unit_test_setup_teardown(test_what_is_removed_is_gone_and_missed_only_without_force, set_up,
                                                tear_down),
                cmocka_unit_test_setup_teardown(test_prune_takes_the_anonymous_and_with_all_the_named, set_up,
                                                tear_down),
        };
        return cmocka_run_group_tests(tests, NULL, NULL);
}
