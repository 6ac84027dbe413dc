/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Copies bytes between descriptors until all output has been passed on: the main program's streams.
 *
 * A lane leads from one descriptor to another, with a bounded buffer between them, so that whoever is slow slows its
 * other side alone. An end goes on: the target is closed, or, where it is a socket, shut down for writing.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#define PUMP_LANES_MAX 3
#define PUMP_BUFFER    (64 * 1024)

struct pump_lane {
        int from, to; /* the same descriptors may serve a lane of each direction */
        bool output;  /* of the program: the pump goes on until it has ended */
        bool drained; /* wait, at the end, until the socket `to` was closed by the other side */
};

/*
 * Returns when every output lane has ended, and the other side has taken all. Made for a process of its own,
 * in which SIGPIPE is blocked.
 */
void pump_run(const struct pump_lane *lanes, size_t count);
