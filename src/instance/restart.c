/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "instance/restart.h"

#define PAUSE_FIRST 100000000ULL
#define PAUSE_MAX   60000000000ULL
#define LONG_RUN    10000000000ULL

bool restart_decide(const struct restart_policy *policy, struct restart_history *history, int exit_code, bool stopped,
                    uint64_t ran)
{
        if (stopped || policy->kind == RESTART_NO || (policy->kind == RESTART_ON_FAILURE && !exit_code))
                return false;
        if (ran >= LONG_RUN)
                *history = (struct restart_history){ 0 };
        if (policy->kind == RESTART_ON_FAILURE && policy->tries && history->tries >= policy->tries)
                return false;
        history->tries++;
        history->pause = history->pause ? history->pause * 2 : PAUSE_FIRST;
        if (history->pause > PAUSE_MAX)
                history->pause = PAUSE_MAX;
        return true;
}
