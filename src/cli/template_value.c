/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "cli/template_value.h"

#include <stdlib.h>
#include <string.h>

static int compare(const void *a, const void *b)
{
        return strcmp(*(const char *const *)a, *(const char *const *)b);
}

const char **template_value_keys(const json_t *object, size_t *count)
{
        const char **keys = calloc(json_object_size(object) + 1, sizeof(*keys));
        if (!keys)
                return NULL;
        *count = 0;
        for (void *at = json_object_iter((json_t *)object); at; at = json_object_iter_next((json_t *)object, at))
                keys[(*count)++] = json_object_iter_key(at);
        qsort(keys, *count, sizeof(*keys), compare);
        return keys;
}

static void print_object(const json_t *value, struct text *out)
{
        size_t count;
        _cleanup_free_ const char **keys = template_value_keys(value, &count);
        if (!keys) {
                out->failed = true;
                return;
        }
        text_append(out, "map[");
        for (size_t i = 0; i < count; i++) {
                text_printf(out, "%s%s:", i ? " " : "", keys[i]);
                template_value_print(json_object_get(value, keys[i]), out);
        }
        text_append(out, "]");
}

static void print_array(const json_t *value, struct text *out)
{
        text_append(out, "[");
        for (size_t i = 0; i < json_array_size(value); i++) {
                if (i)
                        text_append(out, " ");
                template_value_print(json_array_get(value, i), out);
        }
        text_append(out, "]");
}

void template_value_print(const json_t *value, struct text *out)
{
        switch (json_typeof(value)) {
        case JSON_STRING: text_append_bytes(out, json_string_value(value), json_string_length(value)); break;
        case JSON_INTEGER: text_printf(out, "%" JSON_INTEGER_FORMAT, json_integer_value(value)); break;
        case JSON_REAL: text_printf(out, "%.15g", json_real_value(value)); break;
        case JSON_TRUE:
        case JSON_FALSE: text_append(out, json_is_true(value) ? "true" : "false"); break;
        case JSON_OBJECT: print_object(value, out); break;
        case JSON_ARRAY: print_array(value, out); break;
        case JSON_NULL: text_append(out, "<no value>"); break;
        }
}

bool template_value_true(const json_t *value)
{
        switch (json_typeof(value)) {
        case JSON_STRING: return json_string_length(value);
        case JSON_INTEGER: return json_integer_value(value);
        case JSON_REAL: return json_real_value(value) != 0;
        case JSON_OBJECT: return json_object_size(value);
        case JSON_ARRAY: return json_array_size(value);
        case JSON_TRUE: return true;
        case JSON_FALSE:
        case JSON_NULL: return false;
        }
        return false;
}
