/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * How the kernel is to schedule a program, and where its memory lies: process.scheduler, process.ioPriority,
 * process.execCPUAffinity and linux.memoryPolicy of the OCI runtime-spec; sched(7), ioprio_set(2), set_mempolicy(2).
 */
#pragma once

#include <sched.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/error.h"
#include "base/json.h"

/* struct sched_attr of sched_setattr(2), version 1, which glibc does not declare. */
struct scheduler_attributes {
        uint32_t size, policy;
        uint64_t flags;
        int32_t nice;
        uint32_t priority;
        uint64_t runtime, deadline, period; /* nanoseconds */
        uint32_t utilization_min, utilization_max;
};

enum { MEMORY_NODES_MAX = 1024 };

struct scheduling {
        bool has_scheduler, has_io_priority, has_initial_cpus, has_final_cpus, has_memory_policy;
        struct scheduler_attributes scheduler;
        int io_priority; /* as ioprio_set(2) takes it */
        cpu_set_t initial_cpus, final_cpus;
        int memory_mode; /* with its flags */
        unsigned long memory_nodes[MEMORY_NODES_MAX / (8 * sizeof(unsigned long))];
};

/* `process` is the object process, `linux` the object linux (or absent). */
int scheduling_parse_process(const struct json_at *process, struct scheduling *scheduling);
int scheduling_parse_memory_policy(const struct json_at *platform, struct scheduling *scheduling);

/* Scheduler and I/O priority of another process: what needs the runtime's own rights. */
int scheduling_apply(const struct scheduling *scheduling, pid_t pid, struct error *err);
/* Processors of process `pid` (0: the caller). */
int scheduling_pin(const cpu_set_t *cpus, pid_t pid, struct error *err);
/* Memory policy of the caller; what it executes inherits it. */
int scheduling_apply_memory_policy(const struct scheduling *scheduling, struct error *err);

/* Names for `features`: modes and flags of memoryPolicy. */
json_t *scheduling_features(void);
