/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A further program in a running virtual machine: `exec`.
 *
 * On the host a process of its own stands for it: it copies the streams, passes signals and window sizes on to the guest's
 * agent, and ends with the program's exit code. SIGKILL ends the stand-in alone; the program loses its streams then.
 */
#pragma once

#include "container/container_exec.h"

/* struct runtime's exec. */
int machine_exec(const char *id, const struct exec_options *options, struct container_running *running,
                 struct error *err);

/* Runs a program (a NULL-terminated list) as the container's own would be, on the caller's streams. Its exit code. */
int machine_exec_here(const struct state *state, char *const *args, struct error *err);
