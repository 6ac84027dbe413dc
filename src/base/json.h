/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * JSON from strangers, read with jansson: bounded, without duplicate keys, and with errors that name the field.
 *
 * A struct json_at is a value together with where it stands, for instance "linux.resources.memory". It borrows the value
 * and the parent; it is made by json_root() and the json_get_…() calls and lives on the stack. The first misfit fills the
 * shared error and every later getter returns quietly, so a parser reads a whole object and checks json_failed() once.
 */
#pragma once

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/cleanup.h"
#include "base/error.h"

DEFINE_CLEANUP(json, json_t, json_decref)
#define _cleanup_json_ _cleanup_(json)

/* Larger documents, or deeper ones, are refused before they cost memory. */
#define JSON_BYTES_MAX (4 * 1024 * 1024)

/*
 * jansson's integers are signed. An integer above INT64_MAX (RLIM_INFINITY is one) arrives as a string of its digits
 * that json_get_u64() takes for the number that it is; other getters see a string.
 *
 * Parses `length` bytes; `what` names them in errors. Returns 0 with *value owned by the caller, -EINVAL, -EFBIG, -ENOMEM. */
int json_parse(const char *data, size_t length, const char *what, json_t **value, struct error *err);
/* As json_parse() of a file of at most JSON_BYTES_MAX. */
int json_read(int dir, const char *name, json_t **value, struct error *err);
/* Writes compact JSON and a line feed as file_replace() or file_replace_volatile() does. */
int json_replace(int dir, const char *name, const json_t *value, bool durable, struct error *err);

struct json_reader {
        const char *document; /* named in errors, e.g. "config.json" */
        struct error *err;
        int code; /* the first failure, 0 if none */
};

struct json_at {
        struct json_reader *reader;
        const struct json_at *parent;
        const char *key;     /* NULL: the root, or an element */
        size_t index;        /* of an element */
        const json_t *value; /* NULL: absent */
};

struct json_at json_root(struct json_reader *reader, const json_t *value);
int json_failed(const struct json_at *at);

/* Reports a misfit at `at`: "<document>: <path> <format…>". Returns -EINVAL (or the earlier failure). */
int json_misfit(const struct json_at *at, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* A member; absent (value NULL) where missing or null. Any type. */
struct json_at json_get(const struct json_at *object, const char *key);
/* A member of that type, absent where missing or null; another type is a misfit. */
struct json_at json_get_object(const struct json_at *object, const char *key);
struct json_at json_get_array(const struct json_at *object, const char *key);
/* Element i < json_count(array). */
struct json_at json_element(const struct json_at *array, size_t i);
size_t json_count(const struct json_at *array);

/* Each returns whether the member was there (and well); *value is untouched where not. Strings borrow from the document. */
bool json_get_string(const struct json_at *object, const char *key, const char **value);
bool json_get_bool(const struct json_at *object, const char *key, bool *value);
bool json_get_i64(const struct json_at *object, const char *key, int64_t min, int64_t max, int64_t *value);
bool json_get_u64(const struct json_at *object, const char *key, uint64_t *value); /* 0 to UINT64_MAX */
/* A list of strings as an owned NULL-terminated array (to list_free()). */
bool json_get_strings(const struct json_at *object, const char *key, char ***value);
/* The element or value itself as a string; a misfit otherwise, then NULL. */
const char *json_string_at(const struct json_at *at);

/* As the getters above, but a missing member is a misfit ("… is required"). */
bool json_need_string(const struct json_at *object, const char *key, const char **value);
