/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Work that nobody shall wait for, done by a process of its own that outlives the command. What it is to do is seen
 * from the state on disk, so when it is killed, the next such process (or network_repair()) does the same.
 */
#pragma once

#include "network/handle.h"

struct later {
        const char *lock; /* file in <state>/networks: one process at a time waits */
        unsigned delay;   /* milliseconds: what comes in between is done together */
        int (*work)(struct networks *networks, struct error *err); /* under networks_lock() */
};

/* Does nothing where a process is waiting already. */
void later_start(const struct networks *networks, const struct later *later);
