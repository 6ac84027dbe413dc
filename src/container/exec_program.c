/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "container/exec_program.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>

#include "base/text.h"

static int parse_number(const char *text, const char *what, uint32_t *number, struct error *err)
{
        uint64_t value;
        if (parse_u64(text, &value) < 0 || value >= UINT32_MAX)
                return error_set(err, -EINVAL, "%s takes a number, not \"%s\"", what, text);
        *number = (uint32_t)value;
        return 0;
}

static int set_user(struct program *program, const char *user, struct error *err)
{
        if (!user)
                return 0;
        _cleanup_free_ char *copy = strdup(user);
        if (!copy)
                return error_memory(err);
        char *group = strchr(copy, ':');
        if (group)
                *group++ = 0;
        int r = parse_number(copy, "option --user", &program->uid, err);
        return r < 0 || !group ? r : parse_number(group, "option --user", &program->gid, err);
}

static int add_groups(struct program *program, char *const *groups, struct error *err)
{
        size_t count = list_length(groups);
        if (!count)
                return 0;
        gid_t *grown = realloc(program->groups, (program->group_count + count) * sizeof(gid_t));
        if (!grown)
                return error_memory(err);
        program->groups = grown;
        for (size_t i = 0; i < count; i++) {
                gid_t group = 0;
                int r = parse_number(groups[i], "option --additional-gids", &group, err);
                if (r < 0)
                        return r;
                program_add_group(program, group);
        }
        return 0;
}

static int add_capabilities(struct capabilities *sets, char *const *names, struct error *err)
{
        for (; names && *names; names++) {
                int number = capability_from_name(*names);
                if (number < 0)
                        return error_set(err, -EINVAL, "option --cap: \"%s\" is not a capability", *names);
                uint64_t bit = UINT64_C(1) << number;
                sets->bounding |= bit;
                sets->effective |= bit;
                sets->permitted |= bit;
        }
        return 0;
}

static int add_environment(struct program *program, char *const *env, struct error *err)
{
        for (; env && *env; env++) {
                const char *equals = strchr(*env, '=');
                if (!equals || equals == *env)
                        return error_set(err, -EINVAL, "option --env takes NAME=value, not \"%s\"", *env);
                _cleanup_free_ char *name = strndup(*env, (size_t)(equals - *env));
                if (!name || environment_set(&program->env, name, equals + 1) < 0)
                        return error_memory(err);
        }
        return 0;
}

static int change(struct config *config, const struct exec_options *options, struct error *err)
{
        struct program *program = &config->program;
        if (!options->args || !options->args[0])
                return error_set(err, -EINVAL, "exec needs a program to run, or --process");
        list_free(TAKE_PTR(program->args));
        program->args = list_copy(options->args);
        if (!program->args)
                return error_memory(err);
        if (options->cwd && options->cwd[0] != '/')
                return error_set(err, -EINVAL, "option --cwd takes an absolute path, not \"%s\"", options->cwd);
        if (options->cwd)
                program->cwd = options->cwd;
        if (!program->cwd)
                program->cwd = "/";
        if (options->apparmor_profile)
                program->apparmor_profile = options->apparmor_profile;
        if (options->selinux_label)
                program->selinux_label = options->selinux_label;
        program->no_new_privileges |= options->no_new_privileges;
        program->terminal = options->terminal;
        int r = set_user(program, options->user, err);
        if (!r)
                r = add_groups(program, options->groups, err);
        if (!r)
                r = add_capabilities(&program->capabilities, options->capabilities, err);
        return r < 0 ? r : add_environment(program, options->env, err);
}

int exec_program(struct config *config, const struct exec_options *options, json_t **document, struct error *err)
{
        if (!options->process)
                return change(config, options, err);
        if (options->args && options->args[0])
                return error_set(err, -EINVAL, "exec takes a program or --process, not both");
        int r = json_read(AT_FDCWD, options->process, document, err);
        if (r < 0)
                return r;
        struct json_reader reader = { .document = options->process, .err = err };
        struct json_at root = json_root(&reader, *document);
        if (json_failed(&root))
                return json_failed(&root);
        program_free(&config->program);
        r = program_parse(&root, &config->program, err);
        if (!r && options->terminal)
                config->program.terminal = true;
        return r;
}
