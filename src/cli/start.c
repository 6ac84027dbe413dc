/* SPDX-License-Identifier: GPL-2.0-or-later */
/* start, attach, wait: the commands that follow an instance to its end. */
#include <errno.h>
#include <stdio.h>

#include "cli/verbs.h"
#include "instance/instance.h"

struct attach_options {
        bool attach, interactive, all; /* of start */
        char **filters;
        bool no_input, signal_proxy;
        const char *detach_keys;
};

static const struct option_spec start_option_table[] = {
        { "attach", 'a', OPTION_FLAG, offsetof(struct attach_options, attach), NULL,
          "show its output and wait for its end" },
        { "interactive", 'i', OPTION_FLAG, offsetof(struct attach_options, interactive), NULL,
          "pass standard input on, too" },
        { "all", 0, OPTION_FLAG, offsetof(struct attach_options, all), NULL, "all that do not run" },
        { "filter", 'f', OPTION_LIST, offsetof(struct attach_options, filters), "KEY=VALUE",
          "with --all: only those that fit, as for `ps`" },
        { 0 },
};
static const struct option_spec attach_option_table[] = {
        { "no-stdin", 0, OPTION_FLAG, offsetof(struct attach_options, no_input), NULL,
          "do not pass standard input on" },
        { 0 },
};
static const struct option_spec common_option_table[] = {
        { "detach-keys", 0, OPTION_STRING, offsetof(struct attach_options, detach_keys), "KEYS",
          "what to press to leave it (ctrl-p,ctrl-q)" },
        { "sig-proxy", 0, OPTION_FLAG, offsetof(struct attach_options, signal_proxy), NULL,
          "pass signals on to it; on unless =false" },
        { 0 },
};
static const struct option_spec *const start_tables[] = { start_option_table, common_option_table, NULL };
static const struct option_spec *const attach_tables[] = { attach_option_table, common_option_table, NULL };

static void prepare(void *target)
{
        struct attach_options *options = target;
        options->signal_proxy = true;
}

static int find(struct call *call, const char *name, struct instance **instance, struct error *err)
{
        struct host *host;
        int r = call_host(call, &host, err);
        return r < 0 ? r : instance_find(host, name, instance, err);
}

/* The status to exit with after an attachment: a detach is no failure. */
static int finish(int r, int exit_code)
{
        if (r < 0)
                return r;
        return exit_code < 0 ? 0 : exit_code;
}

static int start_one(struct instance *instance, void *context, struct error *err)
{
        (void)context;
        return instance_start(instance, err);
}

/* Oldest first: an instance that shares something of another's was created after it. */
static int start_all(struct call *call, char *const *filters, struct error *err)
{
        const struct instance_filter filter = { .all = true, .filters = filters };
        struct host *host;
        struct instance **list;
        size_t count;
        int r = call_host(call, &host, err);
        if (!r)
                r = instance_list(host, &filter, &list, &count, err);
        if (r < 0)
                return r;
        int status = 0;
        for (size_t i = count; i-- > 0;) {
                struct error own = { 0 };
                if (list[i]->run)
                        continue;
                if (!instance_start(list[i], &own)) {
                        puts(list[i]->name);
                        continue;
                }
                error_prefix(&own, "instance %s", list[i]->name);
                report(&own);
                status = call->failure_status;
        }
        instance_list_free(list, count);
        return status;
}

static int start(struct call *call, void *target, struct error *err)
{
        const struct attach_options *options = target;
        if (options->all && (call->operand_count || options->attach || options->interactive))
                return error_set(err, -EINVAL, "start --all takes no instances and does not attach");
        if (options->filters && !options->all)
                return error_set(err, -EINVAL, "start --filter needs --all");
        if (options->all)
                return start_all(call, options->filters, err);
        if (!call->operand_count)
                return error_set(err, -EINVAL, "start needs an instance, or --all; `onggi start --help` tells more");
        if (!options->attach && !options->interactive)
                return call_each_instance(call, start_one, NULL);
        if (call->operand_count > 1)
                return error_set(err, -EINVAL, "start --attach takes one instance");

        const struct attachment attachment = {
                .streams = true,
                .input = options->interactive,
                .signal_proxy = options->signal_proxy,
                .detach_keys = options->detach_keys,
        };
        struct instance *instance;
        int exit_code = 0;
        int r = find(call, call->operands[0], &instance, err);
        if (r < 0)
                return r;
        r = instance_start_attached(instance, &attachment, &exit_code, err);
        instance_free(instance);
        return finish(r, exit_code);
}

static int attach(struct call *call, void *target, struct error *err)
{
        const struct attach_options *options = target;
        const struct attachment attachment = {
                .streams = true,
                .input = !options->no_input,
                .signal_proxy = options->signal_proxy,
                .detach_keys = options->detach_keys,
        };
        struct instance *instance;
        int exit_code = 0;
        int r = find(call, call->operands[0], &instance, err);
        if (r < 0)
                return r;
        r = instance_attach(instance, &attachment, &exit_code, err);
        instance_free(instance);
        return finish(r, exit_code);
}

static int wait_for(struct call *call, const char *name, void *context, struct error *err)
{
        (void)context;
        struct instance *instance;
        int exit_code = 0;
        int r = find(call, name, &instance, err);
        if (r < 0)
                return r;
        r = instance_wait(instance, &exit_code, err);
        instance_free(instance);
        if (!r) {
                printf("%d\n", exit_code);
                fflush(stdout);
        }
        return r;
}

static int wait(struct call *call, void *target, struct error *err)
{
        (void)target;
        (void)err;
        return call_each(call, wait_for, NULL);
}

const struct command command_start = {
        .summary = "Start instances that do not run",
        .usage = "INSTANCE [INSTANCE...] | --all",
        .description = "With --attach the exit status is the program's own.\n\n"
                       "onggi-restart.service calls this at boot, when it is enabled:\n\n"
                       "    onggi start --all --filter should-start-on-boot=true",
        .max = OPERANDS_MAX,
        .operands = OPERAND_INSTANCE,
        .options = start_tables,
        .options_size = sizeof(struct attach_options),
        .prepare = prepare,
        .run = start,
};

const struct command command_attach = {
        .summary = "Take part in a running instance with this terminal",
        .usage = "INSTANCE",
        .description = "Ends with the instance, with its exit status, or by the detach keys, with 0.",
        .min = 1,
        .max = 1,
        .operands = OPERAND_RUNNING,
        .options = attach_tables,
        .options_size = sizeof(struct attach_options),
        .prepare = prepare,
        .run = attach,
};

const struct command command_wait = {
        .summary = "Wait until instances exit and print their exit statuses",
        .usage = "INSTANCE [INSTANCE...]",
        .min = 1,
        .max = OPERANDS_MAX,
        .operands = OPERAND_RUNNING,
        .run = wait,
};
