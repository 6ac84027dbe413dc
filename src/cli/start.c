/* SPDX-License-Identifier: GPL-2.0-or-later */
/* start, attach, wait: the commands that follow an instance to its end. */
#include <errno.h>
#include <stdio.h>

#include "cli/verbs.h"
#include "instance/instance.h"

struct attach_options {
        bool attach, interactive; /* of start */
        bool no_input, signal_proxy;
        const char *detach_keys;
};

static const struct option_spec start_option_table[] = {
        { "attach", 'a', OPTION_FLAG, offsetof(struct attach_options, attach), NULL,
          "show its output and wait for its end" },
        { "interactive", 'i', OPTION_FLAG, offsetof(struct attach_options, interactive), NULL,
          "pass standard input on, too" },
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

static int start(struct call *call, void *target, struct error *err)
{
        const struct attach_options *options = target;
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
        .usage = "INSTANCE [INSTANCE...]",
        .description = "With --attach the exit status is the program's own.",
        .min = 1,
        .max = OPERANDS_MAX,
        .operands = OPERAND_INSTANCE,
        .failure_status = STATUS_RUN_FAILED,
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
