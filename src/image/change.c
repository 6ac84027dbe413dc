/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "image/change.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/json.h"
#include "base/text.h"

typedef int apply(json_t *config, const char *arguments, struct error *err);

static const char *skip_blanks(const char *at)
{
        return at + strspn(at, " \t");
}

/*
 * The next word: blanks end it, outside of quotes; a backslash takes what follows as it is. 1 with *word owned by the
 * caller, 0 at the end.
 */
static int next_word(const char **at, char **word, struct error *err)
{
        const char *c = skip_blanks(*at);
        if (!*c)
                return 0;
        _cleanup_text_ struct text text = { 0 };
        text_append(&text, "");
        for (char quote = 0; *c && (quote || (*c != ' ' && *c != '\t')); c++) {
                if (quote && *c == quote) {
                        quote = 0;
                } else if (!quote && (*c == '"' || *c == '\'')) {
                        quote = *c;
                } else {
                        if (*c == '\\' && quote != '\'' && c[1])
                                c++;
                        text_append_bytes(&text, c, 1);
                }
                if (!c[1] && quote)
                        return error_set(err, -EINVAL, "a quote is not closed");
        }
        *at = c;
        *word = text_take(&text);
        return *word ? 1 : error_memory(err);
}

static int split(const char *arguments, char ***words, struct error *err)
{
        int r;
        char *word = NULL;
        while ((r = next_word(&arguments, &word, err)) > 0) {
                r = list_append(words, word);
                free(word);
                if (r < 0)
                        return error_memory(err);
        }
        return r;
}

static int set(json_t *config, const char *key, json_t *value, struct error *err)
{
        return json_object_set_new(config, key, value) < 0 ? error_memory(err) : 0;
}

static json_t *strings(char *const *list)
{
        json_t *array = json_array();
        for (; array && list && *list; list++)
                json_array_append_new(array, json_string(*list));
        return array;
}

/* The list of a JSON form; NULL where the arguments are not one, which docker takes as the shell form too. */
static json_t *exec_form(const char *arguments)
{
        if (arguments[0] != '[')
                return NULL;
        _cleanup_json_ json_t *list = NULL;
        if (json_parse(arguments, strlen(arguments), "arguments", &list, NULL) < 0 || !json_is_array(list))
                return NULL;
        for (size_t i = 0; i < json_array_size(list); i++)
                if (!json_is_string(json_array_get(list, i)))
                        return NULL;
        return TAKE_PTR(list);
}

static json_t *command_form(const char *arguments)
{
        json_t *list = exec_form(arguments);
        return list ? list : json_pack("[s, s, s]", "/bin/sh", "-c", arguments);
}

static int apply_cmd(json_t *config, const char *arguments, struct error *err)
{
        return set(config, "Cmd", command_form(arguments), err);
}

static int apply_entrypoint(json_t *config, const char *arguments, struct error *err)
{
        return set(config, "Entrypoint", command_form(arguments), err);
}

/* "a=1 b=2", or the old "a 1": each pair goes to `add`. */
static int each_pair(const char *arguments, json_t *config, int (*add)(json_t *, const char *, const char *),
                     struct error *err)
{
        _cleanup_list_ char **words = NULL;
        int r = split(arguments, &words, err);
        if (r < 0)
                return r;
        if (words && words[0][0] && !strchr(words[0], '=') && words[1]) {
                const char *value = skip_blanks(arguments + strcspn(arguments, " \t"));
                return add(config, words[0], value) < 0 ? error_memory(err) : 0;
        }
        for (char **word = words; word && *word; word++) {
                char *value = strchr(*word, '=');
                if (!value || value == *word)
                        return error_set(err, -EINVAL, "\"%.100s\" is not NAME=VALUE", *word);
                *value++ = 0;
                if (add(config, *word, value) < 0)
                        return error_memory(err);
        }
        return 0;
}

static int add_environment(json_t *config, const char *name, const char *value)
{
        json_t *list = json_object_get(config, "Env");
        if (!list && json_object_set_new(config, "Env", list = json_array()) < 0)
                return -ENOMEM;
        _cleanup_free_ char *entry = text_format("%s=%s", name, value);
        size_t length = strlen(name);
        for (size_t i = 0; entry && i < json_array_size(list); i++) {
                const char *there = json_string_value(json_array_get(list, i));
                if (there && !strncmp(there, name, length) && there[length] == '=')
                        return json_array_set_new(list, i, json_string(entry));
        }
        return entry ? json_array_append_new(list, json_string(entry)) : -ENOMEM;
}

static int add_to(json_t *config, const char *key, const char *name, json_t *value)
{
        json_t *object = json_object_get(config, key);
        if (!object && json_object_set_new(config, key, object = json_object()) < 0) {
                json_decref(value);
                return -ENOMEM;
        }
        return json_object_set_new(object, name, value);
}

static int add_label(json_t *config, const char *name, const char *value)
{
        return add_to(config, "Labels", name, json_string(value));
}

static int apply_env(json_t *config, const char *arguments, struct error *err)
{
        return each_pair(arguments, config, add_environment, err);
}

static int apply_label(json_t *config, const char *arguments, struct error *err)
{
        return each_pair(arguments, config, add_label, err);
}

static int apply_expose(json_t *config, const char *arguments, struct error *err)
{
        _cleanup_list_ char **words = NULL;
        int r = split(arguments, &words, err);
        for (char **word = words; !r && word && *word; word++) {
                _cleanup_free_ char *port = text_format("%s%s", *word, strchr(*word, '/') ? "" : "/tcp");
                if (!port || add_to(config, "ExposedPorts", port, json_object()) < 0)
                        r = error_memory(err);
        }
        return r;
}

static int apply_volume(json_t *config, const char *arguments, struct error *err)
{
        _cleanup_json_ json_t *list = exec_form(arguments);
        _cleanup_list_ char **words = NULL;
        int r = list ? 0 : split(arguments, &words, err);
        if (!r && !list && !(list = strings(words)))
                r = error_memory(err);
        for (size_t i = 0; !r && i < json_array_size(list); i++)
                if (add_to(config, "Volumes", json_string_value(json_array_get(list, i)), json_object()) < 0)
                        r = error_memory(err);
        return r;
}

/* One word that becomes a string member. */
static int set_word(json_t *config, const char *key, const char *arguments, struct error *err)
{
        _cleanup_list_ char **words = NULL;
        int r = split(arguments, &words, err);
        if (r < 0)
                return r;
        if (list_length(words) != 1)
                return error_set(err, -EINVAL, "expected one argument");
        return set(config, key, json_string(words[0]), err);
}

static int apply_stop_signal(json_t *config, const char *arguments, struct error *err)
{
        return set_word(config, "StopSignal", arguments, err);
}

static int apply_user(json_t *config, const char *arguments, struct error *err)
{
        return set_word(config, "User", arguments, err);
}

static int apply_workdir(json_t *config, const char *arguments, struct error *err)
{
        if (arguments[0] == '/')
                return set(config, "WorkingDir", json_string(arguments), err);
        const char *now = json_string_value(json_object_get(config, "WorkingDir"));
        _cleanup_free_ char *path = text_format("%s/%s", now && strcmp(now, "/") ? now : "", arguments);
        return path ? set(config, "WorkingDir", json_string(path), err) : error_memory(err);
}

static int apply_on_build(json_t *config, const char *arguments, struct error *err)
{
        json_t *list = json_object_get(config, "OnBuild");
        if (!list && json_object_set_new(config, "OnBuild", list = json_array()) < 0)
                return error_memory(err);
        return json_array_append_new(list, json_string(arguments)) < 0 ? error_memory(err) : 0;
}

static int set_health_option(json_t *health, const char *option, struct error *err)
{
        static const struct {
                const char *option, *key;
        } times[] = {
                { "--interval=", "Interval" },
                { "--timeout=", "Timeout" },
                { "--start-period=", "StartPeriod" },
                { "--start-interval=", "StartInterval" },
        };
        uint64_t value;
        for (size_t i = 0; i < ARRAY_SIZE(times); i++) {
                if (!text_starts(option, times[i].option))
                        continue;
                if (parse_duration(option + strlen(times[i].option), &value) < 0 || value > INT64_MAX)
                        return error_set(err, -EINVAL, "%s: expected a duration such as 30s", option);
                return set(health, times[i].key, json_integer((json_int_t)value), err);
        }
        if (!text_starts(option, "--retries="))
                return error_set(err, -EINVAL, "unknown option %s", option);
        if (parse_u64(option + strlen("--retries="), &value) < 0 || value > INT32_MAX)
                return error_set(err, -EINVAL, "%s: expected a number", option);
        return set(health, "Retries", json_integer((json_int_t)value), err);
}

static int parse_health(json_t *health, const char *arguments, struct error *err)
{
        while (text_starts(arguments, "--")) {
                size_t length = strcspn(arguments, " \t");
                _cleanup_free_ char *option = strndup(arguments, length);
                int r = option ? set_health_option(health, option, err) : error_memory(err);
                if (r < 0)
                        return r;
                arguments = skip_blanks(arguments + length);
        }
        if (!strcasecmp(arguments, "NONE"))
                return set(health, "Test", json_pack("[s]", "NONE"), err);
        if (strncasecmp(arguments, "CMD", 3) || !strchr(" \t", arguments[3]))
                return error_set(err, -EINVAL, "expected NONE, or CMD and a command");
        arguments = skip_blanks(arguments + 3);
        json_t *list = exec_form(arguments);
        if (!list)
                return set(health, "Test", json_pack("[s, s]", "CMD-SHELL", arguments), err);
        json_array_insert_new(list, 0, json_string("CMD"));
        return set(health, "Test", list, err);
}

static int apply_health(json_t *config, const char *arguments, struct error *err)
{
        _cleanup_json_ json_t *health = json_object();
        int r = health ? parse_health(health, arguments, err) : error_memory(err);
        return r < 0 ? r : set(config, "Healthcheck", TAKE_PTR(health), err);
}

int change_apply(json_t *config, const char *instruction, struct error *err)
{
        static const struct {
                const char *name;
                apply *apply;
        } instructions[] = {
                { "CMD", apply_cmd },          { "ENTRYPOINT", apply_entrypoint },  { "ENV", apply_env },
                { "EXPOSE", apply_expose },    { "HEALTHCHECK", apply_health },     { "LABEL", apply_label },
                { "ONBUILD", apply_on_build }, { "STOPSIGNAL", apply_stop_signal }, { "USER", apply_user },
                { "VOLUME", apply_volume },    { "WORKDIR", apply_workdir },
        };
        const char *at = skip_blanks(instruction);
        size_t length = strcspn(at, " \t");
        const char *arguments = skip_blanks(at + length);
        for (size_t i = 0; i < ARRAY_SIZE(instructions); i++) {
                if (strlen(instructions[i].name) != length || strncasecmp(at, instructions[i].name, length))
                        continue;
                if (!arguments[0])
                        return error_set(err, -EINVAL, "--change \"%.200s\": arguments are missing", instruction);
                int r = instructions[i].apply(config, arguments, err);
                return r < 0 && err ? error_prefix(err, "--change \"%.200s\"", instruction) : r;
        }
        return error_set(err, -EINVAL,
                         "--change \"%.200s\": expected CMD, ENTRYPOINT, ENV, EXPOSE, HEALTHCHECK, LABEL, "
                         "ONBUILD, STOPSIGNAL, USER, VOLUME or WORKDIR",
                         instruction);
}
