/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "cli/template.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "base/json.h"

static const char value_text[] =
        "{\"Name\": \"web\", \"Pid\": 7, \"Share\": 1.5, \"Running\": true, \"Nothing\": null,"
        " \"Row\": {\"Labels\": \"a.b=1,list=x,y,bare=\"}, \"Heading\": {\"Labels\": \"LABELS\"},"
        " \"Args\": [\"a\", \"b\"],"
        " \"Empty\": [], \"State\": {\"Status\": \"running\", \"Code\": 0}, \"Labels\": {\"b.c\": \"2\", \"a\": \"1\"},"
        " \"Ports\": {\"80/tcp\": [{\"HostPort\": \"8080\"}], \"53/udp\": [{\"HostPort\": \"5353\"}]}}";

/* The template filled in, the caller's; NULL with the error. */
static char *filled(const char *text, struct error *err)
{
        _cleanup_json_ json_t *value = NULL;
        assert_int_equal(json_parse(value_text, strlen(value_text), "value", &value, err), 0);
        _cleanup_template_ struct template *template = NULL;
        _cleanup_text_ struct text out = { 0 };
        if (template_parse(text, &template, err) < 0 || template_render(template, value, &out, err) < 0)
                return NULL;
        return text_take(&out);
}

static void expect(const char *text, const char *expected)
{
        struct error err = { 0 };
        _cleanup_free_ char *result = filled(text, &err);
        if (!result)
                fail_msg("%s: %s", text, err.text);
        assert_string_equal(result, expected);
}

static void refuse(const char *text, const char *reason)
{
        struct error err = { 0 };
        _cleanup_free_ char *result = filled(text, &err);
        if (result)
                fail_msg("%s was accepted", text);
        assert_int_equal(err.code, -EINVAL);
        if (!strstr(err.text, reason))
                fail_msg("%s: \"%s\" does not say \"%s\"", text, err.text, reason);
}

static void test_fields_print_as_go_prints_them(void **state)
{
        (void)state;
        expect("", "");
        expect("plain", "plain");
        expect("{{.Name}}", "web");
        expect("{{ .State.Status }}!", "running!");
        expect("{{.Pid}} {{.Share}} {{.Running}} {{.Nothing}}", "7 1.5 true <no value>");
        expect("{{.Args}} {{.Labels}}", "[a b] map[a:1 b.c:2]");
}

static void test_tab_and_line_feed_may_be_written_as_escapes(void **state)
{
        (void)state;
        expect("{{.Name}}\\t{{.Pid}}\\n", "web\t7\n");
}

static void test_functions_may_be_called_and_piped(void **state)
{
        (void)state;
        expect("{{json .Args}}", "[\"a\",\"b\"]");
        expect("{{.State | json}}", "{\"Status\":\"running\",\"Code\":0}");
        expect("{{index .Labels \"b.c\"}}", "2");
        expect("{{index .Labels \"none\"}}", "");
        expect("{{index .Args 1}}", "b");
        expect("{{len .Args}} {{len .Name}}", "2 3");
        expect("{{join .Args \", \"}}", "a, b");
        expect("{{.Name | upper}} {{upper .Name | lower}}", "WEB web");
        expect("{{println .Name}}", "web\n");
        expect("{{(index (index .Ports \"80/tcp\") 0).HostPort}}", "8080");
}

static void test_conditions_choose(void **state)
{
        (void)state;
        expect("{{if .Running}}up{{else}}down{{end}}", "up");
        expect("{{if .Empty}}some{{else}}none{{end}}", "none");
        expect("{{if not .Running}}down{{end}}", "");
        expect("{{if eq .State.Code 1}}one{{else if eq .State.Code 0}}zero{{else}}more{{end}}", "zero");
        expect("{{if eq .Running true}}yes{{end}}", "yes");
        expect("{{if and .Running (ne .Name \"db\")}}yes{{end}}{{if or .Empty .Name}}too{{end}}", "yestoo");
        expect("{{with .State}}{{.Status}}{{end}}", "running");
}

static void test_a_missing_field_is_false_as_a_condition_and_an_error_to_print(void **state)
{
        (void)state;
        expect("{{if .State.Health}}sick{{else}}no check{{end}}", "no check");
        refuse("{{.State.Health}}", "no field \"Health\"");
        refuse("{{.Nmae}}", "no field \"Nmae\"");
}

static void test_ranges_go_over_lists_and_sorted_objects(void **state)
{
        (void)state;
        expect("{{range .Args}}<{{.}}>{{end}}", "<a><b>");
        expect("{{range .Empty}}x{{else}}empty{{end}}", "empty");
        expect("{{range $i, $a := .Args}}{{$i}}={{$a}};{{end}}", "0=a;1=b;");
        expect("{{range $p, $b := .Ports}}{{$p}}->{{(index $b 0).HostPort}} {{end}}", "53/udp->5353 80/tcp->8080 ");
        expect("{{range .Args}}{{$.Name}}{{end}}", "webweb");
}

static void test_dashes_trim_the_space_beside_an_action(void **state)
{
        (void)state;
        expect("a  {{- .Name -}}  b", "awebb");
        expect("{{range .Args}}\n  {{- .}}\n{{end}}", "a\nb\n");
}

static void test_broken_templates_are_refused_with_a_reason(void **state)
{
        (void)state;
        refuse("{{.Name", "closing }}");
        refuse("{{}}", "lacks a field");
        refuse("{{.Name .Pid}}", "more than one value");
        refuse("{{nosuch .Name}}", "\"nosuch\"");
        refuse("{{json}}", "json 0 arguments");
        refuse("{{.Name | .Pid}}", "function after |");
        refuse("{{if .Name}}x", "lacks an {{end}}");
        refuse("{{end}}", "without its beginning");
        refuse("{{if .Name}}{{else}}{{else}}{{end}}", "second else");
        refuse("{{\"abc}}", "string without an end");
        refuse("{{(.Name}}", "closing parenthesis");
        refuse("{{$x}}", "no variable $x");
        refuse("{{range .Name}}{{end}}", "needs a list");
        refuse("{{index .Args 9}}", "out of range");
}

static void test_nesting_is_bounded(void **state)
{
        (void)state;
        _cleanup_text_ struct text deep = { 0 };
        for (int i = 0; i < 10000; i++)
                text_append(&deep, "{{if .Name}}");
        refuse(deep.data, "too deep");
        text_free(&deep);
        text_append(&deep, "{{");
        for (int i = 0; i < 10000; i++)
                text_append(&deep, "(");
        text_append(&deep, "}}");
        refuse(deep.data, "too deep");
}

static void test_a_rows_label_can_be_asked_for_by_its_key(void **state)
{
        (void)state;
        expect("{{.Row.Label \"a.b\"}} {{(.Row).Label `bare` | len}} {{.Row.Label \"list\" | upper}}", "1 0 X,Y");
        expect("{{.Row.Label \"no\"}}{{.Heading.Label \"a.long_name\"}}", "long name");
        refuse("{{.Name \"x\"}}", "more than one value");
        refuse("{{.Row.Label}}", "no field \"Label\"");
        refuse("{{.Row.Label 7}}", "no string");
        refuse("{{.Row.Label}", "closing");
        refuse("{{Label .Row \"a\"}}", "does not exist");
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_fields_print_as_go_prints_them),
                cmocka_unit_test(test_tab_and_line_feed_may_be_written_as_escapes),
                cmocka_unit_test(test_functions_may_be_called_and_piped),
                cmocka_unit_test(test_conditions_choose),
                cmocka_unit_test(test_a_missing_field_is_false_as_a_condition_and_an_error_to_print),
                cmocka_unit_test(test_ranges_go_over_lists_and_sorted_objects),
                cmocka_unit_test(test_dashes_trim_the_space_beside_an_action),
                cmocka_unit_test(test_broken_templates_are_refused_with_a_reason),
                cmocka_unit_test(test_nesting_is_bounded),
                cmocka_unit_test(test_a_rows_label_can_be_asked_for_by_its_key),
        };
        return cmocka_run_group_tests(tests, NULL, NULL);
}
