/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * When an instance that ended is started again: its restart policy, and the pause before the next try.
 *
 * The pause begins with 100 ms, doubles up to a minute, and begins anew after a run of ten seconds. A pure function of
 * what happened, so that it can be tested without waiting.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "instance/setting_text.h"

struct restart_history {
        uint64_t pause; /* ns, of the last try; 0: none yet */
        uint64_t tries; /* in a row, for on-failure:n */
};

/*
 * Decides after a run that took `ran` ns and ended with `exit_code`. Returns whether it is to be started again; then
 * *history is moved on and ->pause is how long to wait. `stopped`: the user stopped or killed it.
 */
bool restart_decide(const struct restart_policy *policy, struct restart_history *history, int exit_code, bool stopped,
                    uint64_t ran);
