/* SPDX-License-Identifier: GPL-2.0-or-later */
/* pause, unpause, rm, rename. */
#include "instance/instance.h"

#include <errno.h>

#include "cli/verbs.h"

static int pause_one(struct instance *instance, void *context, struct error *err)
{
        (void)context;
        return instance_pause(instance, err);
}

static int unpause_one(struct instance *instance, void *context, struct error *err)
{
        (void)context;
        return instance_unpause(instance, err);
}

static int pause_all(struct call *call, void *target, struct error *err)
{
        (void)target;
        (void)err;
        return call_each_instance(call, pause_one, NULL);
}

static int unpause_all(struct call *call, void *target, struct error *err)
{
        (void)target;
        (void)err;
        return call_each_instance(call, unpause_one, NULL);
}

struct remove_options {
        bool force, volumes;
};

static const struct option_spec remove_option_table[] = {
        { "force", 'f', OPTION_FLAG, offsetof(struct remove_options, force), NULL,
          "kill those that run; one that is gone is no failure" },
        { "volumes", 'v', OPTION_FLAG, offsetof(struct remove_options, volumes), NULL,
          "remove their anonymous volumes, too" },
        { 0 },
};
static const struct option_spec *const remove_tables[] = { remove_option_table, NULL };

static int remove_one(struct call *call, const char *name, void *context, struct error *err)
{
        const struct remove_options *options = context;
        struct host *host;
        struct instance *instance;
        int r = call_host(call, &host, err);
        if (!r)
                r = instance_find(host, name, &instance, err);
        if (r == -ENOENT && options->force) {
                report(err);
                return 0;
        }
        if (r < 0)
                return r;
        r = instance_remove(instance, options->force, options->volumes, err);
        instance_free(instance);
        if (!r)
                puts(name);
        return r;
}

static int remove_all(struct call *call, void *target, struct error *err)
{
        (void)err;
        return call_each(call, remove_one, target);
}

static int rename_one(struct call *call, void *target, struct error *err)
{
        (void)target;
        struct host *host;
        struct instance *instance;
        int r = call_host(call, &host, err);
        if (!r)
                r = instance_find(host, call->operands[0], &instance, err);
        if (r < 0)
                return r;
        r = instance_rename(instance, call->operands[1], err);
        instance_free(instance);
        return r;
}

const struct command command_pause = {
        .summary = "Freeze instances",
        .usage = "INSTANCE [INSTANCE...]",
        .min = 1,
        .max = OPERANDS_MAX,
        .operands = OPERAND_RUNNING,
        .run = pause_all,
};

const struct command command_unpause = {
        .summary = "Let frozen instances go on",
        .usage = "INSTANCE [INSTANCE...]",
        .min = 1,
        .max = OPERANDS_MAX,
        .operands = OPERAND_RUNNING,
        .run = unpause_all,
};

const struct command command_remove = {
        .summary = "Remove instances",
        .usage = "INSTANCE [INSTANCE...]",
        .min = 1,
        .max = OPERANDS_MAX,
        .operands = OPERAND_INSTANCE,
        .options = remove_tables,
        .options_size = sizeof(struct remove_options),
        .run = remove_all,
};

const struct command command_rename = {
        .summary = "Give an instance another name",
        .usage = "INSTANCE NAME",
        .min = 2,
        .max = 2,
        .operands = OPERAND_INSTANCE,
        .run = rename_one,
};
