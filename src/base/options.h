/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Command-line options as a table: parsed into a struct of the command's own, printed as its help, listed for completion.
 *
 * A table ends with an entry whose name is NULL. Strings in the target borrow from argv; lists are owned (list_free()).
 * Understood: --name value, --name=value, --flag, --flag=false, -n value, -nvalue, -n=value, clusters as -it, and "--".
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>

#include "base/error.h"

enum option_kind {
        OPTION_FLAG,   /* bool */
        OPTION_STRING, /* const char *; the last one wins */
        OPTION_LIST,   /* char **: one item an occurrence */
        OPTION_NUMBER, /* int64_t */
        OPTION_SIZE,   /* uint64_t bytes, as parse_size(); "-1" gives UINT64_MAX */
        OPTION_TIME,   /* uint64_t nanoseconds, as parse_duration() */
};

struct option_spec {
        const char *name; /* without dashes */
        char letter;      /* 0: none */
        enum option_kind kind;
        size_t offset;        /* of the value in the target */
        const char *argument; /* its name in the help, NULL for a flag */
        const char *help;     /* one line; NULL keeps an alias out of the help */
};

/*
 * Parses argv[1..argc-1] into *target by the tables (a NULL-terminated array of tables, searched in turn).
 * `in_order` stops at the first operand (docker run IMAGE -x belongs to the program); otherwise options may follow operands.
 * On success *operands is the index in argv of the first operand; argv is permuted so that all operands stand at its end.
 * -EINVAL with a text that names the option. `--help` and `-h` (unless a table has it) return 1.
 */
int options_parse(const struct option_spec *const *tables, bool in_order, int argc, char **argv, void *target,
                  int *operands, struct error *err);

/* Prints a table's options as aligned lines. */
void options_help(const struct option_spec *const *tables, FILE *out);
