/* SPDX-License-Identifier: GPL-2.0-or-later */
/* stop, restart, kill: the commands that send signals. */
#include <errno.h>
#include <limits.h>
#include <signal.h>

#include "base/process.h"
#include "cli/verbs.h"
#include "instance/instance.h"

struct stop_options {
        const char *signal_text;
        int64_t time;
        int signal; /* 0: its own stop signal */
};

static const struct option_spec stop_option_table[] = {
        { "time", 't', OPTION_NUMBER, offsetof(struct stop_options, time), "SECONDS",
          "when to kill what has not ended (10); -1: never" },
        { "timeout", 0, OPTION_NUMBER, offsetof(struct stop_options, time), "SECONDS", NULL },
        { 0 },
};
static const struct option_spec signal_option_table[] = {
        { "signal", 's', OPTION_STRING, offsetof(struct stop_options, signal_text), "SIGNAL",
          "signal to send, by name or number" },
        { 0 },
};
static const struct option_spec *const stop_tables[] = { signal_option_table, stop_option_table, NULL };
static const struct option_spec *const kill_tables[] = { signal_option_table, NULL };

/* Not given: the instance's own time, which instance_stop() takes -1 for; "never" is as long as can be said. */
static void prepare(void *target)
{
        struct stop_options *options = target;
        options->time = INT64_MIN;
}

static int read_options(struct stop_options *options, struct error *err)
{
        if (options->signal_text) {
                options->signal = signal_from_name(options->signal_text);
                if (options->signal < 0)
                        return error_set(err, -EINVAL, "\"%s\" is no signal; a name such as TERM or a number is wanted",
                                         options->signal_text);
        }
        if (options->time == INT64_MIN)
                options->time = -1;
        else if (options->time < 0 || options->time > INT_MAX)
                options->time = INT_MAX;
        return 0;
}

static int stop_one(struct instance *instance, void *context, struct error *err)
{
        const struct stop_options *options = context;
        return instance_stop(instance, options->signal, (int)options->time, err);
}

static int restart_one(struct instance *instance, void *context, struct error *err)
{
        const struct stop_options *options = context;
        return instance_restart(instance, options->signal, (int)options->time, err);
}

static int kill_one(struct instance *instance, void *context, struct error *err)
{
        const struct stop_options *options = context;
        return instance_kill(instance, options->signal ? options->signal : SIGKILL, err);
}

static int stop(struct call *call, void *target, struct error *err)
{
        int r = read_options(target, err);
        return r < 0 ? r : call_each_instance(call, stop_one, target);
}

static int restart(struct call *call, void *target, struct error *err)
{
        int r = read_options(target, err);
        return r < 0 ? r : call_each_instance(call, restart_one, target);
}

static int send_signal(struct call *call, void *target, struct error *err)
{
        int r = read_options(target, err);
        return r < 0 ? r : call_each_instance(call, kill_one, target);
}

const struct command command_stop = {
        .summary = "Stop instances",
        .usage = "INSTANCE [INSTANCE...]",
        .description =
                "Sends the stop signal (TERM unless the image or --stop-signal says otherwise) and, to what has\n"
                "not ended after a while, KILL.",
        .min = 1,
        .max = OPERANDS_MAX,
        .operands = OPERAND_RUNNING,
        .options = stop_tables,
        .options_size = sizeof(struct stop_options),
        .prepare = prepare,
        .run = stop,
};

const struct command command_restart = {
        .summary = "Stop instances and start them again",
        .usage = "INSTANCE [INSTANCE...]",
        .min = 1,
        .max = OPERANDS_MAX,
        .operands = OPERAND_INSTANCE,
        .options = stop_tables,
        .options_size = sizeof(struct stop_options),
        .prepare = prepare,
        .run = restart,
};

const struct command command_kill = {
        .summary = "Send a signal to instances, KILL unless another is named",
        .usage = "INSTANCE [INSTANCE...]",
        .min = 1,
        .max = OPERANDS_MAX,
        .operands = OPERAND_RUNNING,
        .options = kill_tables,
        .options_size = sizeof(struct stop_options),
        .run = send_signal,
};
