/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <errno.h>
#include <stddef.h>
#include <string.h>
#include <unistd.h>

#include "base/file.h"
#include "base/text.h"
#include "container/command.h"
#include "container/container_exec.h"
#include "container/foreground.h"
#include "container/runtime.h"

struct options {
        const char *process, *user, *cwd, *apparmor, *label, *pid_file, *console_socket, *cgroup;
        char **env, **groups, **capabilities;
        bool detach, terminal, no_new_privileges, ignore_paused, no_subreaper;
        int64_t preserve_fds;
};

static const struct option_spec table[] = {
        { "process", 'p', OPTION_STRING, offsetof(struct options, process), "FILE", "a file with a process object" },
        { "detach", 'd', OPTION_FLAG, offsetof(struct options, detach), NULL, "do not wait for the program" },
        { "tty", 't', OPTION_FLAG, offsetof(struct options, terminal), NULL, "give the program a terminal" },
        { "user", 'u', OPTION_STRING, offsetof(struct options, user), "UID[:GID]", "who runs it" },
        { "cwd", 0, OPTION_STRING, offsetof(struct options, cwd), "FOLDER", "where it starts" },
        { "env", 'e', OPTION_LIST, offsetof(struct options, env), "NAME=VALUE", "set a variable" },
        { "additional-gids", 'g', OPTION_LIST, offsetof(struct options, groups), "GID", "add a group" },
        { "cap", 'c', OPTION_LIST, offsetof(struct options, capabilities), "CAPABILITY", "add a capability" },
        { "no-new-privs", 0, OPTION_FLAG, offsetof(struct options, no_new_privileges), NULL, "set no_new_privs" },
        { "apparmor", 0, OPTION_STRING, offsetof(struct options, apparmor), "PROFILE",
          "confine by an AppArmor profile" },
        { "process-label", 0, OPTION_STRING, offsetof(struct options, label), "LABEL", "SELinux label of the program" },
        { "pid-file", 0, OPTION_STRING, offsetof(struct options, pid_file), "FILE",
          "write the program's number to FILE" },
        { "console-socket", 0, OPTION_STRING, offsetof(struct options, console_socket), "SOCKET",
          "Unix socket that gets the terminal's master" },
        { "preserve-fds", 0, OPTION_NUMBER, offsetof(struct options, preserve_fds), "N",
          "pass on N descriptors from 3 on" },
        { "cgroup", 0, OPTION_STRING, offsetof(struct options, cgroup), "[CONTROLLERS:]PATH",
          "a control group below the container's" },
        { "ignore-paused", 0, OPTION_FLAG, offsetof(struct options, ignore_paused), NULL,
          "start it in a paused container, where it waits" },
        { "no-subreaper", 0, OPTION_FLAG, offsetof(struct options, no_subreaper), NULL, NULL },
        { NULL },
};

static int start(const struct global_options *global, const struct options *options, char **operands, struct error *err)
{
        const struct exec_options exec = {
                .root = global->root,
                .process = options->process,
                .terminal = options->terminal,
                .no_new_privileges = options->no_new_privileges,
                .user = options->user,
                .cwd = options->cwd,
                .apparmor_profile = options->apparmor,
                .selinux_label = options->label,
                .env = options->env,
                .groups = options->groups,
                .capabilities = options->capabilities,
                .args = operands + 1,
                .pid_file = options->pid_file,
                .console_socket = options->console_socket,
                .cgroup = options->cgroup,
                .preserve = (int)options->preserve_fds,
                .ignore_paused = options->ignore_paused,
                .rootless = global->ordinary_user,
                .detached = options->detach,
        };
        if (options->preserve_fds < 0 || options->preserve_fds > 65536)
                return error_set(err, -EINVAL, "option --preserve-fds takes 0 to 65536");
        int r = descriptors_seal_from(3 + exec.preserve);
        if (r < 0 && r != -ENOSYS)
                return error_code(err, r, "cannot seal descriptors");
        if (!options->detach)
                foreground_prepare();
        struct container_running running;
        r = runtime.exec(operands[0], &exec, &running, err);
        if (r < 0)
                return r;
        int status = options->detach ? 0 : foreground_wait(running.pid, running.pidfd, running.master, err);
        container_running_release(&running);
        return status;
}

static int run(const struct global_options *global, const struct command *command, int argc, char **argv,
               struct error *err)
{
        struct options options = { 0 };
        char **operands;
        int r = command_parse(command, argc, argv, &options, &operands, err);
        if (!r)
                r = start(global, &options, operands, err);
        else if (r > 0)
                r = 0;
        list_free(options.env);
        list_free(options.groups);
        list_free(options.capabilities);
        return r;
}

const struct command command_exec = {
        .name = "exec",
        .operands = "ID PROGRAM [ARGUMENT...]",
        .help = "run a further program in a running container",
        .options = table,
        .in_order = true,
        .protects = true,
        .fewest = 1,
        .most = -1,
        .run = run,
};
