/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What a fault inside does to its neighbours: it is provoked in an instance that is thrown away, with limits, while a
 * neighbour - a container, which shares most with the host - tells how long it was held up.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/json.h"
#include "compare/comparison.h"

static char *const limits[] = { "--network", "none", "--memory", "128m", "--pids-limit", "256", NULL };

/* How a fault ended. */
struct end {
        long long exit_code;
        char error[256];
        bool out_of_memory;
        struct trial trial;
};

static void read_end(const struct comparison *comparison, const char *name, struct end *end)
{
        struct instance *instance;
        json_t *object = NULL;
        if (instance_find(comparison->settings->host, name, &instance, NULL) < 0)
                return;
        instance_inspect(instance, false, &object, NULL);
        instance_free(instance);
        const json_t *state = json_object_get(object, "State");
        const char *error = json_string_value(json_object_get(state, "Error"));
        snprintf(end->error, sizeof(end->error), "%s", error ? error : "");
        end->out_of_memory = json_is_true(json_object_get(state, "OOMKilled"));
        end->exit_code = json_integer_value(json_object_get(state, "ExitCode"));
        json_decref(object);
}

static const struct contestant *neighbour_of(const struct comparison *comparison)
{
        for (size_t i = 0; i < comparison->count; i++)
                if (!comparison->contestants[i].vessel->guardian && comparison->contestants[i].idle[0])
                        return &comparison->contestants[i];
        return NULL;
}

static int watch_and_provoke(struct comparison *comparison, const struct contestant *contestant,
                             const struct contestant *neighbour, char *const *options, const char *work,
                             struct end *end, double *delay, struct error *err)
{
        _cleanup_list_ char **words = NULL;
        char name[64], answer[64];
        comparison_name(comparison, name);
        int r = load_words(comparison, contestant, name, options, work, &words, err);
        struct companion companion;
        if (!r)
                r = companion_start(comparison,
                                    (char *const[]){ "exec", "-i", (char *)neighbour->idle, COMPARE_LOAD, "beat",
                                                     NULL },
                                    &companion, err);
        if (r < 0)
                return r;
        r = trial_run(comparison, words, &end->trial, err);
        end->exit_code = end->trial.exit_code;
        read_end(comparison, name, end);
        remove_instance(comparison, name);
        int watched = companion_end(&companion, answer, sizeof(answer), r < 0 ? NULL : err);
        *delay = strtod(answer, NULL) / 1e9;
        return r < 0 ? r : watched;
}

static int provoke(struct comparison *comparison, const struct contestant *contestant, char *const *more,
                   const char *work, struct end *end, double *delay, struct error *err)
{
        if (comparison->settings->no_faults)
                return error_set(err, -ENODATA, "left out by --no-faults");
        const struct contestant *neighbour = neighbour_of(comparison);
        if (!neighbour)
                return error_set(err, -ENODATA, "there is no container that could be watched as its neighbour");
        _cleanup_list_ char **options = list_copy(limits);
        for (; more && *more; more++)
                if (list_append(&options, *more) < 0)
                        return error_memory(err);
        *end = (struct end){ 0 };
        return options ? watch_and_provoke(comparison, contestant, neighbour, options, work, end, delay, err)
                       : error_memory(err);
}

static void set_outcome(json_t *cell, double delay, const char *outcome)
{
        char text[32];
        cell_set(cell, delay, "s", "%s; neighbour held up %s", outcome, duration_text(delay, text));
}

/* Neither a count nor the fault's own end: what went wrong, in its own words. */
static int unexpected(struct end *end, struct error *err)
{
        char *words = end->error[0] ? end->error : end->trial.errors;
        words[strcspn(words, "\n")] = 0;
        return error_set(err, -EPROTO, "it ended with status %lld%s%s", end->exit_code, *words ? ": " : "", words);
}

int measure_fork_bomb(struct comparison *comparison, struct contestant *contestant, json_t *cell, struct error *err)
{
        struct end end;
        double delay;
        char outcome[64];
        int r = provoke(comparison, contestant, NULL, "fork-bomb", &end, &delay, err);
        if (r < 0)
                return r;
        unsigned long processes = strtoul(end.trial.output, NULL, 10);
        if (!processes)
                return unexpected(&end, err);
        snprintf(outcome, sizeof(outcome), "stopped at %lu processes", processes);
        set_outcome(cell, delay, outcome);
        json_object_set_new(cell, "processes", json_integer((json_int_t)processes));
        return 0;
}

int measure_memory_hog(struct comparison *comparison, struct contestant *contestant, json_t *cell, struct error *err)
{
        struct end end;
        double delay;
        int r = provoke(comparison, contestant, NULL, "memory-hog", &end, &delay, err);
        if (r < 0)
                return r;
        if (!end.out_of_memory && end.exit_code != 137)
                return unexpected(&end, err);
        set_outcome(cell, delay, "killed at its limit");
        return 0;
}

int measure_panic(struct comparison *comparison, struct contestant *contestant, json_t *cell, struct error *err)
{
        if (!contestant->vessel->guardian)
                return error_set(err, -EPERM, "not provoked: its kernel is the host's and every neighbour's");
        struct end end;
        double delay;
        char outcome[sizeof(end.error) + 32];
        int r = provoke(comparison, contestant, (char *const[]){ "--privileged", NULL }, "panic", &end, &delay, err);
        if (r < 0)
                return r;
        if (!end.error[0])
                return unexpected(&end, err);
        snprintf(outcome, sizeof(outcome), "ended alone (%s)", end.error);
        set_outcome(cell, delay, outcome);
        return 0;
}
