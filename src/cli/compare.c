/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "compare/compare.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/json.h"
#include "base/text.h"
#include "cli/output.h"
#include "cli/rooms.h"
#include "cli/verbs.h"

struct compare_options {
        const char *format, *ready_command, *kernel;
        int64_t runs, ready_port;
        uint64_t timeout;
        char **only;
        bool no_faults;
};

#define AT(field) offsetof(struct compare_options, field)

static const struct option_spec compare_option_table[] = {
        { "format", 0, OPTION_STRING, AT(format), "FORMAT", "table, or json" },
        { "runs", 'n', OPTION_NUMBER, AT(runs), "N", "how often each start is measured (5)" },
        { "ready-port", 0, OPTION_NUMBER, AT(ready_port), "PORT", "it is ready when this port of its answers" },
        { "ready-command", 0, OPTION_STRING, AT(ready_command), "COMMAND",
          "it is ready when this, run inside by /bin/sh -c, succeeds" },
        { "kernel", 0, OPTION_STRING, AT(kernel), "FILE|VERSION", "of virtual machines; the newest of `onggi kernel`" },
        { "timeout", 0, OPTION_TIME, AT(timeout), "TIME", "the most that one start or load may take (60s)" },
        { "only", 0, OPTION_LIST, AT(only), "NAME", "measure this alone, by its name in the JSON; may be repeated" },
        { "no-faults", 0, OPTION_FLAG, AT(no_faults), NULL, "provoke no fork bomb, memory hog and kernel panic" },
        { 0 },
};
static const struct option_spec *const compare_tables[] = { compare_option_table, NULL };

static void prepare(void *target)
{
        struct compare_options *options = target;
        options->runs = 5;
        options->timeout = 60 * 1000000000ULL;
}

/* ---- The table, with what its empty cells lack below ---- */

/* The number of a note, which is added where it is not there yet. */
static size_t note_number(char ***notes, const char *why)
{
        for (size_t i = 0; *notes && (*notes)[i]; i++)
                if (text_equal((*notes)[i], why))
                        return i + 1;
        return list_append(notes, why) < 0 ? 0 : list_length(*notes);
}

static void print_cell(struct text *lines, const json_t *cell, char ***notes)
{
        const char *why = json_string_value(json_object_get(cell, "why"));
        if (why)
                text_printf(lines, "\t- (%zu)", note_number(notes, why));
        else
                text_printf(lines, "\t%s", json_string_value(json_object_get(cell, "text")));
}

static int print_table(const json_t *report, struct error *err)
{
        _cleanup_text_ struct text lines = { 0 };
        _cleanup_list_ char **notes = NULL;
        json_t *contestant, *measurement, *cell;
        size_t i, j;
        text_append(&lines, json_string_value(json_object_get(report, "image")));
        json_array_foreach(json_object_get(report, "contestants"), i, contestant)
                text_printf(&lines, "\t%s", json_string_value(json_object_get(contestant, "name")));
        text_append(&lines, "\n");
        json_array_foreach(json_object_get(report, "measurements"), i, measurement) {
                text_append(&lines, json_string_value(json_object_get(measurement, "title")));
                json_array_foreach(json_object_get(measurement, "cells"), j, cell)
                        print_cell(&lines, cell, &notes);
                text_append(&lines, "\n");
        }
        if (text_failed(&lines))
                return error_memory(err);
        int r = table_print(lines.data, stdout, err);
        for (i = 0; !r && notes && notes[i]; i++)
                printf("%s(%zu) %s\n", i ? "" : "\n", i + 1, notes[i]);
        return r;
}

/* On a terminal, what is going on: a comparison takes a while. */
static void tell(const char *contestant, const char *measurement)
{
        fprintf(stderr, "\r\033[K%s: %s ...", contestant, measurement);
}

static int compare(struct call *call, void *target, struct error *err)
{
        const struct compare_options *options = target;
        if (options->format && strcmp(options->format, "table") != 0 && strcmp(options->format, "json") != 0)
                return error_set(err, -EINVAL, "--format \"%s\" is neither table nor json", options->format);
        if (options->ready_port && options->ready_command)
                return error_set(err, -EINVAL, "--ready-port and --ready-command exclude each other");
        char **command = call->operands + 1;
        struct compare_settings settings = {
                .image = call->operands[0],
                .command = *command ? command : NULL,
                .runs = options->runs,
                .ready_port = options->ready_port,
                .ready_command = options->ready_command,
                .kernel = options->kernel,
                .timeout = options->timeout,
                .only = options->only,
                .no_faults = options->no_faults,
                .tell = isatty(STDERR_FILENO) ? tell : NULL,
        };
        json_t *made = NULL;
        int r = call_host(call, &settings.host, err);
        if (!r)
                r = compare_run(&settings, &made, err);
        if (r == -ENOENT && image_bring(call, settings.image, err) > 0)
                r = compare_run(&settings, &made, err);
        _cleanup_json_ json_t *report = made;
        if (settings.tell)
                fputs("\r\033[K", stderr);
        if (r < 0)
                return r;
        return options->format && !strcmp(options->format, "json") ? object_print(report, NULL, stdout, err)
                                                                   : print_table(report, err);
}

const struct command command_compare = {
        .summary = "Run an image in each vessel of this host and show what each costs",
        .usage = "IMAGE [-- PROGRAM [ARGUMENT...]]",
        .description =
                "Measures size, start, memory, loads against the host itself, and what a fault inside does to a\n"
                "neighbour, in instances of their own that are removed afterwards. A cell that could not be\n"
                "measured says why. Memory is PSS of an instance that waits; starts are medians.\n\n"
                "    onggi compare onggi/base\n"
                "    onggi compare --ready-port 80 WEBSERVER\n"
                "    onggi compare onggi/base --format json -- echo hello",
        .min = 1,
        .max = OPERANDS_MAX,
        .operands = OPERAND_IMAGE,
        .options = compare_tables,
        .options_size = sizeof(struct compare_options),
        .prepare = prepare,
        .run = compare,
};
