/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "compare/compare.h"

#include <errno.h>
#include <limits.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/signalfd.h>
#include <sys/utsname.h>
#include <unistd.h>

#include "base/json.h"
#include "compare/comparison.h"
#include "engine/engines.h"
#include "image/store.h"

/* In the order in which they are made and shown. Those that need the idle instance say so: without it they have its reason. */
static const struct {
        const char *name, *title;
        measure *measure;
        bool idle;
} measurements[] = {
        { "kernel", "Kernel it sees", measure_kernel, true },
        { "image", "Image on disk", measure_image, true },
        { "kernel_files", "Kernel and initramfs on disk", measure_kernel_files, true },
        { "written", "Written by an instance that waits", measure_written, true },
        { "first_output", "Start to first output", measure_first_output, false },
        { "ready", "Start to ready", measure_ready, false },
        { "own_memory", "Memory of onggi's processes", measure_own_memory, true },
        { "guest_memory", "Memory of the program or guest", measure_guest_memory, true },
        { "instances", "Instances that fit in free memory", measure_instances, true },
        { "cpu", "Computing, against the host", measure_cpu, true },
        { "calls", "System calls, against the host", measure_calls, true },
        { "io", "Synced writes, against the host", measure_io, true },
        { "fork_bomb", "Fork bomb inside", measure_fork_bomb, false },
        { "memory_hog", "Memory hog inside", measure_memory_hog, false },
        { "panic", "Kernel panic inside", measure_panic, false },
};

/* ---- Contestants ---- */

static int add_contestant(struct comparison *comparison, const struct vessel *vessel, const char *engine,
                          struct error *err)
{
        struct contestant *grown =
                reallocarray(comparison->contestants, comparison->count + 1, sizeof(*comparison->contestants));
        if (!grown)
                return error_memory(err);
        comparison->contestants = grown;
        struct contestant *contestant = &grown[comparison->count++];
        *contestant = (struct contestant){
                .name = engine ? text_format("%s (%s)", vessel->name, engine) : strdup(vessel->name),
                .vessel = vessel,
                .engine = engine,
        };
        const char *chosen;
        struct error reason = { 0 };
        struct instance_settings settings = instance_settings_default();
        settings.isolation = vessel->name;
        settings.engine = engine;
        settings.kernel = engine ? comparison->settings->kernel : NULL;
        if (contestant->name && vessel->ready(comparison->settings->host, &settings, &chosen, &reason) < 0)
                contestant->why = strdup(reason.text);
        return contestant->name ? 0 : error_memory(err);
}

static int add_contestants(struct comparison *comparison, struct error *err)
{
        int r = 0;
        for (const struct vessel *const *vessel = vessels; !r && *vessel; vessel++) {
                if (!(*vessel)->engines)
                        r = add_contestant(comparison, *vessel, NULL, err);
                for (const struct engine_choice *engine = (*vessel)->engines; !r && engine && engine->name; engine++)
                        r = engine->by_name_only ? 0 : add_contestant(comparison, *vessel, engine->name, err);
        }
        return r;
}

/* The instance that waits; without it, why not. */
static int start_idle(struct comparison *comparison, struct contestant *contestant, struct error *err)
{
        _cleanup_list_ char **words = NULL;
        struct trial trial;
        comparison_name(comparison, contestant->idle);
        int r = load_words(comparison, contestant, contestant->idle, (char *const[]){ "-d", "--network", "none", NULL },
                           "wait", &words, err);
        struct error reason = { 0 };
        if (!r)
                r = trial_ok(comparison, words, &trial, &reason);
        if (!r)
                return 0;
        remove_instance(comparison, contestant->idle);
        contestant->idle[0] = 0;
        if (r == -EINTR)
                return error_set(err, r, "interrupted");
        contestant->idle_failure = strdup(reason.text);
        return contestant->idle_failure ? 0 : error_memory(err);
}

static void end_contestants(struct comparison *comparison)
{
        for (size_t i = 0; i < comparison->count; i++) {
                struct contestant *contestant = &comparison->contestants[i];
                if (contestant->idle[0])
                        remove_instance(comparison, contestant->idle);
                free(contestant->name);
                free(contestant->why);
                free(contestant->idle_failure);
        }
        free(comparison->contestants);
}

/* ---- Measuring ---- */

static int fill_cell(struct comparison *comparison, struct contestant *contestant, size_t i, json_t *cell,
                     struct error *err)
{
        struct error reason = { 0 };
        const char *why = contestant->why ? contestant->why : measurements[i].idle ? contestant->idle_failure : NULL;
        if (!why && comparison->settings->tell)
                comparison->settings->tell(contestant->name, measurements[i].title);
        if (!why) {
                int r = measurements[i].measure(comparison, contestant, cell, &reason);
                if (r == -EINTR)
                        return error_set(err, r, "%s", reason.text);
                why = r < 0 ? reason.text : NULL;
        }
        return why ? json_object_set_new(cell, "why", json_string(why)) : 0;
}

static bool is_wanted(const struct compare_settings *settings, const char *name)
{
        return !list_length(settings->only) || list_contains(settings->only, name);
}

static int check_names(char *const *names, struct error *err)
{
        _cleanup_text_ struct text all = { 0 };
        for (size_t i = 0; i < ARRAY_SIZE(measurements); i++)
                text_printf(&all, "%s%s", i ? ", " : "", measurements[i].name);
        for (; names && *names; names++) {
                bool known = false;
                for (size_t i = 0; i < ARRAY_SIZE(measurements); i++)
                        known |= text_equal(measurements[i].name, *names);
                if (!known && !text_failed(&all))
                        return error_set(err, -EINVAL, "--only \"%s\" is none of %s", *names, all.data);
        }
        return text_failed(&all) ? error_memory(err) : 0;
}

static int measure_all(struct comparison *comparison, json_t *list, struct error *err)
{
        int r = 0;
        for (size_t i = 0; !r && i < comparison->count; i++)
                if (!comparison->contestants[i].why)
                        r = start_idle(comparison, &comparison->contestants[i], err);
        for (size_t i = 0; !r && i < ARRAY_SIZE(measurements); i++) {
                if (!is_wanted(comparison->settings, measurements[i].name))
                        continue;
                json_t *cells = json_array();
                json_array_append_new(list, json_pack("{s:s, s:s, s:o}", "name", measurements[i].name, "title",
                                                      measurements[i].title, "cells", cells));
                for (size_t j = 0; !r && j < comparison->count; j++) {
                        json_t *cell = json_object();
                        json_array_append_new(cells, cell);
                        r = fill_cell(comparison, &comparison->contestants[j], i, cell, err);
                }
        }
        return r;
}

static json_t *describe_host(void)
{
        struct utsname name;
        uint64_t available = 0;
        uname(&name);
        available_memory(&available, NULL);
        return json_pack("{s:s, s:i, s:I}", "kernel", name.release, "processors", (int)sysconf(_SC_NPROCESSORS_ONLN),
                         "memory_available", (json_int_t)available);
}

static json_t *describe_contestants(const struct comparison *comparison)
{
        json_t *list = json_array();
        for (size_t i = 0; i < comparison->count; i++) {
                const struct contestant *contestant = &comparison->contestants[i];
                json_array_append_new(list, json_pack("{s:s, s:s, s:s*, s:s*}", "name", contestant->name, "isolation",
                                                      contestant->vessel->name, "engine", contestant->engine, "why",
                                                      contestant->why));
        }
        return list;
}

/* ---- Beginning and end ---- */

static int open_comparison(struct comparison *comparison, struct error *err)
{
        char self[PATH_MAX];
        ssize_t length = readlink("/proc/self/exe", self, sizeof(self) - 1);
        if (length <= 0)
                return error_errno(err, "cannot find the program onggi");
        self[length] = 0;
        comparison->program = strdup(self);
        comparison->load = host_program(comparison->settings->host, "onggi-load");
        if (!comparison->load)
                return error_set(err, -ENOENT, "onggi-load was not found beside %s/onggi-monitor",
                                 comparison->settings->host->libexec);
        char *real = realpath(comparison->load, NULL);
        char *slash = real ? strrchr(real, '/') : NULL;
        comparison->load_folder = slash ? strndup(real, (size_t)(slash - real)) : NULL;
        free(real);
        if (!comparison->program || !comparison->load_folder)
                return error_memory(err);
        sigset_t ends;
        sigemptyset(&ends);
        sigaddset(&ends, SIGINT);
        sigaddset(&ends, SIGTERM);
        sigaddset(&ends, SIGHUP);
        sigprocmask(SIG_BLOCK, &ends, NULL);
        comparison->signals = signalfd(-1, &ends, SFD_CLOEXEC | SFD_NONBLOCK);
        return comparison->signals < 0 ? error_errno(err, "cannot wait for signals") : 0;
}

static void close_comparison(struct comparison *comparison)
{
        end_contestants(comparison);
        free(comparison->program);
        free(comparison->load);
        free(comparison->load_folder);
        if (comparison->signals >= 0)
                close(comparison->signals);
}

static int find_image(const struct compare_settings *settings, struct error *err)
{
        struct store *store = NULL;
        struct image *image = NULL;
        int r = store_open(settings->host->root, &store, err);
        if (!r)
                r = store_find(store, settings->image, &image, err);
        image_free(image);
        store_close(store);
        return r;
}

int compare_run(const struct compare_settings *settings, json_t **report, struct error *err)
{
        struct comparison comparison = { .settings = settings, .signals = -1 };
        _cleanup_json_ json_t *list = json_array();
        if (settings->runs < 1 || settings->runs > COMPARE_RUNS_MAX)
                return error_set(err, -EINVAL, "--runs: from 1 to %d", COMPARE_RUNS_MAX);
        if (settings->ready_port < 0 || settings->ready_port > UINT16_MAX)
                return error_set(err, -EINVAL, "--ready-port: from 1 to %d", UINT16_MAX);
        int r = check_names(settings->only, err);
        if (!r)
                r = find_image(settings, err);
        if (!r)
                r = open_comparison(&comparison, err);
        if (!r)
                r = add_contestants(&comparison, err);
        if (!r)
                r = measure_all(&comparison, list, err);
        if (!r) {
                *report = json_pack("{s:s, s:o, s:o, s:O}", "image", settings->image, "host", describe_host(),
                                    "contestants", describe_contestants(&comparison), "measurements", list);
                r = *report ? 0 : error_memory(err);
        }
        close_comparison(&comparison);
        return r;
}
