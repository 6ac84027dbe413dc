/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * onggi __complete WORD…: what the last of the words, which stand after "onggi" on a command line, may become; a
 * candidate a line. For shells' completion; not shown in the help. Nothing to say, also because of an error, is no
 * output.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/json.h"
#include "base/text.h"
#include "cli/commands.h"
#include "cli/help.h"
#include "cli/rooms.h"
#include "cli/verbs.h"
#include "engine/engines.h"
#include "instance/instance.h"
#include "instance/vessel.h"
#include "instance/volume.h"
#include "virtual_machine/virtual_machine.h"

static void offer(const char *candidate, const char *word)
{
        if (candidate && text_starts(candidate, word))
                puts(candidate);
}

/* ---- What there is ---- */

static void offer_instances(struct call *call, const char *word, bool all)
{
        const struct instance_filter filter = { .all = all };
        struct host *host;
        struct instance **list;
        size_t count;
        if (call_host(call, &host, NULL) < 0 || instance_list(host, &filter, &list, &count, NULL) < 0)
                return;
        for (size_t i = 0; i < count; i++)
                offer(list[i]->name, word);
        instance_list_free(list, count);
}

static void offer_machines(struct call *call, const char *word)
{
        struct host *host;
        struct vm **list;
        size_t count;
        if (call_host(call, &host, NULL) < 0 || vm_list(host, &list, &count, NULL) < 0)
                return;
        for (size_t i = 0; i < count; i++)
                offer(list[i]->name, word);
        vm_list_free(list, count);
}

static void offer_images(struct call *call, const char *word)
{
        _cleanup_store_ struct store *store = NULL;
        struct image **list;
        size_t count;
        if (call_store(call, &store, NULL) < 0 || store_list(store, &list, &count, NULL) < 0)
                return;
        for (size_t i = 0; i < count; i++)
                for (char **name = list[i]->names; name && *name; name++)
                        offer(*name, word);
        image_list_free(list, count);
}

static void offer_members(const json_t *objects, const char *key, const char *word)
{
        size_t i;
        json_t *object;
        json_array_foreach(objects, i, object)
                offer(json_string_value(json_object_get(object, key)), word);
}

static void offer_networks(struct call *call, const char *word)
{
        _cleanup_networks_ struct networks *networks = NULL;
        _cleanup_json_ json_t *list = NULL;
        if (!call_networks(call, &networks, NULL) && !network_list(networks, &list, NULL))
                offer_members(list, "name", word);
}

static void offer_volumes(struct call *call, const char *word)
{
        struct host *host;
        _cleanup_json_ json_t *list = NULL;
        if (!call_host(call, &host, NULL) && !volume_list(host, NULL, &list, NULL))
                offer_members(list, "Name", word);
}

static void offer_vessels(const char *word)
{
        for (const struct vessel *const *vessel = vessels; *vessel; vessel++)
                offer((*vessel)->name, word);
}

static void offer_engines(const char *word)
{
        offer("auto", word);
        for (const struct engine_choice *choice = engine_choices; choice->name; choice++)
                offer(choice->name, word);
}

static void offer_commands(const struct command_name *table, const char *word)
{
        for (; table->names; table++) {
                if (!table->command || !table->command->summary)
                        continue;
                _cleanup_free_ char *name = strndup(table->names, (size_t)command_name_length(table));
                offer(name, word);
        }
}

static void offer_operands(struct call *call, enum operand_kind kind, const char *word)
{
        switch (kind) {
        case OPERAND_INSTANCE:
        case OPERAND_RUNNING: offer_instances(call, word, kind == OPERAND_INSTANCE); break;
        case OPERAND_MACHINE: offer_machines(call, word); break;
        case OPERAND_IMAGE: offer_images(call, word); break;
        case OPERAND_NETWORK: offer_networks(call, word); break;
        case OPERAND_VOLUME: offer_volumes(call, word); break;
        case OPERAND_COMMAND: offer_commands(commands, word); break;
        case OPERAND_OTHER: break;
        }
}

/* ---- Where the word stands ---- */

static void offer_options(const struct option_spec *const *tables, const char *word)
{
        offer("--help", word);
        for (; tables && *tables; tables++)
                for (const struct option_spec *spec = *tables; spec->name; spec++) {
                        _cleanup_free_ char *name = spec->help ? text_format("--%s", spec->name) : NULL;
                        offer(name, word);
                }
}

/* The option that the word names and that takes the next word as its value, or NULL. */
static const struct option_spec *waiting_option(const struct option_spec *const *tables, const char *word)
{
        size_t length = strlen(word);
        for (; tables && *tables; tables++)
                for (const struct option_spec *spec = *tables; spec->name; spec++) {
                        if (spec->kind == OPTION_FLAG)
                                continue;
                        if (text_starts(word, "--") ? !strcmp(word + 2, spec->name)
                                                    : length > 1 && word[0] == '-' && word[length - 1] == spec->letter)
                                return spec;
                }
        return NULL;
}

static void offer_values(struct call *call, const struct option_spec *option, const char *word)
{
        if (!strcmp(option->name, "network") || !strcmp(option->name, "net"))
                offer_networks(call, word);
        else if (!strcmp(option->name, "volumes-from"))
                offer_instances(call, word, true);
        else if (!strcmp(option->name, "volume"))
                offer_volumes(call, word);
        else if (!strcmp(option->name, "isolation"))
                offer_vessels(word);
        else if (!strcmp(option->name, "engine"))
                offer_engines(word);
}

/* Operands so far, up to the word that is being written; values of options are none. */
static int count_operands(const struct option_spec *const *tables, char **words)
{
        int count = 0;
        for (; words[0] && words[1]; words++) {
                if (words[0][0] != '-')
                        count++;
                else if (waiting_option(tables, words[0]) && words[2])
                        words++;
        }
        return count;
}

static void complete_command(struct call *call, const struct command *command, char **words, int count)
{
        const char *word = words[count - 1];
        const struct option_spec *option = count > 1 ? waiting_option(command->options, words[count - 2]) : NULL;
        int operands = count_operands(command->options, words);
        if (option)
                offer_values(call, option, word);
        else if (word[0] == '-' && !(command->in_order && operands))
                offer_options(command->options, word);
        else if (operands < command->max && !(command->in_order && operands))
                offer_operands(call, command->operands, word);
}

static int complete(struct call *call, void *target, struct error *err)
{
        static const struct option_spec *const global_tables[] = { global_option_table, NULL };
        (void)target;
        (void)err;
        char **words = call->operands;
        int count = call->operand_count;
        const struct command_name *table = commands;

        /* The options before the command say where to look. */
        while (count > 1 && words[0][0] == '-') {
                const struct option_spec *option = waiting_option(global_tables, words[0]);
                if (option && count < 3)
                        return 0;
                if (option && option->kind == OPTION_STRING)
                        *(const char **)((char *)call + option->offset) = words[1];
                words += option ? 2 : 1;
                count -= option ? 2 : 1;
        }
        for (; count > 1; words++, count--) {
                const struct command_name *entry = command_find(table, words[0]);
                if (!entry)
                        return 0;
                if (!entry->command->group) {
                        complete_command(call, entry->command, words + 1, count - 1);
                        return 0;
                }
                table = entry->command->group;
        }
        if (words[0][0] == '-' && table == commands)
                offer_options(global_tables, words[0]);
        else
                offer_commands(table, words[0]);
        return 0;
}

const struct command command_complete = {
        .usage = "WORD...",
        .min = 1,
        .max = OPERANDS_MAX,
        .raw = true,
        .run = complete,
};
