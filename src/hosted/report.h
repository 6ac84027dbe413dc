/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What becomes of the machine, for whoever keeps a record of it: a JSON object a line on an inherited descriptor.
 *
 *   {"event": "running"}                             the guest has been entered
 *   {"event": "ended", "how": …, "code": N, "text": …}
 *
 * `how` is "power-off", "reset", "exit" (the debug-exit port; `code` is the guest's), "stopped" (by a signal or the control
 * socket), "triple-fault", or "failed", and `text`, in the last two, what there is to say about it. Nothing at all is written
 * by a process that was killed.
 */
#pragma once

#include "base/error.h"

struct vmm;

/* `descriptor` is the text of --report, or NULL. Takes the descriptor over; it is in vmm->report. */
int report_open(struct vmm *vmm, const char *descriptor, struct error *err);
void report_running(const struct vmm *vmm);
/* `result` and `err` are what vmm_run() is about to return. */
void report_ended(const struct vmm *vmm, int result, const struct error *err);
