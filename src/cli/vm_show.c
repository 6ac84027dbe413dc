/* SPDX-License-Identifier: GPL-2.0-or-later */
/* vm ls, inspect, stats, console. */
#include <errno.h>
#include <stdio.h>

#include "base/json.h"
#include "cli/filter.h"
#include "cli/output.h"
#include "cli/verbs.h"
#include "cli/vm.h"

/* ---- ls ---- */

struct list_options {
        struct listing_options listing; /* first */
        bool all;
};

static const struct option_spec list_option_table[] = {
        { "all", 'a', OPTION_FLAG, offsetof(struct list_options, all), NULL, "those that do not run, too (always so)" },
        { 0 },
};
static const struct option_spec *const list_tables[] = { list_option_table, listing_option_table, NULL };

static const struct column columns[] = {
        { "ID", "MACHINE ID", SHORTEN_ID, false },
        { "Names", "NAME", SHORTEN_NOT, false },
        { "Status", NULL, SHORTEN_NOT, false },
        { "Engine", NULL, SHORTEN_NOT, false },
        { "CPUs", "CPUS", SHORTEN_NOT, false },
        { "Memory", NULL, SHORTEN_NOT, false },
        { "Network", NULL, SHORTEN_NOT, false },
        { "Address", NULL, SHORTEN_NOT, false },
        { "Ports", NULL, SHORTEN_NOT, false },
        { "RunningFor", "CREATED", SHORTEN_NOT, true },
        { 0 },
};
static const struct listing listing = { "ID", columns };

static const struct filter_key filter_keys[] = {
        { "id", "ID", FILTER_START },           { "name", "Names", FILTER_PART },   { "status", "State", FILTER_EXACT },
        { "network", "Network", FILTER_EXACT }, { "label", "Labels", FILTER_PART }, { 0 },
};

static int list(struct call *call, void *target, struct error *err)
{
        const struct list_options *options = target;
        _cleanup_json_ json_t *rows = json_array();
        struct host *host;
        struct vm **machines;
        size_t count;
        int r = call_host(call, &host, err);
        if (!r)
                r = vm_list(host, &machines, &count, err);
        if (r < 0)
                return r;
        for (size_t i = 0; !r && i < count; i++)
                if (json_array_append_new(rows, vm_summary(machines[i])))
                        r = error_memory(err);
        vm_list_free(machines, count);
        if (!r)
                r = filter_apply(rows, options->listing.filters, filter_keys, err);
        return r < 0 ? r : listing_print(&listing, rows, &options->listing, stdout, err);
}

/* ---- inspect, stats ---- */

struct object_options {
        const char *format;
};

static const struct option_spec object_option_table[] = {
        { "format", 'f', OPTION_STRING, offsetof(struct object_options, format), "FORMAT",
          "json, or a template such as '{{.State.Status}}'" },
        { 0 },
};
static const struct option_spec *const object_tables[] = { object_option_table, NULL };

struct reading {
        int (*read)(const struct vm *vm, json_t **object, struct error *err);
        json_t *objects;
};

static int read_one(struct call *call, const char *name, void *context, struct error *err)
{
        const struct reading *reading = context;
        _cleanup_vm_ struct vm *vm = NULL;
        json_t *object = NULL;
        int r = call_vm(call, name, &vm, err);
        if (!r)
                r = reading->read(vm, &object, err);
        if (!r && json_array_append_new(reading->objects, object))
                r = error_memory(err);
        return r;
}

static int show(struct call *call, const struct object_options *options,
                int (*read)(const struct vm *vm, json_t **object, struct error *err), struct error *err)
{
        _cleanup_json_ json_t *objects = json_array();
        struct reading reading = { read, objects };
        int status = call_each(call, read_one, &reading);
        int r = objects_print(objects, options->format, stdout, err);
        return r < 0 ? r : status;
}

static int inspect(struct call *call, void *target, struct error *err)
{
        return show(call, target, vm_inspect, err);
}

static int stats(struct call *call, void *target, struct error *err)
{
        return show(call, target, vm_statistics, err);
}

/* ---- console ---- */

static int console(struct call *call, void *target, struct error *err)
{
        _cleanup_vm_ struct vm *vm = NULL;
        bool escaped;
        (void)target;
        int r = call_vm(call, call->operands[0], &vm, err);
        return r < 0 ? r : vm_console(vm, &escaped, err);
}

/* ---- The commands ---- */

const struct command command_vm_list = {
        .summary = "List virtual machines",
        .usage = "",
        .description = "All of them, whether they run or not. Instances of images are listed by `onggi ps`, those\n"
                       "in virtual machines too.\n\n"
                       "Filters: id, name, status (created, running, paused, exited), network, label.",
        .options = list_tables,
        .options_size = sizeof(struct list_options),
        .run = list,
};

const struct command command_vm_inspect = {
        .summary = "Show all about virtual machines",
        .usage = "MACHINE [MACHINE...]",
        .description = "State.Reason says how the last run ended: power-off, reset, exit (the debug-exit port),\n"
                       "stopped, triple-fault, failed, killed or out-of-memory.\n\n"
                       "    onggi vm inspect --format '{{.State.Reason}}: {{.State.Error}}' bsd",
        .min = 1,
        .max = OPERANDS_MAX,
        .operands = OPERAND_MACHINE,
        .options = object_tables,
        .options_size = sizeof(struct object_options),
        .run = inspect,
};

const struct command command_vm_stats = {
        .summary = "Show the counters of virtual machines that run",
        .usage = "MACHINE [MACHINE...]",
        .description = "Exits of the processors by reason, accesses to devices, and what the process uses.",
        .min = 1,
        .max = OPERANDS_MAX,
        .operands = OPERAND_MACHINE,
        .options = object_tables,
        .options_size = sizeof(struct object_options),
        .run = stats,
};

const struct command command_vm_console = {
        .summary = "Use the console of a virtual machine",
        .usage = "MACHINE",
        .description = "The newest 64 KiB of what the machine has said come first. ^] leaves the console.\n"
                       "Several may look at once.",
        .min = 1,
        .max = 1,
        .operands = OPERAND_MACHINE,
        .run = console,
};
