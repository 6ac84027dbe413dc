/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "cli/template.h"

#include <ctype.h>
#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "cli/template_node.h"

/* Blocks in blocks and parentheses in parentheses: far more than anybody writes, far less than the stack holds. */
#define DEPTH_MAX 64

struct parser {
        const char *text; /* the whole, for errors */
        const char *at;   /* in the text, or within an action */
        const char *end;  /* of the action */
        bool trim;        /* the last action ended in -}} */
        unsigned depth;
        struct error *err;
};

static struct expression *parse_pipeline(struct parser *parser);

static void expression_free(struct expression *expression)
{
        free(expression->variable);
        json_decref(expression->literal);
        for (size_t i = 0; i < expression->argument_count; i++)
                expression_free(expression->arguments[i]);
        list_free(expression->fields);
        free(expression);
}

DEFINE_CLEANUP(expression, struct expression, expression_free)
#define _cleanup_expression_ _cleanup_(expression)

static void node_free(struct node *node)
{
        while (node) {
                struct node *next = node->next;
                free(node->text);
                if (node->expression)
                        expression_free(node->expression);
                free(node->key);
                free(node->value);
                node_free(node->body);
                node_free(node->otherwise);
                free(node);
                node = next;
        }
}

DEFINE_CLEANUP(node, struct node, node_free)
#define _cleanup_node_ _cleanup_(node)

void template_free(struct template *template)
{
        node_free(template->nodes);
        free(template);
}

/* ---- Within an action ---- */

static void *fail(struct parser *parser, const char *reason)
{
        error_set(parser->err, -EINVAL, "the template \"%.200s\" %s at letter %zd", parser->text, reason,
                  parser->at - parser->text + 1);
        return NULL;
}

static void skip_space(struct parser *parser)
{
        while (parser->at < parser->end && isspace((unsigned char)*parser->at))
                parser->at++;
}

static bool at_word(const struct parser *parser)
{
        return parser->at < parser->end && (isalpha((unsigned char)*parser->at) || *parser->at == '_');
}

/* A name: letters, digits, "_" and, as no field of ours has an operator in it, "-". NULL without memory. */
static char *take_word(struct parser *parser)
{
        const char *start = parser->at;
        while (parser->at < parser->end &&
               (isalnum((unsigned char)*parser->at) || *parser->at == '_' || *parser->at == '-'))
                parser->at++;
        return strndup(start, (size_t)(parser->at - start));
}

static bool take(struct parser *parser, const char *token)
{
        skip_space(parser);
        size_t length = strlen(token);
        if ((size_t)(parser->end - parser->at) < length || strncmp(parser->at, token, length))
                return false;
        parser->at += length;
        return true;
}

static bool take_keyword(struct parser *parser, const char *keyword)
{
        const char *start = parser->at;
        if (take(parser, keyword) && (parser->at == parser->end || isspace((unsigned char)*parser->at)))
                return true;
        parser->at = start;
        return false;
}

static json_t *take_string(struct parser *parser)
{
        char quote = *parser->at++;
        _cleanup_text_ struct text text = { 0 };
        while (parser->at < parser->end && *parser->at != quote) {
                char c = *parser->at++;
                if (c == '\\' && quote == '"' && parser->at < parser->end) {
                        c = *parser->at++;
                        c = (char)(c == 'n' ? '\n' : c == 't' ? '\t' : c);
                }
                text_append_bytes(&text, &c, 1);
        }
        if (parser->at == parser->end)
                return fail(parser, "has a string without an end");
        parser->at++;
        json_t *string = json_stringn(text.data ? text.data : "", text.length);
        return string ? string : fail(parser, "has a string that is not UTF-8");
}

static json_t *take_literal(struct parser *parser)
{
        if (*parser->at == '"' || *parser->at == '`')
                return take_string(parser);
        if (take(parser, "true"))
                return json_true();
        if (take(parser, "false"))
                return json_false();
        char *end;
        long long number = strtoll(parser->at, &end, 10);
        if (end == parser->at || end > parser->end)
                return fail(parser, "has something that is neither a field, a function nor a value");
        parser->at = end;
        return json_integer(number);
}

static int take_fields(struct parser *parser, struct expression *expression)
{
        while (parser->at + 1 < parser->end && *parser->at == '.') {
                parser->at++;
                if (!at_word(parser)) {
                        fail(parser, "lacks a field's name");
                        return -EINVAL;
                }
                _cleanup_free_ char *name = take_word(parser);
                if (!name || list_append(&expression->fields, name) < 0)
                        return error_memory(parser->err);
        }
        return 0;
}

/* "." and ".Name", "$name", a literal, "(…)"; each may be followed by fields, but for a literal. */
static struct expression *parse_operand(struct parser *parser)
{
        skip_space(parser);
        _cleanup_expression_ struct expression *expression = NULL;
        if (take(parser, "(")) {
                expression = parse_pipeline(parser);
                if (!expression)
                        return NULL;
                if (!take(parser, ")"))
                        return fail(parser, "lacks a closing parenthesis");
        } else if (!(expression = calloc(1, sizeof(*expression)))) {
                error_memory(parser->err);
                return NULL;
        } else if (take(parser, "$")) {
                expression->kind = EXPRESSION_VARIABLE;
                expression->variable = take_word(parser);
        } else if (parser->at < parser->end && *parser->at == '.') {
                expression->kind = EXPRESSION_DOT;
                if (parser->at + 1 == parser->end || !isalpha((unsigned char)parser->at[1])) {
                        parser->at++;
                        return TAKE_PTR(expression);
                }
        } else {
                if (parser->at == parser->end)
                        return fail(parser, "lacks a field or a value");
                expression->kind = EXPRESSION_LITERAL;
                expression->literal = take_literal(parser);
                return expression->literal ? TAKE_PTR(expression) : NULL;
        }
        return take_fields(parser, expression) < 0 ? NULL : TAKE_PTR(expression);
}

static int add_argument(struct parser *parser, struct expression *call, struct expression *argument)
{
        if (call->argument_count == TEMPLATE_ARGUMENTS_MAX) {
                fail(parser, "gives a function too many arguments");
                return -EINVAL;
        }
        call->arguments[call->argument_count++] = argument;
        return 0;
}

static bool at_end_of_command(struct parser *parser)
{
        skip_space(parser);
        return parser->at == parser->end || *parser->at == '|' || *parser->at == ')';
}

static struct expression *parse_call(struct parser *parser)
{
        _cleanup_expression_ struct expression *call = calloc(1, sizeof(*call));
        _cleanup_free_ char *name = take_word(parser);
        if (!call || !name) {
                error_memory(parser->err);
                return NULL;
        }
        call->kind = EXPRESSION_CALL;
        call->function = template_function_find(name);
        if (!call->function) {
                error_set(parser->err, -EINVAL, "the template \"%.200s\" uses a function \"%s\", which does not exist",
                          parser->text, name);
                return NULL;
        }
        for (;;) {
                if (at_end_of_command(parser))
                        return TAKE_PTR(call);
                _cleanup_expression_ struct expression *argument = parse_operand(parser);
                if (!argument || add_argument(parser, call, argument) < 0)
                        return NULL;
                TAKE_PTR(argument);
        }
}

/* {{.Label "key"}} of docker's listings, the one method that takes an argument, is a function of the row. */
static struct expression *parse_method(struct parser *parser, struct expression *row)
{
        size_t count = list_length(row->fields);
        if (!count || strcmp(row->fields[count - 1], "Label") != 0)
                return fail(parser, "has more than one value in an action");
        _cleanup_expression_ struct expression *call = calloc(1, sizeof(*call)), *key = parse_operand(parser);
        if (!call || !key) {
                if (!call)
                        error_memory(parser->err);
                return NULL;
        }
        free(TAKE_PTR(row->fields[count - 1]));
        call->kind = EXPRESSION_CALL;
        call->function = template_function_find(TEMPLATE_METHOD_LABEL);
        call->arguments[0] = row;
        call->arguments[1] = TAKE_PTR(key);
        call->argument_count = 2;
        return TAKE_PTR(call);
}

static struct expression *parse_command(struct parser *parser)
{
        skip_space(parser);
        if (at_word(parser))
                return parse_call(parser);
        _cleanup_expression_ struct expression *operand = parse_operand(parser);
        if (!operand || at_end_of_command(parser))
                return TAKE_PTR(operand);
        struct expression *method = parse_method(parser, operand);
        if (method)
                TAKE_PTR(operand);
        return method;
}

static int check_arguments(struct parser *parser, const struct expression *expression)
{
        if (expression->kind != EXPRESSION_CALL || (expression->argument_count >= expression->function->min &&
                                                    expression->argument_count <= expression->function->max))
                return 0;
        return error_set(parser->err, -EINVAL, "the template \"%.200s\" gives %s %zu arguments; it takes %zu",
                         parser->text, expression->function->name, expression->argument_count,
                         expression->function->min);
}

/* "a | f x" is "f x a". */
static struct expression *parse_pipeline(struct parser *parser)
{
        if (++parser->depth > DEPTH_MAX)
                return fail(parser, "is nested too deep");
        _cleanup_expression_ struct expression *expression = parse_command(parser);
        while (expression && take(parser, "|")) {
                skip_space(parser);
                if (check_arguments(parser, expression) < 0)
                        return NULL;
                if (!at_word(parser))
                        return fail(parser, "lacks a function after |");
                struct expression *call = parse_call(parser);
                if (!call)
                        return NULL;
                if (add_argument(parser, call, expression) < 0) {
                        expression_free(call);
                        return NULL;
                }
                expression = call;
        }
        parser->depth--;
        return expression && !check_arguments(parser, expression) ? TAKE_PTR(expression) : NULL;
}

static struct expression *parse_whole(struct parser *parser)
{
        _cleanup_expression_ struct expression *expression = parse_pipeline(parser);
        skip_space(parser);
        if (expression && parser->at != parser->end)
                return fail(parser, "has more than one value in an action");
        return TAKE_PTR(expression);
}

/* ---- Text and actions ---- */

enum stop {
        STOP_END,  /* of the text */
        STOP_ELSE, /* {{else…}}: the parser stands behind the word */
        STOP_DONE, /* {{end}} */
        STOP_ERROR,
};

static enum stop parse_nodes(struct parser *parser, struct node **list);

/* Text up to the next action, with \t and \n replaced and trimmed as the actions around it ask. */
static int parse_text(struct parser *parser, const char *end, struct node *node)
{
        bool trim_end = end[0] && end[2] == '-' && isspace((unsigned char)end[3]);
        const char *start = parser->at, *last = end;
        while (parser->trim && start < last && isspace((unsigned char)*start))
                start++;
        while (trim_end && last > start && isspace((unsigned char)last[-1]))
                last--;
        _cleanup_text_ struct text text = { 0 };
        for (; start < last; start++) {
                char c = *start;
                if (c == '\\' && start + 1 < last && (start[1] == 't' || start[1] == 'n'))
                        c = *++start == 't' ? '\t' : '\n';
                text_append_bytes(&text, &c, 1);
        }
        node->kind = NODE_TEXT;
        node->text = text_take(&text);
        parser->at = end;
        return node->text ? 0 : error_memory(parser->err);
}

/* "$value :=" or "$key, $value :=" of a range. */
static int parse_range_variables(struct parser *parser, struct node *node)
{
        const char *start = parser->at;
        if (!take(parser, "$"))
                return 0;
        node->value = take_word(parser);
        if (take(parser, ",")) {
                node->key = TAKE_PTR(node->value);
                if (!take(parser, "$")) {
                        fail(parser, "lacks a variable after the comma");
                        return -EINVAL;
                }
                node->value = take_word(parser);
        }
        if (take(parser, ":="))
                return node->value ? 0 : error_memory(parser->err);
        /* Not a declaration but a value: {{range $.List}} */
        free(TAKE_PTR(node->key));
        free(TAKE_PTR(node->value));
        parser->at = start;
        return 0;
}

static void close_action(struct parser *parser)
{
        parser->trim = *parser->end == '-';
        parser->at = strstr(parser->end, "}}") + 2;
}

/* if, with and range; "else if" is an if within the else that shares its end. */
static int parse_block(struct parser *parser, struct node *node)
{
        if (++parser->depth > DEPTH_MAX) {
                fail(parser, "is nested too deep");
                return -EINVAL;
        }
        if (node->kind == NODE_RANGE && parse_range_variables(parser, node) < 0)
                return -EINVAL;
        node->expression = parse_whole(parser);
        if (!node->expression)
                return -EINVAL;
        close_action(parser);

        enum stop stop = parse_nodes(parser, &node->body);
        if (stop == STOP_ELSE && take_keyword(parser, "if")) {
                node->otherwise = calloc(1, sizeof(*node->otherwise));
                if (!node->otherwise)
                        return error_memory(parser->err);
                node->otherwise->kind = NODE_IF;
                int r = parse_block(parser, node->otherwise);
                parser->depth--;
                return r;
        }
        if (stop == STOP_ELSE) {
                skip_space(parser);
                if (parser->at != parser->end) {
                        fail(parser, "has something after else");
                        return -EINVAL;
                }
                close_action(parser);
                stop = parse_nodes(parser, &node->otherwise);
        }
        if (stop == STOP_ERROR)
                return -EINVAL;
        if (stop != STOP_DONE) {
                fail(parser, stop == STOP_ELSE ? "has a second else" : "lacks an {{end}}");
                return -EINVAL;
        }
        parser->depth--;
        return 0;
}

/* Sets parser->at and parser->end to the inside of the action that begins here. */
static int open_action(struct parser *parser)
{
        const char *close = strstr(parser->at, "}}");
        if (!close) {
                fail(parser, "lacks a closing }}");
                return -EINVAL;
        }
        parser->at += 2;
        if (*parser->at == '-' && isspace((unsigned char)parser->at[1]))
                parser->at++;
        parser->end = close;
        if (close > parser->at + 1 && close[-1] == '-' && isspace((unsigned char)close[-2]))
                parser->end = close - 1;
        skip_space(parser);
        return 0;
}

static const struct {
        const char *keyword;
        int kind;
} blocks[] = { { "if", NODE_IF }, { "with", NODE_WITH }, { "range", NODE_RANGE } };

static int parse_action(struct parser *parser, struct node *node)
{
        for (size_t i = 0; i < ARRAY_SIZE(blocks); i++) {
                if (!take_keyword(parser, blocks[i].keyword))
                        continue;
                node->kind = blocks[i].kind;
                return parse_block(parser, node);
        }
        node->kind = NODE_PRINT;
        node->expression = parse_whole(parser);
        if (!node->expression)
                return -EINVAL;
        close_action(parser);
        return 0;
}

static enum stop parse_nodes(struct parser *parser, struct node **list)
{
        while (*parser->at) {
                const char *action = strstr(parser->at, "{{");
                bool text = action != parser->at;
                if (!text) {
                        if (open_action(parser) < 0)
                                return STOP_ERROR;
                        if (take_keyword(parser, "else"))
                                return STOP_ELSE;
                        if (take_keyword(parser, "end")) {
                                close_action(parser);
                                return STOP_DONE;
                        }
                }
                struct node *node = *list = calloc(1, sizeof(*node));
                if (!node) {
                        error_memory(parser->err);
                        return STOP_ERROR;
                }
                int r = text ? parse_text(parser, action ? action : strchr(parser->at, 0), node)
                             : parse_action(parser, node);
                if (r < 0)
                        return STOP_ERROR;
                if (text)
                        parser->trim = false;
                list = &node->next;
        }
        return STOP_END;
}

int template_parse(const char *text, struct template **template, struct error *err)
{
        struct parser parser = { .text = text, .at = text, .err = err };
        _cleanup_node_ struct node *nodes = NULL;
        enum stop stop = parse_nodes(&parser, &nodes);
        if (stop == STOP_ERROR)
                return err ? err->code : -EINVAL;
        if (stop != STOP_END)
                return error_set(err, -EINVAL,
                                 "the template \"%.200s\" has an {{end}} or {{else}} without its beginning", text);
        struct template *made = calloc(1, sizeof(*made));
        if (!made)
                return error_memory(err);
        made->nodes = TAKE_PTR(nodes);
        *template = made;
        return 0;
}
