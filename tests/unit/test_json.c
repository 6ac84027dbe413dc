/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "base/json.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

#include "base/text.h"

static json_t *parse(const char *text)
{
        json_t *value = NULL;
        struct error err = { 0 };
        assert_int_equal(json_parse(text, strlen(text), "test", &value, &err), 0);
        return value;
}

static void test_parse_names_the_place_of_a_syntax_error(void **state)
{
        (void)state;
        json_t *value = NULL;
        struct error err = { 0 };
        assert_int_equal(json_parse("{\n \"a\": }", 9, "config.json", &value, &err), -EINVAL);
        assert_non_null(strstr(err.text, "config.json is not valid JSON: line 2"));
}

static void test_parse_refuses_duplicate_keys_depth_and_size(void **state)
{
        (void)state;
        json_t *value = NULL;
        struct error err = { 0 };
        assert_int_equal(json_parse("{\"a\":1,\"a\":2}", 13, "x", &value, &err), -EINVAL);

        static char deep[100000];
        memset(deep, '[', sizeof(deep));
        assert_int_equal(json_parse(deep, sizeof(deep), "x", &value, &err), -EINVAL);
        assert_int_equal(json_parse(deep, JSON_BYTES_MAX + 1, "x", &value, &err), -EFBIG);
}

static void test_a_misfit_names_the_whole_path(void **state)
{
        (void)state;
        _cleanup_json_ json_t *value = parse("{\"linux\":{\"devices\":[{\"major\":1},{\"major\":\"x\"}]}}");
        struct error err = { 0 };
        struct json_reader reader = { .document = "config.json", .err = &err };
        struct json_at root = json_root(&reader, value);
        struct json_at linux_object = json_get_object(&root, "linux");
        struct json_at devices = json_get_array(&linux_object, "devices");
        assert_int_equal(json_count(&devices), 2);

        int64_t major = 0;
        for (size_t i = 0; i < 2; i++) {
                struct json_at device = json_element(&devices, i);
                json_get_i64(&device, "major", 0, 4095, &major);
        }
        assert_int_equal(json_failed(&root), -EINVAL);
        assert_int_equal(major, 1);
        assert_string_equal(err.text, "config.json: linux.devices[1].major must be an integer");
}

static void test_the_first_misfit_stays(void **state)
{
        (void)state;
        _cleanup_json_ json_t *value = parse("{\"a\":1,\"b\":2}");
        struct error err = { 0 };
        struct json_reader reader = { .document = "x", .err = &err };
        struct json_at root = json_root(&reader, value);
        const char *string = "before";
        assert_false(json_get_string(&root, "a", &string));
        assert_false(json_get_string(&root, "b", &string));
        assert_string_equal(string, "before");
        assert_string_equal(err.text, "x: a must be a string");
}

static void test_ranges_nul_and_missing_members_are_named(void **state)
{
        (void)state;
        static const struct {
                const char *text, *error;
        } cases[] = {
                { "{\"n\":70000}", "x: n is 70000; it must be between 0 and 65535" },
                { "{\"s\":\"a\\u0000b\"}", "x: document.s must not hold a NUL character" },
                { "{}", "x: s is required" },
                { "{\"s\":\"ok\",\"l\":[\"a\",1]}", "x: l[1] must be a string" },
                { "{\"s\":\"ok\",\"l\":{}}", "x: l must be an array" },
                { "[]", "x: the document must be an object" },
        };
        for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
                /* jansson itself refuses a NUL; the getter's own check is for documents that were built, not parsed */
                bool built = strstr(cases[i].text, "u0000");
                _cleanup_json_ json_t *value =
                        built ? json_pack("{s:o}", "s", json_stringn("a\0b", 3)) : parse(cases[i].text);
                struct error err = { 0 };
                struct json_reader reader = { .document = "x", .err = &err };
                struct json_at root = json_root(&reader, value);
                int64_t number;
                const char *string;
                _cleanup_list_ char **list = NULL;
                json_get_i64(&root, "n", 0, 65535, &number);
                json_need_string(&root, "s", &string);
                json_get_strings(&root, "l", &list);
                assert_int_equal(json_failed(&root), -EINVAL);
                assert_string_equal(err.text, built ? "x: s must not hold a NUL character" : cases[i].error);
        }
}

static void test_unsigned_numbers_beyond_signed_ones_are_read(void **state)
{
        (void)state;
        _cleanup_json_ json_t *value = parse(
                "{\"n\":18446744073709551615, \"m\":[9223372036854775808,1,-2.5e3],\"s\":\"a \\\" 18446744073709551615\"}");
        struct error err = { 0 };
        struct json_reader reader = { .document = "x", .err = &err };
        struct json_at root = json_root(&reader, value);
        uint64_t number = 0;
        const char *string = NULL;
        assert_true(json_get_u64(&root, "n", &number));
        assert_true(number == UINT64_MAX);
        assert_true(json_get_string(&root, "s", &string));
        assert_string_equal(string, "a \" 18446744073709551615");
        assert_int_equal(json_failed(&root), 0);
        int64_t signed_number;
        assert_false(json_get_i64(&root, "n", INT64_MIN, INT64_MAX, &signed_number));
        assert_string_equal(err.text, "x: n must be an integer");

        json_t *none = NULL;
        assert_int_equal(json_parse("{\"n\":18446744073709551616}", 26, "x", &none, &err), -EINVAL);
        assert_int_equal(json_parse("{\"n\":-9223372036854775809}", 26, "x", &none, &err), -EINVAL);
}

static void test_null_counts_as_absent(void **state)
{
        (void)state;
        _cleanup_json_ json_t *value = parse("{\"s\":null,\"b\":true,\"l\":[\"p\",\"q\"]}");
        struct json_reader reader = { .document = "x" };
        struct json_at root = json_root(&reader, value);
        const char *string = NULL;
        bool flag = false;
        _cleanup_list_ char **list = NULL;
        assert_false(json_get_string(&root, "s", &string));
        assert_true(json_get_bool(&root, "b", &flag));
        assert_true(json_get_strings(&root, "l", &list));
        assert_int_equal(json_failed(&root), 0);
        assert_true(flag);
        assert_int_equal(list_length(list), 2);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_parse_names_the_place_of_a_syntax_error),
                cmocka_unit_test(test_parse_refuses_duplicate_keys_depth_and_size),
                cmocka_unit_test(test_a_misfit_names_the_whole_path),
                cmocka_unit_test(test_the_first_misfit_stays),
                cmocka_unit_test(test_ranges_nul_and_missing_members_are_named),
                cmocka_unit_test(test_unsigned_numbers_beyond_signed_ones_are_read),
                cmocka_unit_test(test_null_counts_as_absent),
        };
        return cmocka_run_group_tests(tests, NULL, NULL);
}
