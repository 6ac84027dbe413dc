/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What commands print: listings (one row an object, as a table, as JSON or by a template) and objects (inspect).
 *
 * A row is a flat JSON object with docker's field names, so one description serves the table, --format and --quiet.
 * Names and commands come from strangers: control characters in a table are shown as "?".
 */
#pragma once

#include <jansson.h>
#include <stdbool.h>
#include <stdio.h>

#include "base/error.h"
#include "base/options.h"

enum shortening {
        SHORTEN_NOT,
        SHORTEN_ID,   /* 12 digits, without "sha256:" */
        SHORTEN_TEXT, /* 20 letters, the last one "…"; always in quotes, with control characters as "\n" or "\x1b" */
};

struct column {
        const char *field;
        const char *title;          /* NULL: made of the field's name ("CreatedAt" is CREATED AT) */
        enum shortening shortening; /* with --no-trunc: the quotes alone */
        bool hidden;                /* not in the table unless asked for by a template */
};

struct listing {
        const char *id;               /* the field that --quiet prints */
        const struct column *columns; /* ends with a NULL field */
};

/* A command whose options begin with this struct adds listing_option_table to its tables. */
struct listing_options {
        const char *format; /* NULL and "table": the table; "json": an object a line; "table TEMPLATE"; TEMPLATE */
        bool quiet, no_trunc;
        char **filters;
};
extern const struct option_spec listing_option_table[];

/* Prints `rows`, an array of objects, which it may change. -EINVAL for a template that does not fit. */
int listing_print(const struct listing *listing, json_t *rows, const struct listing_options *options, FILE *out,
                  struct error *err);

/*
 * Prints an array of objects: indented JSON where `format` is NULL, an object a line for "json", else by the template.
 */
int objects_print(json_t *objects, const char *format, FILE *out, struct error *err);
/* As objects_print() for a single object, which is not wrapped in an array. */
int object_print(const json_t *object, const char *format, FILE *out, struct error *err);

/* Prints lines whose cells are separated by tabs, columns aligned to their widest cell. */
int table_print(const char *lines, FILE *out, struct error *err);
