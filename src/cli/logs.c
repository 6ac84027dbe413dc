/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/json.h"
#include "base/text.h"
#include "cli/verbs.h"
#include "instance/instance.h"
#include "instance/log.h"
#include "instance/timestamp.h"

struct logs_options {
        bool follow, timestamps, details;
        const char *tail, *since, *until;
};

static const struct option_spec logs_option_table[] = {
        { "follow", 'f', OPTION_FLAG, offsetof(struct logs_options, follow), NULL,
          "go on until the instance has exited" },
        { "timestamps", 't', OPTION_FLAG, offsetof(struct logs_options, timestamps), NULL,
          "put the time before each line" },
        { "details", 0, OPTION_FLAG, offsetof(struct logs_options, details), NULL,
          "put the labels and variables that --log-opt labels=… and env=… named before each line" },
        { "tail", 'n', OPTION_STRING, offsetof(struct logs_options, tail), "N", "only the last N lines (all)" },
        { "since", 0, OPTION_STRING, offsetof(struct logs_options, since), "TIME",
          "only what is newer: a date and time, or 10m for ten minutes" },
        { "until", 0, OPTION_STRING, offsetof(struct logs_options, until), "TIME", "only what is older" },
        { 0 },
};
static const struct option_spec *const logs_tables[] = { logs_option_table, NULL };

static int read_query(const struct logs_options *options, struct log_query *query, struct error *err)
{
        *query = (struct log_query){ .follow = options->follow, .tail = -1 };
        if (options->tail && strcmp(options->tail, "all") && parse_i64(options->tail, &query->tail) < 0)
                return error_set(err, -EINVAL, "--tail takes a whole number or \"all\", not \"%s\"", options->tail);
        const struct {
                const char *option, *text;
                struct timespec *time;
        } times[] = { { "since", options->since, &query->since }, { "until", options->until, &query->until } };
        for (size_t i = 0; i < ARRAY_SIZE(times); i++)
                if (times[i].text && timestamp_parse_loose(times[i].text, times[i].time) < 0)
                        return error_set(err, -EINVAL,
                                         "--%s takes a time such as 2026-01-02T03:04:05Z, 1767322800 or 10m, "
                                         "not \"%s\"",
                                         times[i].option, times[i].text);
        return 0;
}

struct printer {
        bool timestamps;
        char *details;     /* NULL: not wanted */
        bool open_line[3]; /* of each stream: a line feed is still to come */
};

static int print_entry(const struct log_entry *entry, void *context)
{
        struct printer *printer = context;
        FILE *out = entry->stream == 2 ? stderr : stdout;
        if (printer->timestamps && !printer->open_line[entry->stream]) {
                char time[TIMESTAMP_SIZE];
                timestamp_format(&entry->time, time);
                fprintf(out, "%s ", time);
        }
        if (printer->details && !printer->open_line[entry->stream])
                fprintf(out, "%s ", printer->details);
        fwrite(entry->text, 1, entry->length, out);
        if (entry->whole)
                putc('\n', out);
        printer->open_line[entry->stream] = !entry->whole;
        return ferror(out) ? -EIO : 0;
}

static const char *variable(const json_t *environment, const char *name)
{
        size_t length = strlen(name);
        for (size_t i = 0; i < json_array_size(environment); i++) {
                const char *entry = json_string_value(json_array_get(environment, i));
                if (entry && !strncmp(entry, name, length) && entry[length] == '=')
                        return entry + length + 1;
        }
        return NULL;
}

static void add_detail(struct text *text, const char *name, const char *value)
{
        if (value)
                text_printf(text, "%s%s=%s", text->length ? "," : "", name, value);
}

/* "a=1,b=2": docker's attributes of a log. */
static int describe_details(struct instance *instance, char **details, struct error *err)
{
        json_t *object = NULL;
        int r = instance_inspect(instance, false, &object, err);
        _cleanup_json_ json_t *owned = object;
        if (r < 0)
                return r;
        const json_t *config = json_object_get(object, "Config");
        const json_t *options =
                json_object_get(json_object_get(json_object_get(object, "HostConfig"), "LogConfig"), "Config");
        _cleanup_text_ struct text text = { 0 };
        static const char *const keys[] = { "labels", "env" };
        for (size_t i = 0; i < ARRAY_SIZE(keys); i++) {
                const char *names = json_string_value(json_object_get(options, keys[i]));
                _cleanup_free_ char *copy = strdup(names ? names : "");
                char *rest = copy, *name;
                while (rest && (name = strsep(&rest, ",")))
                        add_detail(&text, name,
                                   i ? variable(json_object_get(config, "Env"), name)
                                     : json_string_value(json_object_get(json_object_get(config, "Labels"), name)));
        }
        text_append(&text, "");
        *details = text_take(&text);
        return *details ? 0 : error_memory(err);
}

static int logs(struct call *call, void *target, struct error *err)
{
        const struct logs_options *options = target;
        struct log_query query;
        struct host *host;
        struct instance *instance;
        int r = read_query(options, &query, err);
        if (!r)
                r = call_host(call, &host, err);
        if (!r)
                r = instance_find(host, call->operands[0], &instance, err);
        if (r < 0)
                return r;

        /* Who follows wants each line when it is written. */
        if (options->follow)
                setvbuf(stdout, NULL, _IOLBF, 0);
        struct printer printer = { .timestamps = options->timestamps };
        r = options->details ? describe_details(instance, &printer.details, err) : 0;
        if (!r)
                r = log_read(instance, &query, print_entry, &printer, err);
        free(printer.details);
        instance_free(instance);
        if (r < 0 && !err->code)
                error_code(err, r, "cannot write the log");
        return r;
}

const struct command command_logs = {
        .summary = "Show what the program of an instance wrote",
        .usage = "INSTANCE",
        .description = "Its standard output goes to standard output, its standard error to standard error.",
        .min = 1,
        .max = 1,
        .operands = OPERAND_INSTANCE,
        .options = logs_tables,
        .options_size = sizeof(struct logs_options),
        .run = logs,
};
