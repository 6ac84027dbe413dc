/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Resets of a machine within its process: --on-reset restart.
 *
 * A reset goes back to a snapshot that was taken before the guest first ran, with memory in a file that has no name and
 * records in ours; guest memory is a private mapping of that file, so the snapshot costs no memory but what the guest
 * changes. Nothing of the host's is opened anew, which the process in its jail could not.
 */
#pragma once

#include <stdint.h>

#include "base/error.h"

struct vmm;
struct restart;

/* Takes the snapshot; the processors are open and have not run. */
int restart_open(struct vmm *vmm, struct restart **restart, struct error *err);
void restart_close(struct restart *restart);

/* Resets so far. */
uint64_t restart_count(const struct restart *restart);

/* Asks for a reset of the machine: it ends, or the main loop begins it anew. The lock is held; any thread. */
void restart_ask(struct vmm *vmm);
/* Begins it anew, if that was asked for. The main loop. */
void restart_serve(struct vmm *vmm);
