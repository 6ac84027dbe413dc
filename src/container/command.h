/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The command line of onggi-runtime: runc's, as engines call it. One file command_*.c holds a group of verbs, each a
 * table of options and a function; main.c finds the verb and reports.
 */
#pragma once

#include <stdbool.h>

#include "base/error.h"
#include "base/options.h"

/* What stands before the verb. */
struct global_options {
        const char *root, *log, *log_format, *rootless;
        bool debug, systemd_cgroup, version;
        bool ordinary_user; /* from `rootless` and who we are */
};

struct command {
        const char *name, *operands, *help;
        const struct option_spec *options;
        bool in_order;    /* what follows the first operand belongs to a program */
        bool protects;    /* goes into a container: runs from behind own_binary.h */
        int fewest, most; /* operands; most < 0: any number */
        /*
         * Parses its options into a struct of its own by command_parse(), and returns the exit status of the program,
         * or a negative errno with *err.
         */
        int (*run)(const struct global_options *global, const struct command *command, int argc, char **argv,
                   struct error *err);
};

/*
 * Parses by command->options into `target`; *operands is NULL-terminated. 1: help was printed and nothing is left to
 * do.
 */
int command_parse(const struct command *command, int argc, char **argv, void *target, char ***operands,
                  struct error *err);

extern const struct command command_create, command_run, command_start, command_exec;
extern const struct command command_state, command_list, command_ps;
extern const struct command command_kill, command_delete, command_pause, command_resume;
extern const struct command command_update, command_events, command_features, command_spec;
extern const struct command command_checkpoint, command_restore;
