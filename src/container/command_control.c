/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <errno.h>
#include <signal.h>
#include <stddef.h>

#include "base/process.h"
#include "container/command.h"
#include "container/container.h"
#include "container/runtime.h"

struct options {
        bool all, force;
};

static const struct option_spec kill_table[] = {
        { "all", 'a', OPTION_FLAG, offsetof(struct options, all), NULL, "to every process, not the first alone" },
        { NULL },
};

static const struct option_spec delete_table[] = {
        { "force", 'f', OPTION_FLAG, offsetof(struct options, force), NULL,
          "kill it first; an unknown container is success" },
        { NULL },
};

static int send_signal(const struct global_options *global, const struct command *command, int argc, char **argv,
                       struct error *err)
{
        struct options options = { 0 };
        char **operands;
        int r = command_parse(command, argc, argv, &options, &operands, err);
        if (r)
                return r < 0 ? r : 0;
        int signal = operands[1] ? signal_from_name(operands[1]) : SIGTERM;
        if (signal < 0)
                return error_set(err, -EINVAL, "unknown signal \"%s\"", operands[1]);
        return container_kill(global->root, operands[0], signal, options.all, err);
}

static int delete (const struct global_options *global, const struct command *command, int argc, char **argv,
                   struct error *err)
{
        struct options options = { 0 };
        char **operands;
        int r = command_parse(command, argc, argv, &options, &operands, err);
        if (r)
                return r < 0 ? r : 0;
        return container_delete(global->root, operands[0], options.force, err);
}

static int freeze(const struct global_options *global, const struct command *command, int argc, char **argv,
                  struct error *err)
{
        char **operands;
        int r = command_parse(command, argc, argv, NULL, &operands, err);
        if (r)
                return r < 0 ? r : 0;
        return container_freeze(global->root, operands[0], command == &command_pause, err);
}

static int refuse(const struct global_options *global, const struct command *command, int argc, char **argv,
                  struct error *err)
{
        (void)global, (void)argc, (void)argv;
        return error_set(err, -EOPNOTSUPP, "%s is not supported: %s does not save and load processes", command->name,
                         runtime.name);
}

const struct command command_kill = {
        .name = "kill",
        .operands = "ID [SIGNAL]",
        .help = "send a signal (default: SIGTERM) to a container",
        .options = kill_table,
        .fewest = 1,
        .most = 2,
        .run = send_signal,
};
const struct command command_delete = {
        .name = "delete",
        .operands = "ID",
        .help = "remove a stopped container",
        .options = delete_table,
        .fewest = 1,
        .most = 1,
        .run = delete,
};
const struct command command_pause = {
        .name = "pause",
        .operands = "ID",
        .help = "suspend all processes of a container",
        .fewest = 1,
        .most = 1,
        .run = freeze,
};
const struct command command_resume = {
        .name = "resume",
        .operands = "ID",
        .help = "let a paused container go on",
        .fewest = 1,
        .most = 1,
        .run = freeze,
};
const struct command command_checkpoint = { .name = "checkpoint", .most = -1, .run = refuse };
const struct command command_restore = { .name = "restore", .most = -1, .run = refuse };
