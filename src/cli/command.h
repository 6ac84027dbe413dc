/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A command of the program onggi: what it is called, what it accepts, and the function that runs it.
 *
 * Commands are constant data. The table of all (commands.h) finds them, parses their options, prints their help and
 * their manual pages and completes them in a shell, so a command itself only reads its options, calls one function of
 * the rooms below and prints what that gives. Only main() prints errors, but for those of one operand among several
 * (call_each()).
 */
#pragma once

#include <limits.h>
#include <stdbool.h>
#include <stddef.h>

#include "base/error.h"
#include "base/options.h"

struct host;
struct command_name;
struct instance;

/* What operands name: for completion. */
enum operand_kind {
        OPERAND_OTHER,
        OPERAND_INSTANCE,
        OPERAND_RUNNING, /* instance */
        OPERAND_IMAGE,
        OPERAND_NETWORK,
        OPERAND_VOLUME,
        OPERAND_MACHINE, /* `onggi vm` */
        OPERAND_COMMAND,
};

#define OPERANDS_MAX INT_MAX

/* Exit statuses; the first two follow docker. */
#define STATUS_FAILED     1
#define STATUS_RUN_FAILED 125 /* onggi itself failed where the status else is the program's own */
#define STATUS_MISUSED    2

/* One use of the program. */
struct call {
        const char *root, *state; /* --root, --state; NULL where not given */
        bool debug;
        struct host *host; /* opened by call_host() */
        const struct command *command;
        const char *name; /* as in the table, with its group: "image ls" */
        char **operands;  /* NULL-terminated */
        int operand_count;
        int failure_status; /* the exit status if the command fails */
};

struct command {
        const char *summary;     /* one line, without full stop */
        const char *usage;       /* its operands: "INSTANCE [INSTANCE...]"; "" for none */
        const char *description; /* paragraphs, lines of at most 80 letters; examples are indented by 4. NULL: none */
        int min, max;            /* operands */
        enum operand_kind operands;
        bool in_order;      /* options end at the first operand: what follows belongs to the program */
        bool raw;           /* options are not parsed here; all arguments are operands */
        int failure_status; /* 0: STATUS_FAILED, and STATUS_MISUSED for wrong arguments */
        const struct option_spec *const *options;
        size_t options_size;            /* of the struct that they fill; it starts zeroed */
        void (*prepare)(void *options); /* sets what does not start as zero; may be NULL */
        void (*release)(void *options); /* NULL: lists are freed by the tables */
        /* Returns the exit status, or a negative errno with *err filled (call->failure_status is then the status). */
        int (*run)(struct call *call, void *options, struct error *err);
        const struct command_name *group; /* a group's commands; it has nothing else but a summary then */
};

/* An entry of a table of commands. Tables end with names NULL; an entry without a command is a heading. */
struct command_name {
        const char *names; /* separated by spaces, the first is shown */
        const struct command *command;
};

/* The entry that a word names; NULL. */
const struct command_name *command_find(const struct command_name *table, const char *word);
/* The length of the first of the entry's names. */
int command_name_length(const struct command_name *entry);

/* Finds the command that argv[0], argv[1]… name and runs it. Returns as run() does. */
int command_call(struct call *call, const struct command_name *table, int argc, char **argv, struct error *err);

/* The host, opened at its first use; borrowed. */
int call_host(struct call *call, struct host **host, struct error *err);

/*
 * Calls `each` for every operand. One that fails is reported and the others go on; the call then returns STATUS_FAILED.
 */
int call_each(struct call *call, int (*each)(struct call *call, const char *operand, void *context, struct error *err),
              void *context);
/* As call_each() for operands that are instances; the operand is printed after `act` has done its work. */
int call_each_instance(struct call *call, int (*act)(struct instance *instance, void *context, struct error *err),
                       void *context);

/* Prints "onggi: <text>" on standard error. */
void report(const struct error *err);
