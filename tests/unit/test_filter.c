/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "cli/filter.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "base/json.h"
#include "base/text.h"

static const struct filter_key keys[] = {
        { "name", "Name", FILTER_PART },
        { "id", "ID", FILTER_START },
        { "driver", "Driver", FILTER_EXACT },
        { "reference", "Refs", FILTER_GLOB },
        { "label", "Labels", FILTER_LABEL },
        { "dangling", "Dangling", FILTER_BOOL },
        { 0 },
};

static json_t *objects(void)
{
        return json_pack("[{s:s,s:s,s:s,s:[s,s],s:{s:s},s:b},{s:s,s:s,s:s,s:[s],s:{s:s},s:b}]", "Name", "front", "ID",
                         "sha256:abc1", "Driver", "bridge", "Refs", "nginx", "nginx:1", "Labels", "tier", "web",
                         "Dangling", 0, "Name", "back", "ID", "def2", "Driver", "none", "Refs", "redis:7", "Labels",
                         "tier", "data", "Dangling", 1);
}

/* The names of what is left, each followed by a space. */
static void expect(char *const *filters, const char *expected)
{
        struct error err = { 0 };
        _cleanup_json_ json_t *array = objects();
        _cleanup_text_ struct text names = { 0 };
        if (filter_apply(array, filters, keys, &err) < 0)
                fail_msg("%s", err.text);
        size_t i;
        json_t *object;
        json_array_foreach(array, i, object)
                text_printf(&names, "%s ", json_string_value(json_object_get(object, "Name")));
        assert_string_equal(names.data ? names.data : "", expected);
}

#define EXPECT(expected, ...) expect((char *const[]){ __VA_ARGS__, NULL }, expected)

static void test_each_kind_of_key_fits_in_its_own_way(void **state)
{
        (void)state;
        expect(NULL, "front back ");
        EXPECT("front ", "name=ron");
        EXPECT("front ", "id=abc");
        EXPECT("front ", "id=sha256:abc1");
        EXPECT("", "driver=bri");
        EXPECT("back ", "driver=none");
        EXPECT("front ", "reference=nginx:*");
        EXPECT("front back ", "label=tier");
        EXPECT("back ", "label=tier=data");
        EXPECT("back ", "dangling=true");
        EXPECT("front ", "dangling=0");
}

static void test_values_of_one_key_widen_and_other_keys_narrow(void **state)
{
        (void)state;
        EXPECT("front back ", "name=front", "name=back");
        EXPECT("", "name=front", "driver=none");
        EXPECT("", "label=tier=web", "label=tier=data");
}

static void test_what_is_no_filter_is_refused_and_the_keys_are_named(void **state)
{
        (void)state;
        static const char *const wrong[] = { "name", "nmae=x", "dangling=perhaps" };
        for (size_t i = 0; i < ARRAY_SIZE(wrong); i++) {
                struct error err = { 0 };
                _cleanup_json_ json_t *array = objects();
                char *const filters[] = { (char *)wrong[i], NULL };
                assert_int_equal(filter_apply(array, filters, keys, &err), -EINVAL);
                assert_int_equal(json_array_size(array), 2);
                assert_non_null(strstr(err.text, i < 2 ? "name, id" : "perhaps"));
        }
}

static void test_fields_that_only_filters_need_are_forgotten(void **state)
{
        (void)state;
        _cleanup_json_ json_t *array = json_pack("[{s:i, s:i, s:i}]", ".A", 1, "B", 2, ".C", 3);
        filter_forget(array);
        assert_int_equal(json_object_size(json_array_get(array, 0)), 1);
        assert_non_null(json_object_get(json_array_get(array, 0), "B"));
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_each_kind_of_key_fits_in_its_own_way),
                cmocka_unit_test(test_values_of_one_key_widen_and_other_keys_narrow),
                cmocka_unit_test(test_fields_that_only_filters_need_are_forgotten),
                cmocka_unit_test(test_what_is_no_filter_is_refused_and_the_keys_are_named),
        };
        return cmocka_run_group_tests(tests, NULL, NULL);
}
