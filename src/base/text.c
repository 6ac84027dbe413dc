/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "base/text.h"

#include <ctype.h>
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

static bool make_room(struct text *text, size_t more)
{
        if (text->failed)
                return false;
        if (more < text->room - text->length)
                return true;

        size_t room = text->room ? text->room : 64;
        while (room - text->length <= more) {
                if (room > SIZE_MAX / 2) {
                        text->failed = true;
                        return false;
                }
                room *= 2;
        }
        char *data = realloc(text->data, room);
        if (!data) {
                text->failed = true;
                return false;
        }
        text->data = data;
        text->room = room;
        return true;
}

void text_append_bytes(struct text *text, const void *bytes, size_t length)
{
        if (!make_room(text, length))
                return;
        if (length)
                memcpy(text->data + text->length, bytes, length);
        text->length += length;
        text->data[text->length] = 0;
}

void text_append(struct text *text, const char *string)
{
        text_append_bytes(text, string, strlen(string));
}

void text_printf(struct text *text, const char *format, ...)
{
        va_list args;
        va_start(args, format);
        char *string = NULL;
        int length = vasprintf(&string, format, args);
        va_end(args);
        if (length < 0) {
                text->failed = true;
                return;
        }
        text_append_bytes(text, string, (size_t)length);
        free(string);
}

bool text_failed(const struct text *text)
{
        return text->failed;
}

char *text_take(struct text *text)
{
        text_append_bytes(text, "", 0);
        char *data = text->failed ? NULL : TAKE_PTR(text->data);
        text_free(text);
        return data;
}

void text_free(struct text *text)
{
        free(text->data);
        *text = (struct text){ 0 };
}

char *text_format(const char *format, ...)
{
        va_list args;
        va_start(args, format);
        char *string = NULL;
        int length = vasprintf(&string, format, args);
        va_end(args);
        return length < 0 ? NULL : string;
}

static int append_owned(char ***list, char *string)
{
        size_t length = list_length(*list);
        char **grown = string ? reallocarray(*list, length + 2, sizeof(char *)) : NULL;
        if (!grown) {
                free(string);
                return -ENOMEM;
        }
        grown[length] = string;
        grown[length + 1] = NULL;
        *list = grown;
        return 0;
}

int list_append(char ***list, const char *string)
{
        return append_owned(list, strdup(string));
}

int list_printf(char ***list, const char *format, ...)
{
        va_list args;
        va_start(args, format);
        char *string = NULL;
        int length = vasprintf(&string, format, args);
        va_end(args);
        return append_owned(list, length < 0 ? NULL : string);
}

size_t list_length(char *const *list)
{
        size_t length = 0;
        while (list && list[length])
                length++;
        return length;
}

bool list_contains(char *const *list, const char *string)
{
        for (; list && *list; list++)
                if (!strcmp(*list, string))
                        return true;
        return false;
}

char **list_copy(char *const *list)
{
        size_t length = list_length(list);
        _cleanup_list_ char **copy = calloc(length + 1, sizeof(char *));
        if (!copy)
                return NULL;
        for (size_t i = 0; i < length; i++)
                if (!(copy[i] = strdup(list[i])))
                        return NULL;
        return TAKE_PTR(copy);
}

void list_free(char **list)
{
        for (char **item = list; item && *item; item++)
                free(*item);
        free(list);
}

bool text_starts(const char *string, const char *prefix)
{
        return !strncmp(string, prefix, strlen(prefix));
}

bool text_ends(const char *string, const char *suffix)
{
        size_t length = strlen(string), end = strlen(suffix);
        return length >= end && !strcmp(string + length - end, suffix);
}

void text_copy(char *target, size_t size, const char *string)
{
        size_t length = strlen(string);
        if (length >= size)
                abort();
        memcpy(target, string, length + 1);
}

bool text_equal(const char *a, const char *b)
{
        return a == b || (a && b && !strcmp(a, b));
}

int parse_u64(const char *string, uint64_t *value)
{
        if (!isdigit((unsigned char)string[0]))
                return -EINVAL;
        char *end;
        errno = 0;
        unsigned long long number = strtoull(string, &end, 10);
        if (errno)
                return -errno;
        if (*end)
                return -EINVAL;
        *value = number;
        return 0;
}

int parse_i64(const char *string, int64_t *value)
{
        if (!isdigit((unsigned char)string[string[0] == '-']))
                return -EINVAL;
        char *end;
        errno = 0;
        long long number = strtoll(string, &end, 10);
        if (errno)
                return -errno;
        if (*end)
                return -EINVAL;
        *value = number;
        return 0;
}

/* A number with an optional fraction, exact to nine digits after the point: whole and billionths. */
static int parse_decimal(const char **string, uint64_t *whole, uint64_t *billionths)
{
        const char *c = *string;
        if (!isdigit((unsigned char)*c))
                return -EINVAL;
        *whole = *billionths = 0;
        for (; isdigit((unsigned char)*c); c++)
                if (__builtin_mul_overflow(*whole, 10, whole) || __builtin_add_overflow(*whole, *c - '0', whole))
                        return -ERANGE;
        if (*c == '.') {
                uint64_t weight = 100000000;
                for (c++; isdigit((unsigned char)*c); c++, weight /= 10)
                        *billionths += weight * (uint64_t)(*c - '0');
        }
        *string = c;
        return 0;
}

static int scale(uint64_t whole, uint64_t billionths, uint64_t unit, uint64_t *value)
{
        __uint128_t total = (__uint128_t)whole * unit + (__uint128_t)billionths * unit / 1000000000;
        if (total > UINT64_MAX)
                return -ERANGE;
        *value = (uint64_t)total;
        return 0;
}

int parse_size(const char *string, uint64_t *bytes)
{
        static const char units[] = "bkmgtp";
        uint64_t whole, billionths, unit = 1;
        int r = parse_decimal(&string, &whole, &billionths);
        if (r < 0)
                return r;
        if (*string) {
                const char *at = strchr(units, tolower((unsigned char)*string));
                if (!at)
                        return -EINVAL;
                unit = 1ULL << (10 * (at - units));
                string++;
                if (at != units && strcasecmp(string, "b") && strcasecmp(string, "ib") && *string)
                        return -EINVAL;
                if (at == units && *string)
                        return -EINVAL;
        }
        return scale(whole, billionths, unit, bytes);
}

int parse_duration(const char *string, uint64_t *nanoseconds)
{
        static const struct {
                const char *name;
                uint64_t nanoseconds;
        } units[] = {
                /* "ms" stands before "m", which it starts with */
                { "ns", 1 },         { "us", 1000 },       { "ms", 1000000 },
                { "s", 1000000000 }, { "m", 60000000000 }, { "h", 3600000000000 },
        };
        uint64_t total = 0;
        bool first = true;
        do {
                uint64_t whole, billionths, part;
                int r = parse_decimal(&string, &whole, &billionths);
                if (r < 0)
                        return r;
                size_t i = 3;
                if (*string || !first) {
                        for (i = 0; i < ARRAY_SIZE(units) && !text_starts(string, units[i].name); i++)
                                ;
                        if (i == ARRAY_SIZE(units))
                                return -EINVAL;
                        string += strlen(units[i].name);
                }
                r = scale(whole, billionths, units[i].nanoseconds, &part);
                if (r < 0)
                        return r;
                if (__builtin_add_overflow(total, part, &total))
                        return -ERANGE;
                first = false;
        } while (*string);
        *nanoseconds = total;
        return 0;
}
