/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The help of commands, made from their tables: on the terminal (help.c) and as manual pages (manual.c).
 */
#pragma once

#include <stdbool.h>
#include <stdio.h>

#include "base/error.h"
#include "cli/command.h"

extern const struct option_spec global_option_table[]; /* fills a struct call */

/* All commands, by heading. The functions return 0. */
int help_all(const struct command_name *table, FILE *out);
int help_command(const char *name, const struct command *command, FILE *out);
int help_group(const char *name, const struct command *group, FILE *out);

/* Finds the name in the table that `word` was probably meant to be. */
bool help_similar(const struct command_name *table, const char *word, char *similar, size_t room);

/* Writes onggi-<name>.1 for every command and group of the table into the folder. */
int manual_write(const struct command_name *table, const char *folder, struct error *err);

extern const struct command command_help;
