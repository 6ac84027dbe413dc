/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A template as a tree: what template.c makes of its text and template_render.c walks. No one else includes this.
 */
#pragma once

#include <jansson.h>
#include <stddef.h>

#include "base/error.h"

/* A function: args are `count` borrowed values, the result is a new reference; NULL with *err filled. */
struct template_function {
        const char *name;
        size_t min, max; /* arguments */
        json_t *(*call)(json_t *const *args, size_t count, struct error *err);
};
const struct template_function *template_function_find(const char *name);
/* {{.Label "key"}} of a row; no template can write this name. */
#define TEMPLATE_METHOD_LABEL ".Label"

#define TEMPLATE_ARGUMENTS_MAX 8

/* A value, then the chain of fields taken from it. */
struct expression {
        enum {
                EXPRESSION_DOT,
                EXPRESSION_VARIABLE,
                EXPRESSION_LITERAL,
                EXPRESSION_CALL,
        } kind;
        char *variable; /* without "$"; "" is the root */
        json_t *literal;
        const struct template_function *function;
        struct expression *arguments[TEMPLATE_ARGUMENTS_MAX];
        size_t argument_count;
        char **fields;
};

/* One piece of a template; pieces that follow each other are chained by `next`. All is owned. */
struct node {
        enum {
                NODE_TEXT,
                NODE_PRINT,
                NODE_IF,
                NODE_WITH,
                NODE_RANGE,
        } kind;
        char *text;
        struct expression *expression;
        char *key, *value;             /* variables of a range, NULL where not named */
        struct node *body, *otherwise; /* of if, with and range */
        struct node *next;
};

struct template
{
        struct node *nodes;
};
