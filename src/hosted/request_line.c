/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "hosted/request_line.h"

#include <string.h>

#include "base/text.h"

size_t request_line_room(const struct request_line *line)
{
        return sizeof(line->data) - line->length;
}

int request_line_first(const struct request_line *line)
{
        const char *end = memchr(line->data, '\n', line->length);
        return end ? (int)(end - line->data) : -1;
}

void request_line_drop(struct request_line *line, size_t length)
{
        line->length -= length + 1;
        memmove(line->data, line->data + length + 1, line->length);
}

int request_parse(const char *line, size_t length, json_t **value, const char **command, struct error *err)
{
        int r = json_parse(line, length, "request", value, err);
        if (r < 0)
                return r;
        struct json_reader reader = { .document = "request", .err = err };
        const struct json_at request = json_root(&reader, *value);
        if (json_need_string(&request, "command", command))
                return 0;
        json_decref(TAKE_PTR(*value));
        return json_failed(&request);
}

char *request_refusal(const struct error *err)
{
        _cleanup_(json) json_t *answer = json_object(), *text = json_string(err->text);
        /* A text that was cut within a letter is no string of JSON. */
        if (!text)
                text = json_string("the request cannot be answered");
        if (!answer || !text || json_object_set(answer, "error", text) < 0)
                return NULL;
        _cleanup_free_ char *compact = json_dumps(answer, JSON_COMPACT);
        return compact ? text_format("%s\n", compact) : NULL;
}
