/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "hosted/topology_option.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/text.h"
#include "hosted/vmm.h"

/* One "name=count" of the list into *topology, where 0 is what was not said. */
static int set_part(const char *item, struct topology *topology, struct error *err)
{
        const struct {
                const char *prefix;
                unsigned *count;
        } parts[] = {
                { "sockets=", &topology->sockets },
                { "cores=", &topology->cores },
                { "threads=", &topology->threads },
        };
        for (size_t i = 0; i < ARRAY_SIZE(parts); i++) {
                uint64_t count;
                if (!text_starts(item, parts[i].prefix))
                        continue;
                if (parse_u64(item + strlen(parts[i].prefix), &count) < 0 || !count || count > VMM_CPUS_MAX)
                        return error_set(err, -EINVAL, "--cpus: \"%s\" is not a count from 1 to %d", item,
                                         VMM_CPUS_MAX);
                *parts[i].count = (unsigned)count;
                return 0;
        }
        return error_set(err, -EINVAL, "--cpus does not know \"%s\"; it takes N[,sockets=N][,cores=N][,threads=N]",
                         item);
}

int topology_parse(const char *text, struct topology *topology, struct error *err)
{
        uint64_t cpus;
        _cleanup_free_ char *copy = strdup(text);
        if (!copy)
                return error_memory(err);
        char *rest = copy, *number = strsep(&rest, ",");
        if (parse_u64(number, &cpus) < 0 || !cpus || cpus > VMM_CPUS_MAX)
                return error_set(err, -EINVAL, "a virtual machine has 1 to %d CPUs, not %s", VMM_CPUS_MAX, number);
        struct topology parts = { 0 };
        for (char *item; (item = strsep(&rest, ","));) {
                int r = set_part(item, &parts, err);
                if (r < 0)
                        return r;
        }
        /* What was not said: one thread a core; then one socket, unless the cores leave more to it. */
        unsigned threads = parts.threads ? parts.threads : 1;
        unsigned cores = parts.cores ? parts.cores : (unsigned)cpus / threads / (parts.sockets ? parts.sockets : 1);
        unsigned sockets = parts.sockets ? parts.sockets : cores ? (unsigned)cpus / threads / cores : 0;
        if ((uint64_t)sockets * cores * threads != cpus)
                return error_set(err, -EINVAL, "--cpus: %u sockets of %u cores of %u threads are not %" PRIu64 " CPUs",
                                 sockets, cores, threads, cpus);
        *topology = (struct topology){ sockets, cores, threads };
        return 0;
}
