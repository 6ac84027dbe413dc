/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "container/scheduling.h"

#include <errno.h>
#include <limits.h>
#include <linux/ioprio.h>
#include <linux/mempolicy.h>
#include <linux/sched.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#ifndef MPOL_WEIGHTED_INTERLEAVE
#define MPOL_WEIGHTED_INTERLEAVE 6
#endif

struct named {
        const char *name;
        int value;
};

static const struct named policies[] = {
        { "SCHED_OTHER", SCHED_NORMAL },
        { "SCHED_FIFO", SCHED_FIFO },
        { "SCHED_RR", SCHED_RR },
        { "SCHED_BATCH", SCHED_BATCH },
        { "SCHED_IDLE", SCHED_IDLE },
        { "SCHED_DEADLINE", SCHED_DEADLINE },
        { "SCHED_ISO", 4 /* reserved by the kernel, which refuses it */ },
        { NULL },
};

static const struct named scheduler_flags[] = {
        { "SCHED_FLAG_RESET_ON_FORK", SCHED_FLAG_RESET_ON_FORK },
        { "SCHED_FLAG_RECLAIM", SCHED_FLAG_RECLAIM },
        { "SCHED_FLAG_DL_OVERRUN", SCHED_FLAG_DL_OVERRUN },
        { "SCHED_FLAG_KEEP_POLICY", SCHED_FLAG_KEEP_POLICY },
        { "SCHED_FLAG_KEEP_PARAMS", SCHED_FLAG_KEEP_PARAMS },
        { "SCHED_FLAG_UTIL_CLAMP_MIN", SCHED_FLAG_UTIL_CLAMP_MIN },
        { "SCHED_FLAG_UTIL_CLAMP_MAX", SCHED_FLAG_UTIL_CLAMP_MAX },
        { NULL },
};

static const struct named io_classes[] = {
        { "IOPRIO_CLASS_RT", IOPRIO_CLASS_RT },
        { "IOPRIO_CLASS_BE", IOPRIO_CLASS_BE },
        { "IOPRIO_CLASS_IDLE", IOPRIO_CLASS_IDLE },
        { NULL },
};

static const struct named memory_modes[] = {
        { "MPOL_DEFAULT", MPOL_DEFAULT },       { "MPOL_BIND", MPOL_BIND },
        { "MPOL_INTERLEAVE", MPOL_INTERLEAVE }, { "MPOL_WEIGHTED_INTERLEAVE", MPOL_WEIGHTED_INTERLEAVE },
        { "MPOL_PREFERRED", MPOL_PREFERRED },   { "MPOL_PREFERRED_MANY", MPOL_PREFERRED_MANY },
        { "MPOL_LOCAL", MPOL_LOCAL },           { NULL },
};

static const struct named memory_flags[] = {
        { "MPOL_F_NUMA_BALANCING", MPOL_F_NUMA_BALANCING },
        { "MPOL_F_RELATIVE_NODES", MPOL_F_RELATIVE_NODES },
        { "MPOL_F_STATIC_NODES", MPOL_F_STATIC_NODES },
        { NULL },
};

/* The value of a name, -1 with a misfit for one that is not in the table. */
static int look_up(const struct named *table, const struct json_at *at, const char *name)
{
        for (; table->name; table++)
                if (!strcmp(table->name, name))
                        return table->value;
        json_misfit(at, "has the unknown value \"%s\"", name);
        return -1;
}

static int parse_flags(const struct json_at *object, const struct named *table, uint64_t *flags)
{
        struct json_at list = json_get_array(object, "flags");
        for (size_t i = 0; i < json_count(&list); i++) {
                struct json_at at = json_element(&list, i);
                const char *name = json_string_at(&at);
                int value = name ? look_up(table, &at, name) : -1;
                if (value < 0)
                        return json_failed(object);
                *flags |= (uint64_t)value;
        }
        return json_failed(object);
}

/* "0-3,8" into bits below `limit` of the words at `bits`. */
static int parse_list(const struct json_at *object, const char *key, unsigned long limit, unsigned long *bits,
                      bool *present)
{
        const char *string = NULL;
        if (!json_get_string(object, key, &string) || !*string)
                return json_failed(object);
        struct json_at at = json_get(object, key);
        const unsigned long width = 8 * sizeof(*bits);
        for (const char *c = string;;) {
                char *end;
                if (*c < '0' || *c > '9')
                        return json_misfit(&at, "must be a list such as \"0-3,8\", not \"%s\"", string);
                unsigned long first = strtoul(c, &end, 10), last = first;
                if (*end == '-' && end[1] >= '0' && end[1] <= '9')
                        last = strtoul(end + 1, &end, 10);
                if (last < first || last >= limit)
                        return json_misfit(&at, "has a range out of order or beyond %lu: \"%s\"", limit - 1, string);
                for (unsigned long n = first; n <= last; n++)
                        bits[n / width] |= 1UL << n % width;
                if (!*end)
                        break;
                if (*end != ',')
                        return json_misfit(&at, "must be a list such as \"0-3,8\", not \"%s\"", string);
                c = end + 1;
        }
        *present = true;
        return 0;
}

static int parse_scheduler(const struct json_at *at, struct scheduling *scheduling)
{
        struct scheduler_attributes *attributes = &scheduling->scheduler;
        const char *policy = NULL;
        json_need_string(at, "policy", &policy);
        int64_t nice = 0, priority = 0;
        bool has_nice = json_get_i64(at, "nice", -20, 19, &nice);
        bool has_priority = json_get_i64(at, "priority", 0, 99, &priority);
        bool has_deadline = json_get_u64(at, "runtime", &attributes->runtime);
        has_deadline |= json_get_u64(at, "deadline", &attributes->deadline);
        has_deadline |= json_get_u64(at, "period", &attributes->period);
        if (parse_flags(at, scheduler_flags, &attributes->flags) < 0)
                return json_failed(at);
        struct json_at named = json_get(at, "policy");
        int value = look_up(policies, &named, policy);
        if (value < 0)
                return json_failed(at);

        bool real_time = value == SCHED_FIFO || value == SCHED_RR;
        if (has_nice && nice && value != SCHED_NORMAL && value != SCHED_BATCH)
                return json_misfit(at, "has a nice value, which %s does not know", policy);
        if (has_priority && priority && !real_time)
                return json_misfit(at, "has a priority, which only SCHED_FIFO and SCHED_RR know");
        if (has_deadline && (attributes->runtime | attributes->deadline | attributes->period) &&
            value != SCHED_DEADLINE)
                return json_misfit(at, "has runtime, deadline or period, which only SCHED_DEADLINE knows");
        attributes->size = sizeof(*attributes);
        attributes->policy = (uint32_t)value;
        attributes->nice = (int32_t)nice;
        attributes->priority = (uint32_t)priority;
        scheduling->has_scheduler = true;
        return 0;
}

static int parse_io_priority(const struct json_at *at, struct scheduling *scheduling)
{
        const char *name = NULL;
        int64_t priority = 0;
        json_need_string(at, "class", &name);
        json_get_i64(at, "priority", 0, 7, &priority);
        if (json_failed(at))
                return json_failed(at);
        struct json_at named = json_get(at, "class");
        int class = look_up(io_classes, &named, name);
        if (class < 0)
                return json_failed(at);
        scheduling->io_priority = class << IOPRIO_CLASS_SHIFT | (int)priority;
        scheduling->has_io_priority = true;
        return 0;
}

int scheduling_parse_process(const struct json_at *process, struct scheduling *scheduling)
{
        struct json_at scheduler = json_get_object(process, "scheduler");
        if (scheduler.value && parse_scheduler(&scheduler, scheduling) < 0)
                return json_failed(process);
        struct json_at io = json_get_object(process, "ioPriority");
        if (io.value && parse_io_priority(&io, scheduling) < 0)
                return json_failed(process);
        struct json_at affinity = json_get_object(process, "execCPUAffinity");
        if (affinity.value) {
                parse_list(&affinity, "initial", CPU_SETSIZE, (unsigned long *)&scheduling->initial_cpus,
                           &scheduling->has_initial_cpus);
                parse_list(&affinity, "final", CPU_SETSIZE, (unsigned long *)&scheduling->final_cpus,
                           &scheduling->has_final_cpus);
        }
        return json_failed(process);
}

int scheduling_parse_memory_policy(const struct json_at *platform, struct scheduling *scheduling)
{
        struct json_at at = json_get_object(platform, "memoryPolicy");
        if (!at.value)
                return json_failed(platform);
        const char *mode = NULL;
        uint64_t flags = 0;
        bool has_nodes = false;
        json_need_string(&at, "mode", &mode);
        parse_flags(&at, memory_flags, &flags);
        parse_list(&at, "nodes", MEMORY_NODES_MAX, scheduling->memory_nodes, &has_nodes);
        if (json_failed(&at))
                return json_failed(&at);
        struct json_at named = json_get(&at, "mode");
        int value = look_up(memory_modes, &named, mode);
        if (value < 0)
                return json_failed(&at);
        bool wants_nodes = value != MPOL_DEFAULT && value != MPOL_LOCAL && value != MPOL_PREFERRED;
        if (wants_nodes && !has_nodes)
                return json_misfit(&at, "needs nodes for the mode %s", mode);
        if (has_nodes && (value == MPOL_DEFAULT || value == MPOL_LOCAL))
                return json_misfit(&at, "has nodes, which the mode %s does not take", mode);
        if ((flags & MPOL_F_STATIC_NODES) && (flags & MPOL_F_RELATIVE_NODES))
                return json_misfit(&at, "has MPOL_F_STATIC_NODES together with MPOL_F_RELATIVE_NODES");
        scheduling->memory_mode = value | (int)flags;
        scheduling->has_memory_policy = true;
        return 0;
}

int scheduling_apply(const struct scheduling *scheduling, pid_t pid, struct error *err)
{
        if (scheduling->has_scheduler && syscall(SYS_sched_setattr, pid, &scheduling->scheduler, 0) < 0)
                return error_errno(err, "cannot set process.scheduler");
        if (scheduling->has_io_priority &&
            syscall(SYS_ioprio_set, IOPRIO_WHO_PROCESS, pid, scheduling->io_priority) < 0)
                return error_errno(err, "cannot set process.ioPriority");
        return 0;
}

int scheduling_pin(const cpu_set_t *cpus, pid_t pid, struct error *err)
{
        if (sched_setaffinity(pid, sizeof(*cpus), cpus) < 0)
                return error_errno(err, "cannot set process.execCPUAffinity");
        return 0;
}

int scheduling_apply_memory_policy(const struct scheduling *scheduling, struct error *err)
{
        if (!scheduling->has_memory_policy)
                return 0;
        if (syscall(SYS_set_mempolicy, scheduling->memory_mode, scheduling->memory_nodes, MEMORY_NODES_MAX + 1) < 0)
                return error_errno(err, "cannot set linux.memoryPolicy");
        return 0;
}

static json_t *names(const struct named *table)
{
        json_t *list = json_array();
        for (; table->name; table++)
                json_array_append_new(list, json_string(table->name));
        return list;
}

json_t *scheduling_features(void)
{
        return json_pack("{s:o, s:o}", "modes", names(memory_modes), "flags", names(memory_flags));
}
