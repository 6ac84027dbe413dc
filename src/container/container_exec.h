/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A further program in a running container: runc's `exec`.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/error.h"
#include "container/container.h"

struct exec_options {
        const char *root;
        const char *process; /* a file with a process object; then the members up to `args` must be unset */
        bool terminal, no_new_privileges;
        const char *user; /* "uid[:gid]" */
        const char *cwd, *apparmor_profile, *selinux_label;
        char **env, **groups, **capabilities; /* added to the container's own */
        char *const *args;                    /* NULL-terminated */
        const char *pid_file, *console_socket;
        const char *cgroup; /* below the container's: "path", or "controllers:path" as a comma list and path */
        int preserve;
        bool ignore_paused, rootless;
        bool detached; /* nobody holds the terminal's master, so a socket must get it */
};

/* Starts it; returns when it runs. It is a child of the caller. */
int container_exec(const char *id, const struct exec_options *options, struct container_running *running,
                   struct error *err);
