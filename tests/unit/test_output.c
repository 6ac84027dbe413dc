/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "cli/output.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/json.h"

static const struct column columns[] = {
        { "ID", "INSTANCE ID", SHORTEN_ID, false },
        { "Command", NULL, SHORTEN_TEXT, false },
        { "CreatedAt", NULL, SHORTEN_NOT, true },
        { "Names", NULL, SHORTEN_NOT, false },
        { 0 },
};
static const struct listing listing = { "ID", columns };

/* What listing_print() writes, the caller's; NULL with the error. */
static char *printed(const struct listing_options *options, const char *rows_text, struct error *err)
{
        char *data = NULL;
        size_t size;
        _cleanup_json_ json_t *rows = NULL;
        assert_int_equal(json_parse(rows_text, strlen(rows_text), "rows", &rows, err), 0);
        FILE *out = open_memstream(&data, &size);
        int r = listing_print(&listing, rows, options, out, err);
        fclose(out);
        if (r < 0)
                free(TAKE_PTR(data));
        return data;
}

static void expect(const struct listing_options *options, const char *rows, const char *expected)
{
        struct error err = { 0 };
        _cleanup_free_ char *text = printed(options, rows, &err);
        if (!text)
                fail_msg("%s", err.text);
        assert_string_equal(text, expected);
}

#define ROWS                                                                                                           \
        "[{\"ID\": \"0123456789abcdef\", \"Command\": \"nginx -g 'daemon off;' --more\","                              \
        "  \"CreatedAt\": \"now\", \"Names\": \"web\", \"Extra\": \"x\"},"                                             \
        " {\"ID\": \"sha256:fedcba9876543210\", \"Command\": \"옹기 jar\","                                          \
        "  \"CreatedAt\": \"then\", \"Names\": \"db\", \"Extra\": \"y\"}]"

static void test_a_table_is_aligned_to_its_widest_cell_in_letters_not_bytes(void **state)
{
        (void)state;
        const struct listing_options options = { 0 };
        expect(&options, ROWS,
               "INSTANCE ID    COMMAND                  NAMES\n"
               "0123456789ab   \"nginx -g 'daemon of…\"   web\n"
               "fedcba987654   \"옹기 jar\"                 db\n");
}

static void test_a_table_without_rows_has_its_titles(void **state)
{
        (void)state;
        const struct listing_options options = { 0 };
        expect(&options, "[]", "INSTANCE ID   COMMAND   NAMES\n");
}

static void test_no_trunc_shortens_nothing(void **state)
{
        (void)state;
        const struct listing_options options = { .no_trunc = true, .format = "{{.ID}} {{.Command}}" };
        expect(&options, ROWS,
               "0123456789abcdef \"nginx -g 'daemon off;' --more\"\nsha256:fedcba9876543210 \"옹기 jar\"\n");
}

static void test_quiet_prints_ids_alone(void **state)
{
        (void)state;
        const struct listing_options options = { .quiet = true };
        expect(&options, ROWS, "0123456789ab\nfedcba987654\n");
}

static void test_format_json_prints_an_object_a_line(void **state)
{
        (void)state;
        const struct listing_options options = { .format = "json", .no_trunc = true };
        expect(&options, "[{\"ID\": \"1\", \"Names\": \"a\\nb\"}, {\"ID\": \"2\"}]",
               "{\"ID\":\"1\",\"Names\":\"a\\nb\"}\n{\"ID\":\"2\"}\n");
}

static void test_a_table_template_makes_titles_of_the_fields_names(void **state)
{
        (void)state;
        const struct listing_options options = { .format = "table {{.Names}}\\t{{.CreatedAt}}\\t{{.Extra}}" };
        expect(&options, ROWS, "NAMES   CREATED AT   EXTRA\nweb     now          x\ndb      then         y\n");
}

static void test_a_template_prints_a_line_for_each_row(void **state)
{
        (void)state;
        const struct listing_options options = { .format = "{{.Names}}={{json .Extra}}" };
        expect(&options, ROWS, "web=\"x\"\ndb=\"y\"\n");
        expect(&options, "[]", "");
}

static void test_control_characters_of_strangers_do_not_reach_the_terminal(void **state)
{
        (void)state;
        const struct listing_options options = { 0 };
        expect(&options, "[{\"ID\": \"1\", \"Command\": \"a\\u001b[2Jb\", \"Names\": \"c\\td\\ne\"}]",
               "INSTANCE ID   COMMAND       NAMES\n1             \"a\\x1b[2Jb\"   c?d?e\n");
}

static void test_a_command_is_quoted_as_docker_does(void **state)
{
        (void)state;
        const struct listing_options options = { .format = "{{.Command}}" };
        expect(&options,
               "[{\"ID\": \"1\", \"Command\": \"sh -c \\\"a\\\\b\\tc\\n\\\"\"}, {\"ID\": \"2\", \"Command\": \"\"}]",
               "\"sh -c \\\"a\\\\b\\tc\\n\\\"\"\n\"\"\n");
        expect(&options,
               "[{\"ID\": \"1\", \"Command\": \"12345678901234567890\"}, {\"ID\": \"2\", \"Command\": \"123456789012345678901\"}]",
               "\"12345678901234567890\"\n\"1234567890123456789…\"\n");
}

static void test_a_template_that_does_not_fit_is_refused_even_without_rows(void **state)
{
        (void)state;
        const struct listing_options broken = { .format = "{{.Names" }, unknown = { .format = "{{.Nmaes}}" };
        struct error err = { 0 };
        assert_null(printed(&broken, "[]", &err));
        assert_int_equal(err.code, -EINVAL);
        assert_null(printed(&unknown, ROWS, &err));
        assert_non_null(strstr(err.text, "Nmaes"));
}

static void test_objects_print_indented_as_lines_or_by_a_template(void **state)
{
        (void)state;
        static const struct {
                const char *format, *expected;
        } cases[] = {
                { NULL, "[\n    {\n        \"Id\": 1\n    }\n]\n" },
                { "json", "{\"Id\":1}\n" },
                { "<{{.Id}}>", "<1>\n" },
        };
        for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
                _cleanup_json_ json_t *objects = json_pack("[{s:i}]", "Id", 1);
                _cleanup_free_ char *data = NULL;
                size_t size;
                FILE *out = open_memstream(&data, &size);
                assert_int_equal(objects_print(objects, cases[i].format, out, NULL), 0);
                fclose(out);
                assert_string_equal(data, cases[i].expected);
        }
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_a_table_is_aligned_to_its_widest_cell_in_letters_not_bytes),
                cmocka_unit_test(test_a_table_without_rows_has_its_titles),
                cmocka_unit_test(test_no_trunc_shortens_nothing),
                cmocka_unit_test(test_a_command_is_quoted_as_docker_does),
                cmocka_unit_test(test_quiet_prints_ids_alone),
                cmocka_unit_test(test_format_json_prints_an_object_a_line),
                cmocka_unit_test(test_a_table_template_makes_titles_of_the_fields_names),
                cmocka_unit_test(test_a_template_prints_a_line_for_each_row),
                cmocka_unit_test(test_control_characters_of_strangers_do_not_reach_the_terminal),
                cmocka_unit_test(test_a_template_that_does_not_fit_is_refused_even_without_rows),
                cmocka_unit_test(test_objects_print_indented_as_lines_or_by_a_template),
        };
        return cmocka_run_group_tests(tests, NULL, NULL);
}
