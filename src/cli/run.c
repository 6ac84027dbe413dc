/* SPDX-License-Identifier: GPL-2.0-or-later */
/* run, create, update: the commands that describe an instance. */
#include <errno.h>
#include <stdio.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/text.h"
#include "cli/instance_options.h"
#include "cli/rooms.h"
#include "cli/verbs.h"
#include "instance/instance.h"

struct run_options {
        struct instance_settings settings; /* first: the tables of instance_options.h fill it */
        const char *entrypoint;
        bool detach, signal_proxy;
        const char *detach_keys;
};

static const struct option_spec entrypoint_option_table[] = {
        { "entrypoint", 0, OPTION_STRING, offsetof(struct run_options, entrypoint), "PROGRAM",
          "program instead of the image's" },
        { 0 },
};

static const struct option_spec run_option_table[] = {
        { "detach", 'd', OPTION_FLAG, offsetof(struct run_options, detach), NULL,
          "leave it in the background and print its id" },
        { "detach-keys", 0, OPTION_STRING, offsetof(struct run_options, detach_keys), "KEYS",
          "what to press to leave it (ctrl-p,ctrl-q)" },
        { "sig-proxy", 0, OPTION_FLAG, offsetof(struct run_options, signal_proxy), NULL,
          "pass signals on to it; on unless =false" },
        { 0 },
};

#define SETTING_TABLES                                                                                                 \
        program_option_table, entrypoint_option_table, file_option_table, network_option_table, limit_option_table,    \
                fixed_limit_option_table, right_option_table, care_option_table

static const struct option_spec *const run_tables[] = { run_option_table, SETTING_TABLES, NULL };
static const struct option_spec *const create_tables[] = { SETTING_TABLES, NULL };
static const struct option_spec *const update_tables[] = { limit_option_table, NULL };

static void prepare(void *target)
{
        struct run_options *options = target;
        options->settings = instance_settings_default();
        options->signal_proxy = true;
}

static void release(void *target)
{
        struct run_options *options = target;
        instance_settings_free(&options->settings);
}

/* The operands and --entrypoint, which is one word where an image's may be several. */
static int complete_settings(struct call *call, struct run_options *options, struct error *err)
{
        struct instance_settings *settings = &options->settings;
        settings->image = call->operands[0];
        settings->command = call->operand_count > 1 ? list_copy(call->operands + 1) : NULL;
        if ((call->operand_count > 1 && !settings->command) ||
            (options->entrypoint && list_append(&settings->entrypoint, options->entrypoint) < 0))
                return error_memory(err);
        return 0;
}

static int run(struct call *call, void *target, struct error *err)
{
        struct run_options *options = target;
        struct attachment attachment = {
                .streams = true,
                .input = options->settings.interactive,
                .signal_proxy = options->signal_proxy,
                .detach_keys = options->detach_keys,
        };
        struct host *host;
        int r = complete_settings(call, options, err);
        if (!r && !options->detach && options->settings.tty && options->settings.interactive && !isatty(STDIN_FILENO))
                return error_set(err, -ENOTTY, "-it needs a terminal as standard input; leave out -t, or use -d");
        if (!r)
                r = call_host(call, &host, err);
        if (r < 0)
                return r;

        _cleanup_free_ char *id = NULL;
        int status = 0;
        r = instance_run(host, &options->settings, options->detach, &attachment, &id, &status, err);
        if (r == -ENOENT && image_bring(call, options->settings.image, err) > 0)
                r = instance_run(host, &options->settings, options->detach, &attachment, &id, &status, err);
        if (r < 0) {
                call->failure_status = status > 0 ? status : STATUS_RUN_FAILED;
                return r;
        }
        if (options->detach)
                puts(id);
        /* Left with the detach keys: it goes on without us. */
        return status < 0 ? 0 : status;
}

static int create(struct call *call, void *target, struct error *err)
{
        struct run_options *options = target;
        struct host *host;
        struct instance *instance;
        int r = complete_settings(call, options, err);
        if (!r)
                r = call_host(call, &host, err);
        if (!r)
                r = instance_create(host, &options->settings, true, &instance, err);
        if (r == -ENOENT && image_bring(call, options->settings.image, err) > 0)
                r = instance_create(host, &options->settings, true, &instance, err);
        if (r < 0)
                return r;
        puts(instance->id);
        instance_free(instance);
        return 0;
}

static int update_one(struct instance *instance, void *context, struct error *err)
{
        return instance_update(instance, context, err);
}

static int update(struct call *call, void *target, struct error *err)
{
        struct run_options *options = target;
        (void)err;
        return call_each_instance(call, update_one, &options->settings);
}

const struct command command_run = {
        .summary = "Create an instance of an image and run a program in it",
        .usage = "IMAGE [PROGRAM [ARGUMENT...]]",
        .description = "The exit status is the program's own; 128 and the signal's number where a signal ended it;\n"
                       "127 if the program is not found, 126 if it cannot be executed, 125 if onggi itself failed.\n\n"
                       "    onggi run --rm onggi/base echo hello\n"
                       "    onggi run -d --name web -p 8080:80 -v /srv/www:/www:ro --memory 64m WEBSERVER",
        .min = 1,
        .max = OPERANDS_MAX,
        .operands = OPERAND_IMAGE,
        .in_order = true,
        .failure_status = STATUS_RUN_FAILED,
        .options = run_tables,
        .options_size = sizeof(struct run_options),
        .prepare = prepare,
        .release = release,
        .run = run,
};

const struct command command_create = {
        .summary = "Create an instance of an image, to be started later",
        .usage = "IMAGE [PROGRAM [ARGUMENT...]]",
        .description = "Prints the instance's id. `onggi start` starts it.",
        .min = 1,
        .max = OPERANDS_MAX,
        .operands = OPERAND_IMAGE,
        .in_order = true,
        .failure_status = STATUS_RUN_FAILED,
        .options = create_tables,
        .options_size = sizeof(struct run_options),
        .prepare = prepare,
        .release = release,
        .run = create,
};

const struct command command_update = {
        .summary = "Change the limits of instances, also while they run",
        .usage = "INSTANCE [INSTANCE...]",
        .description = "The new limits outlast a restart.",
        .min = 1,
        .max = OPERANDS_MAX,
        .operands = OPERAND_INSTANCE,
        .options = update_tables,
        .options_size = sizeof(struct run_options),
        .prepare = prepare,
        .release = release,
        .run = update,
};
