/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * process.oomScoreAdj: the runtime takes it on for the moment in which it starts the program's process, which
 * inherits it.
 *
 * The process itself could not lower it any more from inside a user namespace, and its files in /proc are closed to
 * the runtime of an ordinary user.
 */
#pragma once

#include <stdbool.h>

#include "base/error.h"
#include "container/program.h"

struct oom_score {
        char text[16]; /* what was before; empty if nothing was changed */
};

/* Where `lenient`, a score that an ordinary user may not set is logged as a warning and left out. */
int oom_score_lend(const struct program *program, bool lenient, struct oom_score *before, struct error *err);

/* Goes back as far as the kernel lets an ordinary user. */
void oom_score_return(const struct oom_score *before);
