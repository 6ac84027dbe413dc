/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The engines that there are, in the order in which "auto" tries them.
 */
#pragma once

#include <stdbool.h>

#include "base/error.h"

struct engine_choice {
        const char *name;
        /* Whether this host's can run an ordinary kernel; milliseconds. 0, or a negative errno with the reason. */
        int (*self_test)(struct error *err);
        bool by_name_only; /* so slow that a person must ask for it: "auto" names it and does not take it */
};

/* Ends with a name of NULL. */
extern const struct engine_choice engine_choices[];

/*
 * The engine to use: `wanted`, or the first that passes its self-test where that is NULL or "auto". -EINVAL for an unknown name;
 * the self-test's code and reason, or those of all, where none can be used.
 */
int engine_choose(const char *wanted, const struct engine_choice **choice, struct error *err);
