/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <errno.h>
#include <stdbool.h>
#include <string.h>

#include "base/json.h"
#include "cli/template.h"
#include "cli/template_node.h"
#include "cli/template_value.h"

/* What a name stands for; the scopes of nested blocks are chained. Everything is borrowed. */
struct scope {
        const struct scope *outer;
        const char *name; /* NULL: no variable of this block */
        json_t *value;
};

struct renderer {
        struct text *out;
        struct error *err;
};

static json_t *evaluate(struct renderer *renderer, const struct expression *expression, const struct scope *scope,
                        json_t *dot, bool lenient);

static json_t *find_variable(struct renderer *renderer, const char *name, const struct scope *scope)
{
        for (; scope; scope = scope->outer)
                if (scope->name && !strcmp(scope->name, name))
                        return json_incref(scope->value);
        error_set(renderer->err, -EINVAL, "the template has no variable $%s here", name);
        return NULL;
}

/* Takes the chain of fields; consumes `value`. A condition (`lenient`) takes null for what is not there. */
static json_t *follow(struct renderer *renderer, json_t *value, char *const *fields, bool lenient)
{
        _cleanup_json_ json_t *owner = value;
        json_t *at = owner;
        for (; fields && *fields; fields++) {
                json_t *next = json_object_get(at, *fields);
                if (!next && lenient)
                        return json_null();
                if (!next) {
                        error_set(renderer->err, -EINVAL, "there is no field \"%s\" for the template to show", *fields);
                        return NULL;
                }
                at = next;
        }
        return json_incref(at);
}

static json_t *call(struct renderer *renderer, const struct expression *expression, const struct scope *scope,
                    json_t *dot, bool lenient)
{
        json_t *arguments[TEMPLATE_ARGUMENTS_MAX];
        size_t count = 0;
        json_t *result = NULL;
        while (count < expression->argument_count &&
               (arguments[count] = evaluate(renderer, expression->arguments[count], scope, dot, lenient)))
                count++;
        if (count == expression->argument_count) {
                struct error err = { 0 };
                result = expression->function->call(arguments, count, &err);
                if (!result && err.code)
                        error_set(renderer->err, err.code, "the template cannot be filled in: %s", err.text);
                else if (!result)
                        error_memory(renderer->err);
        }
        while (count)
                json_decref(arguments[--count]);
        return result;
}

/* A new reference; NULL with the error set. */
static json_t *evaluate(struct renderer *renderer, const struct expression *expression, const struct scope *scope,
                        json_t *dot, bool lenient)
{
        json_t *value = NULL;
        switch (expression->kind) {
        case EXPRESSION_DOT: value = json_incref(dot); break;
        case EXPRESSION_VARIABLE: value = find_variable(renderer, expression->variable, scope); break;
        case EXPRESSION_LITERAL: value = json_incref(expression->literal); break;
        case EXPRESSION_CALL: value = call(renderer, expression, scope, dot, lenient); break;
        }
        return value ? follow(renderer, value, expression->fields, lenient) : NULL;
}

static int render(struct renderer *renderer, const struct node *node, const struct scope *scope, json_t *dot);

static int render_element(struct renderer *renderer, const struct node *node, const struct scope *outer, json_t *key,
                          json_t *value)
{
        if (!key)
                return error_memory(renderer->err);
        struct scope of_key = { .outer = outer, .name = node->key, .value = key };
        struct scope of_value = { .outer = &of_key, .name = node->value, .value = value };
        int r = render(renderer, node->body, &of_value, value);
        json_decref(key);
        return r;
}

static int render_range(struct renderer *renderer, const struct node *node, const struct scope *scope, json_t *over)
{
        if (!json_is_object(over) && !json_is_array(over))
                return error_set(renderer->err, -EINVAL, "range in the template needs a list or an object");
        int r = 0;
        for (size_t i = 0; !r && i < json_array_size(over); i++)
                r = render_element(renderer, node, scope, json_integer((json_int_t)i), json_array_get(over, i));
        if (!json_is_object(over))
                return r;

        size_t count;
        _cleanup_free_ const char **keys = template_value_keys(over, &count);
        if (!keys)
                return error_memory(renderer->err);
        for (size_t i = 0; !r && i < count; i++)
                r = render_element(renderer, node, scope, json_string(keys[i]), json_object_get(over, keys[i]));
        return r;
}

static int render_block(struct renderer *renderer, const struct node *node, const struct scope *scope, json_t *dot)
{
        _cleanup_json_ json_t *value = evaluate(renderer, node->expression, scope, dot, true);
        if (!value)
                return -EINVAL;
        if (!template_value_true(value))
                return render(renderer, node->otherwise, scope, dot);
        if (node->kind == NODE_RANGE)
                return render_range(renderer, node, scope, value);
        return render(renderer, node->body, scope, node->kind == NODE_WITH ? value : dot);
}

static int render_value(struct renderer *renderer, const struct node *node, const struct scope *scope, json_t *dot)
{
        _cleanup_json_ json_t *value = evaluate(renderer, node->expression, scope, dot, false);
        if (!value)
                return -EINVAL;
        template_value_print(value, renderer->out);
        return 0;
}

static int render(struct renderer *renderer, const struct node *node, const struct scope *scope, json_t *dot)
{
        int r = 0;
        for (; node && !r; node = node->next) {
                if (node->kind == NODE_TEXT)
                        text_append(renderer->out, node->text);
                else if (node->kind == NODE_PRINT)
                        r = render_value(renderer, node, scope, dot);
                else
                        r = render_block(renderer, node, scope, dot);
        }
        return r;
}

int template_render(const struct template *template, const json_t *value, struct text *out, struct error *err)
{
        struct renderer renderer = { .out = out, .err = err };
        json_t *root = json_incref((json_t *)value);
        struct scope scope = { .name = "", .value = root };
        int r = render(&renderer, template->nodes, &scope, root);
        json_decref(root);
        if (!r && text_failed(out))
                r = error_memory(err);
        return r;
}
