/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The streams, signals and window sizes of a program that was executed in a guest, between the agent's connections
 * (guest/agent.h, "exec" and "control") and this process's own standard input, output and error, or a terminal.
 *
 * Reading and writing may make this process wait, for its descriptors are shared with others and keep their mode; so
 * each of the three does so in a thread of its own, and none holds up another.
 */
#pragma once

#include <stdint.h>

#include "base/error.h"

struct exec_streams {
        int connection, control; /* blocking; to the agent */
        int terminal;            /* the slave of this process's controlling terminal, or -1 */
        uint32_t process;        /* as AGENT_STARTED said */
};

/* Blocks the signals that are passed on. First thing in the process. */
void exec_streams_prepare(void);

/* Until the program has ended and all its output is written. Its exit code, or a negative errno. */
int exec_streams_run(struct exec_streams *streams, struct error *err);
