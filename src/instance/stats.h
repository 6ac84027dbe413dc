/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What an instance uses now: read from its control groups (through the runtime's `events --stats`) and its network
 * namespace.
 *
 * Counters grow from the start of the instance; a processor share needs two readings, statistics_cpu_percent()
 * computes it.
 */
#pragma once

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/error.h"

struct instance;

struct statistics {
        uint64_t taken;      /* CLOCK_MONOTONIC, ns */
        uint64_t cpu_total;  /* ns */
        unsigned processors; /* online on the host */
        uint64_t memory_used,
                memory_limit; /* bytes, page cache that can go at once not counted; limit: the host's memory if none */
        uint64_t network_received, network_sent; /* bytes over all interfaces but loopback */
        uint64_t block_read, block_written;      /* bytes */
        uint64_t processes;
};
/* -ESRCH where it does not run. */
int instance_statistics(struct instance *instance, struct statistics *statistics, struct error *err);
/* In percent of one processor, as docker: 200.0 is two busy processors. */
double statistics_cpu_percent(const struct statistics *before, const struct statistics *now);
