/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A JSON value as a template sees it: as text in Go's form, and as true or false.
 */
#pragma once

#include <jansson.h>
#include <stdbool.h>

#include "base/text.h"

/* "text", "5", "true", "[a b]", "map[key:value]" with sorted keys, "<no value>" for null. */
void template_value_print(const json_t *value, struct text *out);
/* As Go: false, 0, null and what is empty are false. */
bool template_value_true(const json_t *value);
/* The keys of an object, sorted: `count` borrowed strings in an array that the caller frees; NULL without memory. */
const char **template_value_keys(const json_t *object, size_t *count);
