/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <errno.h>
#include <stddef.h>
#include <unistd.h>

#include "cli/verbs.h"
#include "instance/instance.h"

static const struct option_spec exec_option_table[] = {
        { "detach", 'd', OPTION_FLAG, offsetof(struct exec_settings, detach), NULL, "leave it in the background" },
        { "interactive", 'i', OPTION_FLAG, offsetof(struct exec_settings, interactive), NULL,
          "pass standard input on" },
        { "tty", 't', OPTION_FLAG, offsetof(struct exec_settings, tty), NULL, "give it a terminal" },
        { "env", 'e', OPTION_LIST, offsetof(struct exec_settings, environment), "NAME[=VALUE]",
          "set a variable; without a value copy the caller's" },
        { "env-file", 0, OPTION_LIST, offsetof(struct exec_settings, environment_files), "FILE",
          "set the variables in a file, one a line" },
        { "workdir", 'w', OPTION_STRING, offsetof(struct exec_settings, workdir), "FOLDER",
          "folder in which it starts" },
        { "user", 'u', OPTION_STRING, offsetof(struct exec_settings, user), "USER[:GROUP]",
          "who runs it, by name or number" },
        { "privileged", 0, OPTION_FLAG, offsetof(struct exec_settings, privileged), NULL, "with all capabilities" },
        { "detach-keys", 0, OPTION_STRING, offsetof(struct exec_settings, detach_keys), "KEYS",
          "what to press to leave it (ctrl-p,ctrl-q)" },
        { 0 },
};
static const struct option_spec *const exec_tables[] = { exec_option_table, NULL };

static int execute(struct call *call, void *target, struct error *err)
{
        struct exec_settings *settings = target;
        struct host *host;
        struct instance *instance;
        settings->command = call->operands + 1;
        if (settings->tty && settings->interactive && !settings->detach && !isatty(STDIN_FILENO))
                return error_set(err, -ENOTTY, "-it needs a terminal as standard input; leave out -t");
        int r = call_host(call, &host, err);
        if (!r)
                r = instance_find(host, call->operands[0], &instance, err);
        if (r < 0)
                return r;

        int exit_code = 0;
        r = instance_exec(instance, settings, &exit_code, err);
        instance_free(instance);
        if (r < 0)
                call->failure_status = exit_code > 0 ? exit_code : STATUS_RUN_FAILED;
        return r < 0 ? r : exit_code < 0 ? 0 : exit_code;
}

const struct command command_exec = {
        .summary = "Run another program in a running instance",
        .usage = "INSTANCE PROGRAM [ARGUMENT...]",
        .description = "The exit status is the program's own, as with `onggi run`.",
        .min = 2,
        .max = OPERANDS_MAX,
        .operands = OPERAND_RUNNING,
        .in_order = true,
        .failure_status = STATUS_RUN_FAILED,
        .options = exec_tables,
        .options_size = sizeof(struct exec_settings),
        .run = execute,
};
