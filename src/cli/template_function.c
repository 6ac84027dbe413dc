/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <ctype.h>
#include <errno.h>
#include <stdbool.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/text.h"
#include "cli/template_node.h"
#include "cli/template_value.h"

static json_t *json_of(json_t *const *args, size_t count, struct error *err)
{
        (void)count;
        (void)err;
        _cleanup_free_ char *text = json_dumps(args[0], JSON_COMPACT | JSON_ENCODE_ANY);
        return text ? json_string(text) : NULL;
}

/* A missing key of an object is the empty string, as in Go for a map of strings. */
static json_t *element(json_t *const *args, size_t count, struct error *err)
{
        json_t *value = args[0];
        for (size_t i = 1; i < count; i++) {
                if (json_is_object(value) && json_is_string(args[i])) {
                        value = json_object_get(value, json_string_value(args[i]));
                        if (!value)
                                return json_string("");
                } else if (json_is_array(value) && json_is_integer(args[i])) {
                        json_int_t n = json_integer_value(args[i]);
                        value = n < 0 ? NULL : json_array_get(value, (size_t)n);
                        if (!value) {
                                error_set(err, -EINVAL, "index %lld is out of range", (long long)n);
                                return NULL;
                        }
                } else {
                        error_set(err, -EINVAL, "index needs an object and a string, or a list and a number");
                        return NULL;
                }
        }
        return json_incref(value);
}

static json_t *length(json_t *const *args, size_t count, struct error *err)
{
        (void)count;
        const json_t *of = args[0];
        if (json_is_string(of))
                return json_integer((json_int_t)json_string_length(of));
        if (json_is_array(of) || json_is_object(of) || json_is_null(of))
                return json_integer((json_int_t)(json_is_array(of) ? json_array_size(of) : json_object_size(of)));
        error_set(err, -EINVAL, "len needs a list, an object or a string");
        return NULL;
}

/* {{join .List ", "}} */
static json_t *join(json_t *const *args, size_t count, struct error *err)
{
        (void)count;
        if (!json_is_string(args[1]) || !(json_is_array(args[0]) || json_is_null(args[0]))) {
                error_set(err, -EINVAL, "join needs a list and a separator");
                return NULL;
        }
        _cleanup_text_ struct text text = { 0 };
        size_t i;
        json_t *item;
        json_array_foreach(args[0], i, item) {
                if (i)
                        text_append(&text, json_string_value(args[1]));
                template_value_print(item, &text);
        }
        return json_stringn(text.data ? text.data : "", text.length);
}

/* A heading's words: the last part of a label's name. */
static json_t *label_title(const char *key)
{
        const char *dot = strrchr(key, '.');
        _cleanup_free_ char *title = strdup(dot ? dot + 1 : key);
        for (char *letter = title; letter && *letter; letter++)
                *letter = *letter == '-' || *letter == '_' ? ' ' : *letter;
        return title ? json_string(title) : NULL;
}

/* Where the value that begins at `text` ends: before ",key=", as values may have commas. */
static size_t label_length(const char *text)
{
        const char *comma = strchr(text, ',');
        while (comma && comma[1 + strcspn(comma + 1, ",=")] != '=')
                comma = strchr(comma + 1, ',');
        return comma ? (size_t)(comma - text) : strlen(text);
}

/* {{.Label "key"}}: out of the row's "key=value,key=value". Without "=" they are a table's heading. */
static json_t *label(json_t *const *args, size_t count, struct error *err)
{
        (void)count;
        const char *labels = json_string_value(json_object_get(args[0], "Labels")), *key = json_string_value(args[1]);
        if (!labels || !key) {
                error_set(err, -EINVAL, "there are no labels here, or their key is no string");
                return NULL;
        }
        if (*labels && !strchr(labels, '='))
                return label_title(key);
        for (const char *at = labels; *at;) {
                size_t name = strcspn(at, "=");
                const char *value = at + name + (at[name] == '=');
                size_t length = label_length(value);
                if (strlen(key) == name && !strncmp(at, key, name))
                        return json_stringn(value, length);
                at = value + length + (value[length] == ',');
        }
        return json_string("");
}

static json_t *changed_letters(json_t *value, int (*change)(int letter))
{
        _cleanup_text_ struct text text = { 0 };
        template_value_print(value, &text);
        for (size_t i = 0; i < text.length; i++)
                text.data[i] = (char)change((unsigned char)text.data[i]);
        return json_stringn(text.data ? text.data : "", text.length);
}

static json_t *upper(json_t *const *args, size_t count, struct error *err)
{
        (void)count;
        (void)err;
        return changed_letters(args[0], toupper);
}

static json_t *lower(json_t *const *args, size_t count, struct error *err)
{
        (void)count;
        (void)err;
        return changed_letters(args[0], tolower);
}

static json_t *println(json_t *const *args, size_t count, struct error *err)
{
        (void)err;
        _cleanup_text_ struct text text = { 0 };
        for (size_t i = 0; i < count; i++) {
                if (i)
                        text_append(&text, " ");
                template_value_print(args[i], &text);
        }
        text_append(&text, "\n");
        return json_stringn(text.data ? text.data : "", text.length);
}

/* Equal to any of the others. */
static json_t *equal(json_t *const *args, size_t count, struct error *err)
{
        (void)err;
        bool found = false;
        for (size_t i = 1; i < count; i++)
                found = found || json_equal(args[0], args[i]);
        return json_boolean(found);
}

static json_t *unequal(json_t *const *args, size_t count, struct error *err)
{
        (void)count;
        (void)err;
        return json_boolean(!json_equal(args[0], args[1]));
}

static json_t * not(json_t *const *args, size_t count, struct error *err)
{
        (void)count;
        (void)err;
        return json_boolean(!template_value_true(args[0]));
}

/* The first argument that decides, or the last. */
static json_t * and (json_t *const *args, size_t count, struct error *err)
{
        (void)err;
        size_t i = 0;
        while (i + 1 < count && template_value_true(args[i]))
                i++;
        return json_incref(args[i]);
}

static json_t * or (json_t *const *args, size_t count, struct error *err)
{
        (void)err;
        size_t i = 0;
        while (i + 1 < count && !template_value_true(args[i]))
                i++;
        return json_incref(args[i]);
}

static const struct template_function functions[] = {
        { "json", 1, 1, json_of },
        { "index", 2, TEMPLATE_ARGUMENTS_MAX, element },
        { "len", 1, 1, length },
        { "join", 2, 2, join },
        { "upper", 1, 1, upper },
        { "lower", 1, 1, lower },
        { "println", 0, TEMPLATE_ARGUMENTS_MAX, println },
        { "eq", 2, TEMPLATE_ARGUMENTS_MAX, equal },
        { "ne", 2, 2, unequal },
        { "not", 1, 1, not },
        { "and", 1, TEMPLATE_ARGUMENTS_MAX, and},
        { "or", 1, TEMPLATE_ARGUMENTS_MAX, or },
        { TEMPLATE_METHOD_LABEL, 2, 2, label },
};

const struct template_function *template_function_find(const char *name)
{
        for (size_t i = 0; i < ARRAY_SIZE(functions); i++)
                if (!strcmp(functions[i].name, name))
                        return &functions[i];
        return NULL;
}
