/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * How a machine ended, in one line for people, where that was not by the exit of its program (AGENT_EXIT_PORT in
 * guest/agent.h): its kernel panicked, it was reset or switched off, or it could not be run at all.
 *
 * What the guest's kernel says on the console before it dies is the best reason there is, so the console's output passes
 * by here. It is a stranger's text: one line of it is kept, cut, with nothing in it but printable ASCII.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"
#include "machine/machine.h"

struct outcome {
        int fd; /* -1: nobody asked for a reason */
        bool out_of_memory;
        size_t length;
        char line[256], panic[160];
};

/* `descriptor` is the text of --reason, or NULL. Takes the descriptor over. */
int outcome_open(struct outcome *outcome, const char *descriptor, struct error *err);
void outcome_console(struct outcome *outcome, const uint8_t *bytes, size_t length);

/*
 * The machine has ended so. Where a reason was asked for and the program has not told its exit code, fills *err and returns
 * -ECANCELED; else `code`.
 */
int outcome_judge(const struct outcome *outcome, enum machine_end end, unsigned code, struct error *err);
/* Writes the reason: that of *err, where there is one, or that the program was killed for lack of memory. */
void outcome_tell(struct outcome *outcome, int result, const struct error *err);
