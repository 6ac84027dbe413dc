/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <errno.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/text.h"
#include "container/command.h"
#include "container/config.h"
#include "container/log.h"
#include "container/own_binary.h"
#include "container/runtime.h"

static const struct option_spec global_table[] = {
        { "root", 0, OPTION_STRING, offsetof(struct global_options, root), "FOLDER",
          "state of all containers (default: /run/onggi/runtime, or below $XDG_RUNTIME_DIR)" },
        { "log", 0, OPTION_STRING, offsetof(struct global_options, log), "FILE", "append warnings and errors to FILE" },
        { "log-format", 0, OPTION_STRING, offsetof(struct global_options, log_format), "FORMAT",
          "text (default) or json" },
        { "debug", 0, OPTION_FLAG, offsetof(struct global_options, debug), NULL, "log more" },
        { "systemd-cgroup", 0, OPTION_FLAG, offsetof(struct global_options, systemd_cgroup), NULL,
          "linux.cgroupsPath is \"slice:prefix:name\"" },
        { "rootless", 0, OPTION_STRING, offsetof(struct global_options, rootless), "WHEN",
          "true, false or auto (default): do without control groups that may not be made" },
        { "version", 'v', OPTION_FLAG, offsetof(struct global_options, version), NULL, "print the version" },
        { NULL },
};
static const struct option_spec *const global_tables[] = { global_table, NULL };

static const struct command *const commands[] = {
        &command_create, &command_start, &command_run,      &command_exec,       &command_state,   &command_list,
        &command_ps,     &command_kill,  &command_delete,   &command_pause,      &command_resume,  &command_update,
        &command_events, &command_spec,  &command_features, &command_checkpoint, &command_restore,
};

static void print_help(void)
{
        printf("usage: %s [options] COMMAND [options] [operands]\n\n"
               "%s, as the OCI runtime-spec " OCI_VERSION " describes them.\n\nCommands:\n",
               runtime.name, runtime.purpose);
        for (size_t i = 0; i < ARRAY_SIZE(commands); i++)
                if (commands[i]->help)
                        printf("  %-12s %s\n", commands[i]->name, commands[i]->help);
        printf("\nOptions:\n");
        options_help(global_tables, stdout);
}

int command_parse(const struct command *command, int argc, char **argv, void *target, char ***operands,
                  struct error *err)
{
        static const struct option_spec none[] = { { NULL } };
        const struct option_spec *tables[] = { command->options ? command->options : none, NULL };
        int first = argc;
        int r = options_parse(tables, command->in_order, argc, argv, target, &first, err);
        if (r < 0)
                return error_prefix(err, "%s", command->name);
        if (r) {
                printf("usage: %s %s %s%s\n\n%s\n", runtime.name, command->name, command->options ? "[options] " : "",
                       command->operands, command->help);
                if (command->options) {
                        printf("\n");
                        options_help(tables, stdout);
                }
                return 1;
        }
        int count = argc - first;
        if (count < command->fewest || (command->most >= 0 && count > command->most))
                return error_set(err, -EINVAL, "%s takes %s: %s %s %s", command->name,
                                 count < command->fewest ? "more operands" : "fewer operands", runtime.name,
                                 command->name, command->operands);
        *operands = argv + first;
        return 0;
}

static int settle(struct global_options *global, char **root, struct error *err)
{
        const char *when = global->rootless ? global->rootless : "auto";
        if (!strcmp(when, "true"))
                global->ordinary_user = true;
        else if (!strcmp(when, "auto"))
                global->ordinary_user = geteuid() != 0;
        else if (strcmp(when, "false"))
                return error_set(err, -EINVAL, "option --rootless takes true, false or auto, not \"%s\"", when);

        const char *format = global->log_format ? global->log_format : "text";
        bool json = !strcmp(format, "json");
        if (!json && strcmp(format, "text"))
                return error_set(err, -EINVAL, "option --log-format takes text or json, not \"%s\"", format);
        int r = log_open(global->log, json, global->debug, err);
        if (r < 0)
                return r;
        if (global->root && *global->root)
                return 0;
        const char *own = getenv("XDG_RUNTIME_DIR");
        *root = global->ordinary_user && own && *own ? text_format("%s/onggi/runtime", own)
                                                     : strdup("/run/onggi/runtime");
        global->root = *root;
        return *root ? 0 : error_memory(err);
}

static int dispatch(struct global_options *global, int argc, char **argv, char **all, struct error *err)
{
        for (size_t i = 0; i < ARRAY_SIZE(commands); i++) {
                const struct command *command = commands[i];
                if (strcmp(command->name, argv[0]))
                        continue;
                int r = command->protects && runtime.enters ? own_binary_protect(all, environ, err) : 0;
                return r < 0 ? r : command->run(global, command, argc, argv, err);
        }
        return error_set(err, -EINVAL, "unknown command \"%s\"; `%s --help` lists them", argv[0], runtime.name);
}

static int run(int argc, char **argv, struct error *err)
{
        struct global_options global = { 0 };
        _cleanup_free_ char *root = NULL;
        int first = argc;
        int r = options_parse(global_tables, true, argc, argv, &global, &first, err);
        if (r < 0)
                return r;
        if (global.version) {
                printf("%s version " ONGGI_VERSION "\nspec: " OCI_VERSION "\n", runtime.name);
                return 0;
        }
        if (r || first >= argc || !strcmp(argv[first], "help")) {
                print_help();
                return 0;
        }
        r = settle(&global, &root, err);
        return r < 0 ? r : dispatch(&global, argc - first, argv + first, argv, err);
}

int main(int argc, char **argv)
{
        struct error err = { 0 };
        int r = run(argc, argv, &err);
        if (fflush(stdout))
                r = error_errno(&err, "cannot write to standard output");
        if (r >= 0)
                return r;
        log_write(LOG_LEVEL_ERROR, "%s", err.text);
        dprintf(STDERR_FILENO, "%s: %s\n", runtime.name, err.text);
        return 1;
}
