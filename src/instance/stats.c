/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "instance/stats.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/sysinfo.h>
#include <time.h>
#include <unistd.h>

#include "base/file.h"
#include "base/json.h"
#include "base/text.h"
#include "instance/folder.h"
#include "instance/instance.h"

static uint64_t number(const json_t *object, const char *first, const char *second, const char *third)
{
        const json_t *value = object;
        const char *const keys[] = { first, second, third };
        for (size_t i = 0; i < ARRAY_SIZE(keys) && keys[i]; i++)
                value = json_object_get(value, keys[i]);
        if (json_is_real(value))
                return (uint64_t)json_real_value(value);
        return (uint64_t)json_integer_value(value);
}

/* Docker's rule: what the page cache could give back at once does not count as used. */
static void read_memory(const json_t *data, struct statistics *statistics)
{
        struct sysinfo host;
        const json_t *memory = json_object_get(data, "memory");
        uint64_t usage = number(memory, "usage", "usage", NULL), limit = number(memory, "usage", "limit", NULL);
        uint64_t inactive = number(memory, "raw", "total_inactive_file", NULL);
        if (!inactive)
                inactive = number(memory, "raw", "inactive_file", NULL);
        statistics->memory_used = usage > inactive ? usage - inactive : usage;
        uint64_t all = !sysinfo(&host) ? (uint64_t)host.totalram * host.mem_unit : 0;
        statistics->memory_limit = limit && (!all || limit < all) ? limit : all;
}

static void read_block(const json_t *data, struct statistics *statistics)
{
        const json_t *entries = json_object_get(json_object_get(data, "blkio"), "ioServiceBytesRecursive");
        json_t *entry;
        size_t i;
        json_array_foreach((json_t *)entries, i, entry) {
                const char *operation = json_string_value(json_object_get(entry, "op"));
                uint64_t bytes = number(entry, "value", NULL, NULL);
                if (operation && !strcasecmp(operation, "read"))
                        statistics->block_read += bytes;
                if (operation && !strcasecmp(operation, "write"))
                        statistics->block_written += bytes;
        }
}

/* A virtual machine's end of the wire whose other one is the instance's interface (runtime_vm/wire.h): counted there. */
#define OTHER_END "onggi-vm"

/* proc_pid_net(5): of the first process, so of its network namespace. */
static void read_network(pid_t pid, struct statistics *statistics)
{
        char path[48];
        _cleanup_free_ char *data = NULL;
        snprintf(path, sizeof(path), "/proc/%d/net/dev", (int)pid);
        if (file_read(AT_FDCWD, path, 1024 * 1024, &data, NULL, NULL) < 0)
                return;
        char *rest = data, *line;
        while ((line = strsep(&rest, "\n"))) {
                char name[32];
                unsigned long long received, sent;
                if (sscanf(line, " %31[^:]: %llu %*u %*u %*u %*u %*u %*u %*u %llu", name, &received, &sent) != 3 ||
                    text_equal(name, "lo") || text_starts(name, OTHER_END))
                        continue;
                statistics->network_received += received;
                statistics->network_sent += sent;
        }
}

int instance_statistics(struct instance *instance, struct statistics *statistics, struct error *err)
{
        if (!instance->run || instance->status == INSTANCE_RESTARTING)
                return error_set(err, -ESRCH, "instance %s does not run", instance->name);
        json_t *read = NULL;
        int r = runtime_read(instance, (char *const[]){ "events", "--stats", instance->id, NULL }, &read, err);
        if (r < 0)
                return error_prefix(err, "instance %s", instance->name);
        _cleanup_json_ json_t *event = read;
        const json_t *data = json_object_get(event, "data");
        if (!json_object_size(json_object_get(data, "memory")) && !json_object_size(json_object_get(data, "pids")))
                return error_set(err, -EOPNOTSUPP,
                                 "instance %s has no control group of its own, which would count what "
                                 "it uses; `onggi doctor` tells why",
                                 instance->name);
        struct timespec now;
        clock_gettime(CLOCK_MONOTONIC, &now);
        *statistics = (struct statistics){
                .taken = (uint64_t)now.tv_sec * 1000000000 + (uint64_t)now.tv_nsec,
                .cpu_total = number(data, "cpu", "usage", "total"),
                .processors = (unsigned)sysconf(_SC_NPROCESSORS_ONLN),
                .processes = number(data, "pids", "current", NULL),
        };
        read_memory(data, statistics);
        read_block(data, statistics);
        read_network((pid_t)json_integer_value(json_object_get(instance->run, "pid")), statistics);
        return 0;
}

double statistics_cpu_percent(const struct statistics *before, const struct statistics *now)
{
        if (now->taken <= before->taken || now->cpu_total < before->cpu_total)
                return 0;
        return 100.0 * (double)(now->cpu_total - before->cpu_total) / (double)(now->taken - before->taken);
}
