/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * How much slower a load runs inside than on the host, and how much more processor time it takes. Loads run for a fixed time
 * and count what they do, so that slow machines measure as long as fast ones.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/json.h"
#include "compare/comparison.h"
#include "instance/stats.h"

static const struct {
        const char *work;
        const char *file_inside; /* an operand; on the host it is in the folder of instances */
} loads[LOADS] = {
        [LOAD_CPU] = { "cpu", NULL },
        [LOAD_CALLS] = { "calls", NULL },
        [LOAD_IO] = { "io", "/.onggi-load" },
};

static int read_rate(const struct trial *trial, double *operations, double *rate, struct error *err)
{
        unsigned long long count, nanoseconds;
        if (sscanf(trial->output, "%llu %llu", &count, &nanoseconds) != 2 || !count || !nanoseconds)
                return error_set(err, -EPROTO, "onggi-load answered \"%.40s\" with status %d%s%.200s", trial->output,
                                 trial->exit_code, trial->errors[0] ? ": " : "", trial->errors);
        *operations = (double)count;
        *rate = (double)count / ((double)nanoseconds / 1e9);
        return 0;
}

static int measure_host(struct comparison *comparison, enum load load, struct host_rate *host, struct error *err)
{
        struct trial trial;
        double operations;
        _cleanup_free_ char *file = text_format("%s/.onggi-load-%d", comparison->settings->host->root, (int)getpid());
        if (!file)
                return error_memory(err);
        char *const argv[] = { comparison->load, (char *)loads[load].work, loads[load].file_inside ? file : NULL,
                               NULL };
        int r = trial_program(comparison, argv, &trial, err);
        unlink(file);
        if (!r)
                r = read_rate(&trial, &operations, &host->rate, err);
        if (!r)
                host->cpu = trial.cpu / operations;
        return r;
}

/* Once for all contestants; NULL with *err filled. */
static const struct host_rate *host_rate(struct comparison *comparison, enum load load, struct error *err)
{
        struct host_rate *host = &comparison->host_rates[load];
        if (!host->measured && measure_host(comparison, load, host, err) < 0) {
                error_prefix(err, "on the host itself");
                return NULL;
        }
        host->measured = true;
        return host;
}

/* Processor time of the whole instance, of its machine too, so far; -1 where it is not counted. */
static double processor_seconds(const struct comparison *comparison, const char *name)
{
        struct instance *instance;
        struct statistics statistics;
        if (instance_find(comparison->settings->host, name, &instance, NULL) < 0)
                return -1;
        int r = instance_statistics(instance, &statistics, NULL);
        instance_free(instance);
        return r < 0 ? -1 : (double)statistics.cpu_total / 1e9;
}

static int measure_load(struct comparison *comparison, struct contestant *contestant, enum load load, json_t *cell,
                        struct error *err)
{
        const struct host_rate *host = host_rate(comparison, load, err);
        struct trial trial;
        double operations, rate;
        if (!host)
                return -EIO;
        double before = processor_seconds(comparison, contestant->idle);
        int r = trial_ok(comparison,
                         (char *const[]){ "exec", "--user", "0", contestant->idle, COMPARE_LOAD,
                                          (char *)loads[load].work, (char *)loads[load].file_inside, NULL },
                         &trial, err);
        if (!r)
                r = read_rate(&trial, &operations, &rate, err);
        if (r < 0)
                return r;
        double spent = processor_seconds(comparison, contestant->idle) - before;
        double slowdown = host->rate / rate;
        bool counted = before >= 0 && spent >= 0 && host->cpu > 0;
        if (counted)
                cell_set(cell, slowdown, "times", "%.2f x (processor time %.2f x)", slowdown,
                         spent / operations / host->cpu);
        else
                cell_set(cell, slowdown, "times", "%.2f x (processor time not counted)", slowdown);
        json_object_set_new(cell, "rate", json_real(rate));
        if (counted)
                json_object_set_new(cell, "processor_time", json_real(spent / operations / host->cpu));
        return 0;
}

int measure_cpu(struct comparison *comparison, struct contestant *contestant, json_t *cell, struct error *err)
{
        return measure_load(comparison, contestant, LOAD_CPU, cell, err);
}

int measure_calls(struct comparison *comparison, struct contestant *contestant, json_t *cell, struct error *err)
{
        return measure_load(comparison, contestant, LOAD_CALLS, cell, err);
}

int measure_io(struct comparison *comparison, struct contestant *contestant, json_t *cell, struct error *err)
{
        return measure_load(comparison, contestant, LOAD_IO, cell, err);
}
