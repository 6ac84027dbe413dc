/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Text: a growing string, lists of strings, and numbers as people write them.
 *
 * A struct text starts as { 0 } and belongs to whoever declared it; text_free() or _cleanup_text_ releases it. Running out
 * of memory is remembered in `failed`, so a run of appends is checked once, at its end, by text_take() or text_failed().
 * A list of strings is a NULL-terminated array of owned strings (as argv is); NULL counts as an empty list.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/cleanup.h"

struct text {
        char *data; /* NUL-terminated; NULL while empty */
        size_t length;
        size_t room;
        bool failed;
};

void text_append(struct text *text, const char *string);
void text_append_bytes(struct text *text, const void *bytes, size_t length);
void text_printf(struct text *text, const char *format, ...) __attribute__((format(printf, 2, 3)));
bool text_failed(const struct text *text);

/* The string, now the caller's to free ("" if nothing was appended); NULL after a failed append. Leaves *text empty. */
char *text_take(struct text *text);
void text_free(struct text *text);

/* A formatted string that the caller frees, or NULL without memory. */
char *text_format(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* Appends a copy of `string` to the list at *list. Returns 0 or -ENOMEM (the list is unchanged then). */
int list_append(char ***list, const char *string);
/* As list_append() with a formatted string. */
int list_printf(char ***list, const char *format, ...) __attribute__((format(printf, 2, 3)));
size_t list_length(char *const *list);
bool list_contains(char *const *list, const char *string);
char **list_copy(char *const *list);
void list_free(char **list);

bool text_starts(const char *string, const char *prefix);
bool text_ends(const char *string, const char *suffix);
/*
 * Copies a string into an array of `size` bytes that the caller knows to be large enough. Where he is wrong the program
 * aborts, as on any overflow that is seen in time.
 */
void text_copy(char *target, size_t size, const char *string);
/* The same into an array whose size the compiler knows. */
#define TEXT_COPY(array, string) text_copy(array, sizeof(array) + 0 * sizeof(char[1 - 2 * IS_POINTER(array)]), string)
/* strcmp() == 0, where NULL equals only NULL. */
bool text_equal(const char *a, const char *b);

/* A whole decimal number and nothing else. Return 0, -EINVAL or -ERANGE. */
int parse_u64(const char *string, uint64_t *value);
int parse_i64(const char *string, int64_t *value);

/* A size with an optional unit: b, k, m, g, t (any case, "kb" and "kib" too; powers of 1024) as in docker's --memory. */
int parse_size(const char *string, uint64_t *bytes);

/* A duration in Go's form as docker writes it ("1h30m", "1.5s", "250ms"); a bare number counts seconds. In nanoseconds. */
int parse_duration(const char *string, uint64_t *nanoseconds);

static inline void cleanup_text(struct text *text)
{
        text_free(text);
}
static inline void cleanup_list(char ***list)
{
        list_free(*list);
}
#define _cleanup_text_ _cleanup_(text)
#define _cleanup_list_ _cleanup_(list)
