/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "instance/stats.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/human.h"
#include "base/json.h"
#include "cli/output.h"
#include "cli/verbs.h"
#include "instance/instance.h"

struct stats_options {
        struct listing_options listing; /* first */
        bool all, once;
};

static const struct option_spec stats_option_table[] = {
        { "all", 'a', OPTION_FLAG, offsetof(struct stats_options, all), NULL, "those that do not run, too" },
        { "no-stream", 0, OPTION_FLAG, offsetof(struct stats_options, once), NULL, "show one table and end" },
        { "format", 0, OPTION_STRING, offsetof(struct stats_options, listing.format), "FORMAT",
          "table, json, a template, or \"table TEMPLATE\"" },
        { "no-trunc", 0, OPTION_FLAG, offsetof(struct stats_options, listing.no_trunc), NULL, "shorten nothing" },
        { 0 },
};
static const struct option_spec *const stats_tables[] = { stats_option_table, NULL };

static const struct column columns[] = {
        { "ID", "INSTANCE ID", SHORTEN_ID, false },
        { "Name", NULL, SHORTEN_NOT, false },
        { "CPUPerc", "CPU %", SHORTEN_NOT, false },
        { "MemUsage", "MEM USAGE / LIMIT", SHORTEN_NOT, false },
        { "MemPerc", "MEM %", SHORTEN_NOT, false },
        { "NetIO", "NET I/O", SHORTEN_NOT, false },
        { "BlockIO", "BLOCK I/O", SHORTEN_NOT, false },
        { "PIDs", NULL, SHORTEN_NOT, false },
        { 0 },
};
static const struct listing listing = { "ID", columns };

/* The instances that are shown, with the last reading of each. */
struct readings {
        struct instance **instances;
        struct statistics *last; /* taken 0: none, it did not run */
        size_t count;
};

static void pause_for(long milliseconds)
{
        struct timespec time = { milliseconds / 1000, milliseconds % 1000 * 1000000 };
        nanosleep(&time, NULL);
}

static int find_named(struct call *call, struct host *host, struct readings *readings, struct error *err)
{
        readings->instances = calloc((size_t)call->operand_count, sizeof(*readings->instances));
        if (!readings->instances)
                return error_memory(err);
        for (char **name = call->operands; *name; name++) {
                int r = instance_find(host, *name, &readings->instances[readings->count], err);
                if (r < 0)
                        return r;
                readings->count++;
        }
        return 0;
}

/* "used / limit" and its like. */
static json_t *pair(const char *(*human)(uint64_t bytes, char text[HUMAN_ROOM]), uint64_t a, uint64_t b)
{
        char first[HUMAN_ROOM], second[HUMAN_ROOM];
        return json_sprintf("%s / %s", human(a, first), human(b, second));
}

static json_t *row(const struct instance *instance, const struct statistics *before, const struct statistics *now)
{
        json_t *row = json_object();
        json_object_set_new(row, "ID", json_string(instance->id));
        json_object_set_new(row, "Container", json_string(instance->id));
        json_object_set_new(row, "Name", json_string(instance->name));
        if (!now->taken) {
                static const char *const unknown[] = { "CPUPerc", "MemUsage", "MemPerc", "NetIO", "BlockIO", "PIDs" };
                for (size_t i = 0; i < ARRAY_SIZE(unknown); i++)
                        json_object_set_new(row, unknown[i], json_string("--"));
                return row;
        }
        double share = before->taken ? statistics_cpu_percent(before, now) : 0;
        double memory = now->memory_limit ? 100.0 * (double)now->memory_used / (double)now->memory_limit : 0;
        json_object_set_new(row, "CPUPerc", json_sprintf("%.2f%%", share));
        json_object_set_new(row, "MemUsage", pair(human_size_binary, now->memory_used, now->memory_limit));
        json_object_set_new(row, "MemPerc", json_sprintf("%.2f%%", memory));
        json_object_set_new(row, "NetIO", pair(human_size, now->network_received, now->network_sent));
        json_object_set_new(row, "BlockIO", pair(human_size, now->block_read, now->block_written));
        json_object_set_new(row, "PIDs", json_sprintf("%llu", (unsigned long long)now->processes));
        return row;
}

/* Reads all once more. *rows (NULL: not wanted) are the caller's. What ended in between has no reading. */
static int read_all(struct readings *readings, json_t **rows, struct error *err)
{
        _cleanup_json_ json_t *array = json_array();
        for (size_t i = 0; i < readings->count; i++) {
                struct statistics now = { 0 };
                int r = instance_statistics(readings->instances[i], &now, err);
                if (r < 0 && r != -ESRCH)
                        return r;
                if (r < 0)
                        now.taken = 0;
                if (json_array_append_new(array, row(readings->instances[i], &readings->last[i], &now)))
                        return error_memory(err);
                readings->last[i] = now;
        }
        if (rows)
                *rows = TAKE_PTR(array);
        return 0;
}

static int show(const struct stats_options *options, struct readings *readings, struct error *err)
{
        bool terminal = isatty(STDOUT_FILENO) && !options->once;
        int r = read_all(readings, NULL, err);
        /* A share of a processor needs two readings; for the first table they need not be a whole second apart. */
        for (long wait = 250; !r; wait = 1000) {
                pause_for(wait);
                _cleanup_json_ json_t *rows = NULL;
                r = read_all(readings, &rows, err);
                if (r < 0)
                        break;
                if (terminal)
                        fputs("\033[H\033[2J", stdout);
                r = listing_print(&listing, rows, &options->listing, stdout, err);
                if (fflush(stdout) || options->once)
                        break;
        }
        return r;
}

static int stats(struct call *call, void *target, struct error *err)
{
        const struct stats_options *options = target;
        const struct instance_filter filter = { .all = options->all };
        struct readings readings = { 0 };
        struct host *host;
        int r = call_host(call, &host, err);
        if (!r)
                r = call->operand_count ? find_named(call, host, &readings, err)
                                        : instance_list(host, &filter, &readings.instances, &readings.count, err);
        if (!r) {
                readings.last = calloc(readings.count + 1, sizeof(*readings.last));
                r = readings.last ? show(options, &readings, err) : error_memory(err);
        }
        instance_list_free(readings.instances, readings.count);
        free(readings.last);
        return r;
}

const struct command command_stats = {
        .summary = "Show what instances use, until interrupted",
        .usage = "[INSTANCE...]",
        .max = OPERANDS_MAX,
        .operands = OPERAND_RUNNING,
        .options = stats_tables,
        .options_size = sizeof(struct stats_options),
        .run = stats,
};
