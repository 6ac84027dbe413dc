/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "instance/events.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/json.h"
#include "base/text.h"
#include "cli/output.h"
#include "cli/verbs.h"
#include "instance/timestamp.h"

struct events_options {
        const char *since, *until, *format;
        char **filters;
};

static const struct option_spec events_option_table[] = {
        { "filter", 'f', OPTION_LIST, offsetof(struct events_options, filters), "KEY=VALUE",
          "only what fits: type, event, container, image, volume, network, label" },
        { "format", 0, OPTION_STRING, offsetof(struct events_options, format), "FORMAT",
          "json, or a template such as {{.Action}}" },
        { "since", 0, OPTION_STRING, offsetof(struct events_options, since), "TIME",
          "begin with what happened since: a date and time, or 10m" },
        { "until", 0, OPTION_STRING, offsetof(struct events_options, until), "TIME", "end at that time" },
        { 0 },
};
static const struct option_spec *const events_tables[] = { events_option_table, NULL };

struct printer {
        const char *format;
        struct error err; /* what the format has to say; events_read() knows nothing of it */
};

static const char *member(const json_t *event, const char *key)
{
        const char *text = json_string_value(json_object_get(event, key));
        return text ? text : "";
}

/* What templates call a field where JSON calls it otherwise: Go's name of it. */
static void add_template_names(json_t *object)
{
        static const char *const names[][2] = {
                { "Status", "status" }, { "From", "from" }, { "ID", "id" },
                { "Scope", "scope" },   { "Time", "time" }, { "TimeNano", "timeNano" }
        };
        for (size_t i = 0; i < ARRAY_SIZE(names); i++)
                json_object_set(object, names[i][0], json_object_get(object, names[i][1]));
}

/* With docker's names; the short ones of its older interface are still what scripts read. */
static json_t *describe(const json_t *event)
{
        struct timespec time = { 0 };
        timestamp_parse(member(event, "time"), &time);
        json_t *attributes = json_object_get(event, "attributes");
        json_t *actor = json_object(), *object = json_object();
        json_object_set_new(actor, "ID", json_string(member(event, "id")));
        json_object_set_new(actor, "Attributes", attributes ? json_incref(attributes) : json_object());
        json_object_set_new(object, "status", json_string(member(event, "Action")));
        json_object_set_new(object, "id", json_string(member(event, "id")));
        json_object_set_new(object, "from", json_string(member(attributes, "image")));
        json_object_set_new(object, "Type", json_string(member(event, "Type")));
        json_object_set_new(object, "Action", json_string(member(event, "Action")));
        json_object_set_new(object, "Actor", actor);
        json_object_set_new(object, "scope", json_string("local"));
        json_object_set_new(object, "time", json_integer(time.tv_sec));
        json_object_set_new(object, "timeNano", json_integer((json_int_t)time.tv_sec * 1000000000 + time.tv_nsec));
        return object;
}

static void print_line(const json_t *event)
{
        printf("%s %s %s %s", member(event, "time"), member(event, "Type"), member(event, "Action"),
               member(event, "id"));
        const char *key, *separator = " (";
        json_t *value;
        json_object_foreach(json_object_get(event, "attributes"), key, value) {
                _cleanup_free_ char *number = json_is_string(value) ? NULL : json_dumps(value, JSON_ENCODE_ANY);
                printf("%s%s=%s", separator, key, number ? number : json_string_value(value));
                separator = ", ";
        }
        puts(*separator == ' ' ? "" : ")");
}

static int print(const json_t *event, void *context)
{
        struct printer *printer = context;
        int r = 0;
        if (printer->format) {
                _cleanup_json_ json_t *described = describe(event);
                if (strcmp(printer->format, "json") != 0)
                        add_template_names(described);
                r = described ? object_print(described, printer->format, stdout, &printer->err)
                              : error_memory(&printer->err);
        } else {
                print_line(event);
        }
        return r < 0 ? r : fflush(stdout) ? -EIO : 0;
}

static int parse_time(const char *option, const char *text, struct timespec *time, struct error *err)
{
        if (text && timestamp_parse_loose(text, time) < 0)
                return error_set(err, -EINVAL,
                                 "%s takes a time such as 2026-01-02T03:04:05Z, 1767322800 or 10m, not \"%s\"", option,
                                 text);
        return 0;
}

static int events(struct call *call, void *target, struct error *err)
{
        const struct events_options *options = target;
        struct event_query query = { .filters = options->filters };
        struct host *host;
        int r = parse_time("--since", options->since, &query.since, err);
        if (!r)
                r = parse_time("--until", options->until, &query.until, err);
        if (!r)
                r = call_host(call, &host, err);
        if (r < 0)
                return r;
        struct printer printer = { .format = options->format };
        r = events_read(host, &query, print, &printer, err);
        if (printer.err.code)
                *err = printer.err;
        return r;
}

const struct command command_events = {
        .summary = "Show what happens, until interrupted",
        .usage = "",
        .description = "    onggi events --since 1h --until 0s --filter event=die",
        .options = events_tables,
        .options_size = sizeof(struct events_options),
        .run = events,
};
