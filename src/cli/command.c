/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "cli/command.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/text.h"
#include "cli/help.h"
#include "instance/instance.h"

int command_name_length(const struct command_name *entry)
{
        return (int)strcspn(entry->names, " ");
}

const struct command_name *command_find(const struct command_name *table, const char *word)
{
        size_t length = strlen(word);
        for (; table->names; table++) {
                if (!table->command)
                        continue;
                for (const char *name = table->names; *name; name += strspn(name, " ")) {
                        size_t own = strcspn(name, " ");
                        if (own == length && !strncmp(name, word, length))
                                return table;
                        name += own;
                }
        }
        return NULL;
}

static int unknown_command(struct call *call, const struct command_name *table, const char *word, struct error *err)
{
        call->failure_status = STATUS_MISUSED;
        const char *group = call->name ? call->name : "";
        const char *space = call->name ? " " : "";
        char similar[32];
        if (help_similar(table, word, similar, sizeof(similar)))
                return error_set(err, -EINVAL, "unknown command \"%s%s%s\"; did you mean \"%s%s%s\"?", group, space,
                                 word, group, space, similar);
        return error_set(err, -EINVAL, "unknown command \"%s%s%s\"; `onggi help%s%s` lists them", group, space, word,
                         space, group);
}

static int check_operands(struct call *call, struct error *err)
{
        const struct command *command = call->command;
        int count = call->operand_count;
        if (count >= command->min && count <= command->max)
                return 0;
        if (!command->max)
                return error_set(err, -EINVAL, "%s takes no operand, but \"%s\" was given; see `onggi %s --help`",
                                 call->name, call->operands[0], call->name);
        const char *bound = command->min == command->max ? "" : count < command->min ? "at least " : "at most ";
        int wanted = count < command->min ? command->min : command->max;
        return error_set(err, -EINVAL, "%s needs %s%d operand%s (%s); see `onggi %s --help`", call->name, bound, wanted,
                         wanted == 1 ? "" : "s", command->usage, call->name);
}

/* Frees each list once, though several options (aliases) may fill it. */
static void release_lists(const struct command *command, void *options)
{
        for (const struct option_spec *const *table = command->options; table && *table; table++)
                for (const struct option_spec *spec = *table; spec->name; spec++)
                        if (spec->kind == OPTION_LIST) {
                                char ***list = (char ***)((char *)options + spec->offset);
                                list_free(TAKE_PTR(*list));
                        }
}

/* Returns 1 where help was asked for. */
static int parse(struct call *call, int argc, char **argv, void *options, struct error *err)
{
        static const struct option_spec *const none[] = { NULL };
        const struct command *command = call->command;
        int first = 1;
        if (!command->raw) {
                int r = options_parse(command->options ? command->options : none, command->in_order, argc, argv,
                                      options, &first, err);
                if (r < 0)
                        return error_set(err, r, "%s; see `onggi %s --help`", err->text, call->name);
                if (r)
                        return r;
        }
        call->operands = argv + first;
        call->operand_count = argc - first;
        return check_operands(call, err);
}

static int run(struct call *call, int argc, char **argv, struct error *err)
{
        const struct command *command = call->command;
        void *options = calloc(1, command->options_size + 1);
        if (!options)
                return error_memory(err);
        if (command->prepare)
                command->prepare(options);

        call->failure_status = command->failure_status ? command->failure_status : STATUS_MISUSED;
        int r = parse(call, argc, argv, options, err);
        if (r > 0)
                r = help_command(call->name, command, stdout);
        else if (!r) {
                call->failure_status = command->failure_status ? command->failure_status : STATUS_FAILED;
                r = command->run(call, options, err);
        }
        if (command->release)
                command->release(options);
        else
                release_lists(command, options);
        free(options);
        return r;
}

int command_call(struct call *call, const struct command_name *table, int argc, char **argv, struct error *err)
{
        const struct command_name *entry = command_find(table, argv[0]);
        if (!entry)
                return unknown_command(call, table, argv[0], err);

        _cleanup_free_ char *name = text_format("%s%s%.*s", call->name ? call->name : "", call->name ? " " : "",
                                                command_name_length(entry), entry->names);
        if (!name)
                return error_memory(err);
        call->name = name;
        call->command = entry->command;
        int r;
        if (!entry->command->group)
                r = run(call, argc, argv, err);
        else if (argc < 2 || !strcmp(argv[1], "--help") || !strcmp(argv[1], "-h"))
                r = help_group(call->name, entry->command, stdout);
        else
                r = command_call(call, entry->command->group, argc - 1, argv + 1, err);
        call->name = NULL;
        return r;
}

int call_host(struct call *call, struct host **host, struct error *err)
{
        if (!call->host) {
                int r = host_open(call->root, call->state, &call->host, err);
                if (r < 0)
                        return r;
                if (call->debug)
                        fprintf(stderr, "onggi: debug: root %s, state %s, runtime %s, libexec %s%s\n", call->host->root,
                                call->host->state, call->host->runtime, call->host->libexec,
                                call->host->rootless ? ", rootless" : "");
        }
        *host = call->host;
        return 0;
}

void report(const struct error *err)
{
        fprintf(stderr, "onggi: %s\n", err->text);
}

int call_each(struct call *call, int (*each)(struct call *call, const char *operand, void *context, struct error *err),
              void *context)
{
        int status = 0;
        for (int i = 0; i < call->operand_count; i++) {
                struct error err = { 0 };
                if (each(call, call->operands[i], context, &err) >= 0)
                        continue;
                report(&err);
                status = call->failure_status;
        }
        return status;
}

struct action {
        int (*act)(struct instance *instance, void *context, struct error *err);
        void *context;
};

static int act_on_instance(struct call *call, const char *operand, void *context, struct error *err)
{
        const struct action *action = context;
        struct host *host;
        struct instance *instance;
        int r = call_host(call, &host, err);
        if (!r)
                r = instance_find(host, operand, &instance, err);
        if (r < 0)
                return r;
        r = action->act(instance, action->context, err);
        instance_free(instance);
        if (r >= 0)
                puts(operand);
        return r;
}

int call_each_instance(struct call *call, int (*act)(struct instance *instance, void *context, struct error *err),
                       void *context)
{
        struct action action = { act, context };
        return call_each(call, act_on_instance, &action);
}
