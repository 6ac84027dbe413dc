/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * --filter key=value over the rows of a listing, for the rooms that list everything they have.
 *
 * As docker: values of one key widen (one must fit), different keys and labels narrow (all must fit).
 */
#pragma once

#include <jansson.h>

#include "base/error.h"

enum filter_match {
        FILTER_PART,  /* the field holds the value */
        FILTER_START, /* the field, without "sha256:", begins with it */
        FILTER_EXACT,
        FILTER_GLOB,  /* fnmatch(3) */
        FILTER_LABEL, /* the field is an object or "key=value" lines… of labels: key or key=value */
        FILTER_BOOL,  /* true or false, 1 or 0 */
};

struct filter_key {
        const char *key;
        const char *field; /* of the object: string, list of strings (one must fit), boolean, object */
        enum filter_match match;
};

/* Removes from the array what does not fit. `keys` ends with a NULL key. -EINVAL names the keys that there are. */
int filter_apply(json_t *objects, char *const *filters, const struct filter_key *keys, struct error *err);
/* Removes the fields that only filters need: those whose name begins with a dot. */
void filter_forget(json_t *objects);
