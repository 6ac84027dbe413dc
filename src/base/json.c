/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "base/json.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/file.h"
#include "base/text.h"

/* Whether the digits are an integer that only an unsigned one of 64 bits holds. */
static bool is_large(const char *digits, size_t length)
{
        char number[24];
        uint64_t value;
        if (length >= sizeof(number))
                return false;
        memcpy(number, digits, length);
        number[length] = 0;
        return !parse_u64(number, &value) && value > INT64_MAX;
}

/* Copies a document, with quotes around each integer from INT64_MAX + 1 to UINT64_MAX. */
static void quote_large_integers(const char *data, size_t length, struct text *quoted)
{
        bool in_string = false;
        for (size_t at = 0, end; at < length; at = end) {
                end = at + 1;
                if (in_string) {
                        in_string = data[at] != '"';
                        end += data[at] == '\\' && end < length;
                } else if (data[at] == '"') {
                        in_string = true;
                } else if (strchr("+-.0123456789eE", data[at]) && data[at]) {
                        while (end < length && data[end] && strchr("+-.0123456789eE", data[end]))
                                end++;
                        if (is_large(data + at, end - at)) {
                                text_printf(quoted, "\"%.*s\"", (int)(end - at), data + at);
                                continue;
                        }
                }
                text_append_bytes(quoted, data + at, end - at);
        }
}

int json_parse(const char *data, size_t length, const char *what, json_t **value, struct error *err)
{
        if (length > JSON_BYTES_MAX)
                return error_set(err, -EFBIG, "%s is %zu bytes of JSON; at most %d are accepted", what, length,
                                 JSON_BYTES_MAX);
        json_error_t where;
        json_t *parsed = json_loadb(data, length, JSON_REJECT_DUPLICATES, &where);
        if (!parsed && json_error_code(&where) == json_error_numeric_overflow) {
                _cleanup_text_ struct text quoted = { 0 };
                quote_large_integers(data, length, &quoted);
                if (!text_failed(&quoted))
                        parsed = json_loadb(quoted.data, quoted.length, JSON_REJECT_DUPLICATES, &where);
        }
        if (!parsed)
                return error_set(err, json_error_code(&where) == json_error_out_of_memory ? -ENOMEM : -EINVAL,
                                 "%s is not valid JSON: line %d, column %d: %s", what, where.line, where.column,
                                 where.text);
        *value = parsed;
        return 0;
}

int json_read(int dir, const char *name, json_t **value, struct error *err)
{
        _cleanup_free_ char *data = NULL;
        size_t length;
        int r = file_read(dir, name, JSON_BYTES_MAX, &data, &length, err);
        if (r < 0)
                return r;
        return json_parse(data, length, name, value, err);
}

int json_replace(int dir, const char *name, const json_t *value, bool durable, struct error *err)
{
        _cleanup_free_ char *data = json_dumps(value, JSON_COMPACT | JSON_ENCODE_ANY);
        if (!data)
                return error_memory(err);
        /* The terminating NUL, which is not written, gives way to the line feed. */
        size_t length = strlen(data);
        data[length] = '\n';
        return durable ? file_replace(dir, name, data, length + 1, 0600, err)
                       : file_replace_volatile(dir, name, data, length + 1, 0600, err);
}

struct json_at json_root(struct json_reader *reader, const json_t *value)
{
        struct json_at at = { .reader = reader, .value = value };
        if (!json_is_object(value))
                json_misfit(&at, "must be an object");
        return at;
}

int json_failed(const struct json_at *at)
{
        return at->reader->code;
}

static void append_path(struct text *text, const struct json_at *at)
{
        if (!at->parent)
                return;
        append_path(text, at->parent);
        if (at->key)
                text_printf(text, "%s%s", text->length ? "." : "", at->key);
        else
                text_printf(text, "[%zu]", at->index);
}

int json_misfit(const struct json_at *at, const char *format, ...)
{
        struct json_reader *reader = at->reader;
        if (reader->code)
                return reader->code;

        _cleanup_text_ struct text path = { 0 };
        append_path(&path, at);
        char reason[512];
        va_list args;
        va_start(args, format);
        vsnprintf(reason, sizeof(reason), format, args);
        va_end(args);
        reader->code = error_set(reader->err, -EINVAL, "%s: %s %s", reader->document,
                                 path.length && !path.failed ? path.data : "the document", reason);
        return reader->code;
}

static struct json_at member(const struct json_at *object, const char *key, const json_t *value)
{
        return (struct json_at){ .reader = object->reader, .parent = object, .key = key, .value = value };
}

struct json_at json_get(const struct json_at *object, const char *key)
{
        const json_t *value = object->reader->code || !object->value ? NULL : json_object_get(object->value, key);
        return member(object, key, json_is_null(value) ? NULL : value);
}

static struct json_at get_typed(const struct json_at *object, const char *key, json_type type, const char *name)
{
        struct json_at at = json_get(object, key);
        if (at.value && json_typeof(at.value) != type) {
                json_misfit(&at, "must be %s", name);
                at.value = NULL;
        }
        return at;
}

struct json_at json_get_object(const struct json_at *object, const char *key)
{
        return get_typed(object, key, JSON_OBJECT, "an object");
}

struct json_at json_get_array(const struct json_at *object, const char *key)
{
        return get_typed(object, key, JSON_ARRAY, "an array");
}

struct json_at json_element(const struct json_at *array, size_t i)
{
        return (struct json_at){
                .reader = array->reader, .parent = array, .index = i, .value = json_array_get(array->value, i)
        };
}

size_t json_count(const struct json_at *array)
{
        return array->reader->code || !array->value ? 0 : json_array_size(array->value);
}

const char *json_string_at(const struct json_at *at)
{
        if (!json_is_string(at->value)) {
                json_misfit(at, "must be a string");
                return NULL;
        }
        /* A NUL inside would end the string early for every system call that sees it. */
        if (strlen(json_string_value(at->value)) != json_string_length(at->value)) {
                json_misfit(at, "must not hold a NUL character");
                return NULL;
        }
        return json_string_value(at->value);
}

bool json_get_string(const struct json_at *object, const char *key, const char **value)
{
        struct json_at at = json_get(object, key);
        const char *string = at.value ? json_string_at(&at) : NULL;
        if (!string)
                return false;
        *value = string;
        return true;
}

bool json_need_string(const struct json_at *object, const char *key, const char **value)
{
        struct json_at at = json_get(object, key);
        if (!at.value && !json_failed(object))
                json_misfit(&at, "is required");
        return json_get_string(object, key, value);
}

bool json_get_bool(const struct json_at *object, const char *key, bool *value)
{
        struct json_at at = json_get(object, key);
        if (!at.value)
                return false;
        if (!json_is_boolean(at.value)) {
                json_misfit(&at, "must be true or false");
                return false;
        }
        *value = json_is_true(at.value);
        return true;
}

bool json_get_i64(const struct json_at *object, const char *key, int64_t min, int64_t max, int64_t *value)
{
        struct json_at at = json_get(object, key);
        if (!at.value)
                return false;
        if (!json_is_integer(at.value)) {
                json_misfit(&at, "must be an integer");
                return false;
        }
        int64_t number = json_integer_value(at.value);
        if (number < min || number > max) {
                json_misfit(&at, "is %lld; it must be between %lld and %lld", (long long)number, (long long)min,
                            (long long)max);
                return false;
        }
        *value = number;
        return true;
}

bool json_get_u64(const struct json_at *object, const char *key, uint64_t *value)
{
        int64_t number;
        struct json_at at = json_get(object, key);
        if (json_is_string(at.value) && is_large(json_string_value(at.value), json_string_length(at.value)))
                return !parse_u64(json_string_value(at.value), value);
        if (!json_get_i64(object, key, 0, INT64_MAX, &number))
                return false;
        *value = (uint64_t)number;
        return true;
}

bool json_get_strings(const struct json_at *object, const char *key, char ***value)
{
        struct json_at array = json_get_array(object, key);
        if (!array.value)
                return false;
        size_t count = json_count(&array);
        _cleanup_list_ char **list = calloc(count + 1, sizeof(char *));
        for (size_t i = 0; list && i < count; i++) {
                struct json_at at = json_element(&array, i);
                const char *string = json_string_at(&at);
                if (!string)
                        return false;
                if (!(list[i] = strdup(string)))
                        list_free(TAKE_PTR(list));
        }
        if (!list) {
                object->reader->code = error_memory(object->reader->err);
                return false;
        }
        *value = TAKE_PTR(list);
        return true;
}
