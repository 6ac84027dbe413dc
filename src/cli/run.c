/* SPDX-License-Identifier: GPL-2.0-or-later */
/* run, create, update: the commands that describe an instance. */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/utsname.h>
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
        bool detach, signal_proxy, quiet;
        const char *detach_keys, *platform;
        char **attach;
};

static const struct option_spec entrypoint_option_table[] = {
        { "entrypoint", 0, OPTION_STRING, offsetof(struct run_options, entrypoint), "PROGRAM",
          "program instead of the image's" },
        { 0 },
};

/* Of docker's, where images come from registries and run in emulators, too. */
static const struct option_spec creation_option_table[] = {
        { "attach", 'a', OPTION_LIST, offsetof(struct run_options, attach), "STREAM",
          "only that of stdin, stdout and stderr, instead of all" },
        { "pull", 0, OPTION_STRING, offsetof(struct run_options, settings.pull), "WHEN",
          "missing, or never: not even the image that comes with onggi" },
        { "platform", 0, OPTION_STRING, offsetof(struct run_options, platform), "PLATFORM",
          "what the image is made for; this host's is the only one" },
        { "quiet", 'q', OPTION_FLAG, offsetof(struct run_options, quiet), NULL, "tell nothing of how the image comes" },
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
        program_option_table, creation_option_table, entrypoint_option_table, file_option_table, network_option_table, \
                limit_option_table, fixed_limit_option_table, right_option_table, care_option_table

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
        list_free(options->attach);
}

static int check_platform(const char *platform, struct error *err)
{
        static const char *const names[][2] = { { "x86_64", "amd64" }, { "aarch64", "arm64" } };
        struct utsname machine;
        uname(&machine);
        const char *own = machine.machine;
        for (size_t i = 0; i < ARRAY_SIZE(names); i++)
                if (!strcmp(own, names[i][0]))
                        own = names[i][1];
        _cleanup_free_ char *full = text_format("linux/%s", own);
        if (!full)
                return error_memory(err);
        if (!platform || !strcmp(platform, full) || !strcmp(platform, own) || !strcmp(platform, "linux"))
                return 0;
        return error_set(err, -EINVAL, "--platform %s: this host runs programs of %s only", platform, full);
}

static int check_creation(const struct run_options *options, struct error *err)
{
        static const char *const streams[] = { "stdin", "stdout", "stderr", NULL };
        const char *pull = options->settings.pull;
        for (char *const *stream = options->attach; stream && *stream; stream++)
                if (!list_contains((char *const *)streams, *stream))
                        return error_set(err, -EINVAL, "--attach \"%s\" is none of stdin, stdout and stderr", *stream);
        if (options->attach && options->detach)
                return error_set(err, -EINVAL, "--attach and --detach exclude each other");
        if (pull && !strcmp(pull, "always"))
                return error_set(err, -EOPNOTSUPP,
                                 "--pull always: onggi fetches nothing from registries; `onggi load` takes archives");
        if (pull && strcmp(pull, "missing") != 0 && strcmp(pull, "never") != 0)
                return error_set(err, -EINVAL, "--pull \"%s\" is none of missing, never and always", pull);
        return check_platform(options->platform, err);
}

static bool attaches(const struct run_options *options, const char *stream)
{
        return !options->attach || list_contains(options->attach, stream);
}

/* Whether it is there now although it was not: the image that comes with onggi. */
static bool bring(struct call *call, const struct run_options *options, struct error *err)
{
        const char *pull = options->settings.pull;
        return !(pull && !strcmp(pull, "never")) && image_bring(call, options->settings.image, err) > 0;
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
        return check_creation(options, err);
}

static int run(struct call *call, void *target, struct error *err)
{
        struct run_options *options = target;
        struct attachment attachment = {
                .streams = true,
                .input = options->settings.interactive && attaches(options, "stdin"),
                .no_output = !attaches(options, "stdout"),
                .no_error = !attaches(options, "stderr"),
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
        if (r == -ENOENT && bring(call, options, err))
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
        if (r == -ENOENT && bring(call, options, err))
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
