/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>

#include "base/file.h"
#include "base/text.h"
#include "cli/help.h"

/* Text as roff shows it: no escapes, no requests, hyphens that can be copied. */
static void escape(struct text *out, const char *text, size_t length)
{
        for (size_t i = 0; i < length; i++) {
                char c = text[i];
                bool first = !i || text[i - 1] == '\n';
                if (first && (c == '.' || c == '\''))
                        text_append(out, "\\&");
                if (c == '\\')
                        text_append(out, "\\e");
                else if (c == '-')
                        text_append(out, "\\-");
                else if (c == '`')
                        text_append(out, "\\(ga");
                else
                        text_append_bytes(out, &c, 1);
        }
}

static void escape_string(struct text *out, const char *text)
{
        escape(out, text, strlen(text));
}

/* Paragraphs; those that are indented stay as they are. */
static void paragraphs(struct text *out, const char *text)
{
        while (*text) {
                const char *end = strstr(text, "\n\n");
                size_t length = end ? (size_t)(end - text) : strlen(text);
                bool example = text_starts(text, "    ");
                text_append(out, example ? ".PP\n.nf\n" : ".PP\n");
                escape(out, text, length);
                text_append(out, example ? "\n.fi\n" : "\n");
                text += length + (end ? 2 : 0);
        }
}

static void synopsis(struct text *out, const char *name, const struct command *command)
{
        text_append(out, ".B onggi ");
        escape_string(out, name);
        text_append(out, "\n");
        if (command->options)
                text_append(out, "[\\fIOPTIONS\\fR]\n");
        if (*command->usage) {
                escape_string(out, command->usage);
                text_append(out, "\n");
        }
}

static void options(struct text *out, const struct option_spec *const *tables)
{
        for (; tables && *tables; tables++)
                for (const struct option_spec *spec = *tables; spec->name; spec++) {
                        if (!spec->help)
                                continue;
                        text_append(out, ".TP\n\\fB");
                        if (spec->letter)
                                text_printf(out, "\\-%c\\fR, \\fB", spec->letter);
                        text_append(out, "\\-\\-");
                        escape_string(out, spec->name);
                        text_append(out, "\\fR");
                        if (spec->argument) {
                                text_append(out, " \\fI");
                                escape_string(out, spec->argument);
                                text_append(out, "\\fR");
                        }
                        text_append(out, "\n");
                        escape_string(out, spec->help);
                        text_append(out, "\n");
                }
}

/* The name of its own that a group's command has, too; NULL where it is known in the group only. */
static const struct command_name *known_as(const struct command_name *table, const struct command *command)
{
        for (; table->names; table++)
                if (table->command == command)
                        return table;
        return NULL;
}

static void group_commands(struct text *out, const struct command_name *table, const struct command_name *group)
{
        text_append(out, ".SH COMMANDS\n");
        for (const struct command_name *entry = group->command->group; entry->names; entry++) {
                const struct command *command = entry->command;
                if (!command->summary)
                        continue;
                const struct command_name *known = known_as(table, command);
                _cleanup_free_ char *name = text_format("%.*s %.*s", command_name_length(group), group->names,
                                                        command_name_length(entry), entry->names);
                text_append(out, ".SS ");
                escape_string(out, name ? name : "");
                text_append(out, "\n");
                if (!known)
                        synopsis(out, name ? name : "", command);
                text_append(out, ".PP\n");
                escape_string(out, command->summary);
                if (known)
                        text_printf(out, ": see\n.BR onggi\\-%.*s (1).\n", command_name_length(known), known->names);
                else
                        text_append(out, ".\n");
                if (!known && command->description)
                        paragraphs(out, command->description);
                if (!known)
                        options(out, command->options);
        }
}

static int write_page(int folder, const struct command_name *table, const struct command_name *entry, struct error *err)
{
        const struct command *command = entry->command;
        _cleanup_text_ struct text page = { 0 };
        _cleanup_free_ char *name = strndup(entry->names, (size_t)command_name_length(entry));
        _cleanup_free_ char *file = name ? text_format("onggi-%s.1", name) : NULL;
        if (!file)
                return error_memory(err);
        text_append(&page, ".TH ONGGI\\-");
        for (const char *c = name; *c; c++)
                text_printf(&page, "%c", toupper((unsigned char)*c));
        text_printf(&page, " 1 \"\" \"onggi " ONGGI_VERSION "\" \"onggi\"\n.SH NAME\nonggi\\-%s \\- ", name);
        escape_string(&page, command->summary);
        text_append(&page, "\n.SH SYNOPSIS\n");
        if (command->group) {
                text_printf(&page, ".B onggi %s\n\\fICOMMAND\\fR ...\n", name);
                group_commands(&page, table, entry);
        } else {
                synopsis(&page, name, command);
                text_append(&page, ".SH DESCRIPTION\n");
                escape_string(&page, command->summary);
                text_append(&page, ".\n");
                paragraphs(&page, command->description ? command->description : "");
                if (command->raw)
                        text_printf(&page, ".PP\n.B onggi %s \\-\\-help\nlists its options.\n", name);
                if (command->options)
                        text_append(&page, ".SH OPTIONS\n");
                options(&page, command->options);
        }
        text_append(&page, ".SH SEE ALSO\n.BR onggi (1)\n");
        if (text_failed(&page))
                return error_memory(err);
        return file_replace_volatile(folder, file, page.data, page.length, 0644, err);
}

int manual_write(const struct command_name *table, const char *folder, struct error *err)
{
        _cleanup_close_ int fd = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        if (fd < 0)
                return error_errno(err, "cannot open the folder %s", folder);
        int r = 0;
        for (const struct command_name *entry = table; !r && entry->names; entry++)
                if (entry->command && entry->command->summary)
                        r = write_page(fd, table, entry, err);
        return r;
}
