/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "cli/help.h"

#include <errno.h>
#include <string.h>

#include "base/cleanup.h"
#include "cli/commands.h"

const struct option_spec global_option_table[] = {
        { "root", 0, OPTION_STRING, offsetof(struct call, root), "FOLDER",
          "where images, instances, volumes and networks are kept" },
        { "state", 0, OPTION_STRING, offsetof(struct call, state), "FOLDER", "where what ends with a reboot is kept" },
        { "debug", 0, OPTION_FLAG, offsetof(struct call, debug), NULL,
          "say which folders and programs are used, and how long it took" },
        { 0 },
};

static void print_table(const struct command_name *table, FILE *out)
{
        for (; table->names; table++) {
                if (!table->command)
                        fprintf(out, "\n%s:\n", table->names);
                else if (table->command->summary)
                        fprintf(out, "  %-12.*s %s\n", command_name_length(table), table->names,
                                table->command->summary);
        }
}

int help_all(const struct command_name *table, FILE *out)
{
        static const struct option_spec *const tables[] = { global_option_table, NULL };
        fputs("usage: onggi [OPTIONS] COMMAND …\n\nRuns packaged programs in containers.\n", out);
        print_table(table, out);
        fputs("\noptions, before the command:\n", out);
        options_help(tables, out);
        fputs("\n`onggi COMMAND --help` tells more about a command, `onggi doctor` about this machine.\n", out);
        return 0;
}

int help_group(const char *name, const struct command *group, FILE *out)
{
        fprintf(out, "usage: onggi %s COMMAND …\n\n%s\n\ncommands:\n", name, group->summary);
        print_table(group->group, out);
        return 0;
}

int help_command(const char *name, const struct command *command, FILE *out)
{
        fprintf(out, "usage: onggi %s%s%s%s\n\n%s\n", name, command->options ? " [OPTIONS]" : "",
                *command->usage ? " " : "", command->usage, command->summary);
        if (command->description)
                fprintf(out, "\n%s\n", command->description);
        if (command->options) {
                fputs("\noptions:\n", out);
                options_help(command->options, out);
        }
        return 0;
}

/* Letters to insert, remove, change or swap with their neighbour until `a` (of `length` letters) is `b`. */
static unsigned distance(const char *a, size_t length, const char *b)
{
        enum { LONGEST = 24 };
        size_t other = strlen(b);
        if (length > LONGEST || other > LONGEST)
                return LONGEST;
        unsigned cost[LONGEST + 1][LONGEST + 1];
        for (size_t i = 0; i <= length; i++)
                cost[i][0] = (unsigned)i;
        for (size_t j = 0; j <= other; j++)
                cost[0][j] = (unsigned)j;
        for (size_t i = 1; i <= length; i++)
                for (size_t j = 1; j <= other; j++) {
                        unsigned best = cost[i - 1][j - 1] + (a[i - 1] != b[j - 1]);
                        if (cost[i - 1][j] + 1 < best)
                                best = cost[i - 1][j] + 1;
                        if (cost[i][j - 1] + 1 < best)
                                best = cost[i][j - 1] + 1;
                        if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1] &&
                            cost[i - 2][j - 2] + 1 < best)
                                best = cost[i - 2][j - 2] + 1;
                        cost[i][j] = best;
                }
        return cost[length][other];
}

bool help_similar(const struct command_name *table, const char *word, char *similar, size_t room)
{
        unsigned best = strlen(word) > 3 ? 3 : 2; /* farther is no likeness */
        for (; table->names; table++) {
                if (!table->command || !table->command->summary)
                        continue;
                for (const char *name = table->names; *name; name += strspn(name, " ")) {
                        size_t length = strcspn(name, " ");
                        unsigned d = distance(name, length, word);
                        if (d < best && d < length) {
                                best = d;
                                snprintf(similar, room, "%.*s", (int)length, name);
                        }
                        name += length;
                }
        }
        return best < (strlen(word) > 3 ? 3 : 2);
}

/* ---- onggi help ---- */

struct help_options {
        const char *manual;
};

static const struct option_spec help_option_table[] = {
        { "man", 0, OPTION_STRING, offsetof(struct help_options, manual), "FOLDER",
          "write the manual pages of all commands" },
        { 0 },
};
static const struct option_spec *const help_options[] = { help_option_table, NULL };

static int help(struct call *call, void *target, struct error *err)
{
        const struct help_options *options = target;
        if (options->manual)
                return manual_write(commands, options->manual, err);

        const struct command_name *table = commands, *entry = NULL;
        char name[64] = "";
        for (char **word = call->operands; *word; word++) {
                entry = table ? command_find(table, *word) : NULL;
                if (!entry)
                        return error_set(err, -EINVAL, "there is no command \"%s%s\"; `onggi help` lists all", name,
                                         *word);
                size_t used = strlen(name);
                snprintf(name + used, sizeof(name) - used, "%.*s ", command_name_length(entry), entry->names);
                table = entry->command->group;
        }
        if (!entry)
                return help_all(commands, stdout);
        name[strlen(name) - 1] = 0;
        return table ? help_group(name, entry->command, stdout) : help_command(name, entry->command, stdout);
}

const struct command command_help = {
        .summary = "Show help for a command",
        .usage = "[COMMAND...]",
        .max = 2,
        .operands = OPERAND_COMMAND,
        .options = help_options,
        .options_size = sizeof(struct help_options),
        .run = help,
};
