/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/file.h"
#include "base/text.h"
#include "container/command.h"
#include "container/container.h"
#include "container/foreground.h"
#include "container/log.h"

struct create_options {
        const char *bundle, *console_socket, *pid_file;
        bool no_pivot, no_new_keyring, detach, keep, no_subreaper;
        int64_t preserve_fds;
};

#define COMMON_OPTIONS                                                                                                 \
        { "bundle",      'b',                                                                                          \
          OPTION_STRING, offsetof(struct create_options, bundle),                                                      \
          "FOLDER",      "the folder with config.json (default: here)" },                                              \
                { "console-socket", 0,                                                                                 \
                  OPTION_STRING,    offsetof(struct create_options, console_socket),                                   \
                  "SOCKET",         "Unix socket that gets the terminal's master" },                                   \
                { "pid-file",    0,                                                                                    \
                  OPTION_STRING, offsetof(struct create_options, pid_file),                                            \
                  "FILE",        "write the first process's number to FILE" },                                         \
                { "no-pivot",  0,                                                                                      \
                  OPTION_FLAG, offsetof(struct create_options, no_pivot),                                              \
                  NULL,        "do not use pivot_root, which an initial ramdisk refuses" },                            \
                { "no-new-keyring",          0, OPTION_FLAG, offsetof(struct create_options, no_new_keyring), NULL,    \
                  "keep the session keyring" },                                                                        \
        {                                                                                                              \
                "preserve-fds", 0, OPTION_NUMBER, offsetof(struct create_options, preserve_fds), "N",                  \
                        "pass on N descriptors from 3 on"                                                              \
        }

static const struct option_spec create_table[] = { COMMON_OPTIONS, { NULL } };

static const struct option_spec run_table[] = {
        COMMON_OPTIONS,
        { "detach", 'd', OPTION_FLAG, offsetof(struct create_options, detach), NULL, "do not wait for the container" },
        { "keep", 0, OPTION_FLAG, offsetof(struct create_options, keep), NULL,
          "do not delete the container after it ends" },
        { "no-subreaper", 0, OPTION_FLAG, offsetof(struct create_options, no_subreaper), NULL, NULL },
        { NULL },
};

/* Descriptors of systemd's socket activation come first, then those of --preserve-fds: sd_listen_fds(3). */
static int count_preserved(int64_t asked, struct container_options *container, struct error *err)
{
        uint64_t listen = 0;
        const char *variable = getenv("LISTEN_FDS");
        if (variable && (parse_u64(variable, &listen) < 0 || listen > 65536))
                listen = 0;
        if (asked < 0 || asked > 65536)
                return error_set(err, -EINVAL, "option --preserve-fds takes 0 to 65536, not %lld", (long long)asked);
        container->listen = (int)listen;
        container->preserve = (int)asked + (int)listen;
        for (int fd = 3; fd < 3 + container->preserve; fd++)
                if (fcntl(fd, F_GETFD) < 0)
                        return error_set(err, -EBADF,
                                         "descriptor %d is to be passed on (--preserve-fds, LISTEN_FDS) and not "
                                         "open",
                                         fd);
        /* What the caller left open by mistake must not reach the container, from now on: CVE-2024-21626. */
        int r = descriptors_seal_from(3 + container->preserve);
        return r < 0 && r != -ENOSYS ? error_code(err, r, "cannot seal descriptors") : 0;
}

static int parse(const struct global_options *global, const struct command *command, int argc, char **argv,
                 struct create_options *options, struct container_options *container, const char **id,
                 struct error *err)
{
        char **operands;
        int r = command_parse(command, argc, argv, options, &operands, err);
        if (r)
                return r;
        *id = operands[0];
        *container = (struct container_options){
                .root = global->root,
                .bundle = options->bundle,
                .console_socket = options->console_socket,
                .pid_file = options->pid_file,
                .systemd_cgroup = global->systemd_cgroup,
                .rootless = global->ordinary_user,
                .no_pivot = options->no_pivot,
                .no_new_keyring = options->no_new_keyring,
        };
        return count_preserved(options->preserve_fds, container, err);
}

static int create(const struct global_options *global, const struct command *command, int argc, char **argv,
                  struct error *err)
{
        struct create_options options = { 0 };
        struct container_options container;
        const char *id;
        int r = parse(global, command, argc, argv, &options, &container, &id, err);
        if (r)
                return r < 0 ? r : 0;
        return container_create(id, &container, err);
}

static int run(const struct global_options *global, const struct command *command, int argc, char **argv,
               struct error *err)
{
        struct create_options options = { 0 };
        struct container_options container;
        const char *id;
        int r = parse(global, command, argc, argv, &options, &container, &id, err);
        if (r)
                return r < 0 ? r : 0;
        container.detached = options.detach;
        if (!options.detach)
                foreground_prepare();
        struct container_running running;
        r = container_run(id, &container, &running, err);
        if (r < 0)
                return r;
        int status = options.detach ? 0 : foreground_wait(running.pid, running.pidfd, running.master, err);
        struct error own = { 0 };
        if (status >= 0 && !options.detach && !options.keep && container_finish(&running, &own) < 0)
                log_write(LOG_LEVEL_WARNING, "cannot delete the container %s: %s", id, own.text);
        container_running_release(&running);
        return status;
}

static int start(const struct global_options *global, const struct command *command, int argc, char **argv,
                 struct error *err)
{
        char **operands;
        int r = command_parse(command, argc, argv, NULL, &operands, err);
        if (r)
                return r < 0 ? r : 0;
        return container_start(global->root, operands[0], err);
}

const struct command command_create = {
        .name = "create",
        .operands = "ID",
        .help = "make a container that waits to be started",
        .options = create_table,
        .protects = true,
        .fewest = 1,
        .most = 1,
        .run = create,
};
const struct command command_run = {
        .name = "run",
        .operands = "ID",
        .help = "make and start a container, and wait for its end",
        .options = run_table,
        .protects = true,
        .fewest = 1,
        .most = 1,
        .run = run,
};
const struct command command_start = {
        .name = "start",
        .operands = "ID",
        .help = "start the program of a container that was made",
        .fewest = 1,
        .most = 1,
        .run = start,
};
