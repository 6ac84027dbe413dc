/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "base/json.h"
#include "cli/output.h"
#include "cli/verbs.h"
#include "instance/instance.h"

struct ps_options {
        struct listing_options listing; /* first */
        bool all, latest, size;
        int64_t last;
};

static const struct option_spec ps_option_table[] = {
        { "all", 'a', OPTION_FLAG, offsetof(struct ps_options, all), NULL, "those that do not run, too" },
        { "last", 'n', OPTION_NUMBER, offsetof(struct ps_options, last), "N",
          "only the last N created, whether they run or not" },
        { "latest", 'l', OPTION_FLAG, offsetof(struct ps_options, latest), NULL, "only the last created" },
        { "size", 's', OPTION_FLAG, offsetof(struct ps_options, size), NULL, "how much each has written" },
        { 0 },
};
static const struct option_spec *const ps_tables[] = { ps_option_table, listing_option_table, NULL };

static int ps(struct call *call, void *target, struct error *err)
{
        const struct ps_options *options = target;
        const struct instance_filter filter = {
                .all = options->all,
                .last = options->latest ? 1 : options->last,
                .filters = options->listing.filters,
        };
        const struct column columns[] = {
                { "ID", "INSTANCE ID", SHORTEN_ID, false },
                { "Image", NULL, SHORTEN_NOT, false },
                { "Command", NULL, SHORTEN_TEXT, false },
                { "RunningFor", "CREATED", SHORTEN_NOT, false },
                { "Status", NULL, SHORTEN_NOT, false },
                { "Isolation", NULL, SHORTEN_NOT, false },
                { "Engine", NULL, SHORTEN_NOT, false },
                { "Ports", NULL, SHORTEN_NOT, false },
                { "Names", NULL, SHORTEN_NOT, false },
                { "Size", NULL, SHORTEN_NOT, !options->size },
                { 0 },
        };
        const struct listing listing = { "ID", columns };
        struct host *host;
        struct instance **list;
        size_t count;
        int r = call_host(call, &host, err);
        if (!r)
                r = instance_list(host, &filter, &list, &count, err);
        if (r < 0)
                return r;

        _cleanup_json_ json_t *rows = json_array();
        for (size_t i = 0; !r && i < count; i++) {
                json_t *row = instance_summary(list[i], options->size);
                if (!row || json_array_append_new(rows, row))
                        r = error_memory(err);
        }
        instance_list_free(list, count);
        return r < 0 ? r : listing_print(&listing, rows, &options->listing, stdout, err);
}

const struct command command_ps = {
        .summary = "List instances",
        .usage = "",
        .description = "Filters: id, name, label, status, exited, ancestor, volume, network, health, before, since,\n"
                       "publish, expose, restart-policy, should-start-on-boot (true or false).\n\n"
                       "    onggi ps --all --filter status=exited --format '{{.Names}}'",
        .options = ps_tables,
        .options_size = sizeof(struct ps_options),
        .run = ps,
};
