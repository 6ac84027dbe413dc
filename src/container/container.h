/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The life of a container: create, start, kill, delete (OCI runtime-spec runtime.md, "Lifecycle").
 *
 * Every function takes the container's lock for as long as it works. One that fails leaves things as they were:
 * processes, mounts, control groups and files that it made are gone again, and poststop hooks have run if hooks had
 * begun.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/error.h"
#include "container/state.h"

struct container_options {
        const char *root;           /* folder of all containers */
        const char *bundle;         /* NULL: the working directory */
        const char *console_socket; /* NULL: the terminal's master is returned */
        const char *pid_file;       /* NULL: none */
        bool systemd_cgroup, rootless;
        bool no_pivot, no_new_keyring;
        bool detached; /* container_run(): nobody holds the terminal's master, so a socket must get it */
        int preserve;  /* descriptors from 3 on that the program gets besides 0-2 */
        int listen;    /* the first so many of them are sockets of systemd's, which the program is told of */
};

/*
 * What is left to the caller of container_run() and container_exec(): the process and, with a terminal, its master
 * (-1 without).
 */
struct container_running {
        int pidfd, master;
        pid_t pid;
        struct state *state; /* of a container that was run, else NULL; not locked */
        struct cgroup *cgroup;
};
void container_running_release(struct container_running *running);

/* Makes a container whose first process waits for container_start(). */
int container_create(const char *id, const struct container_options *options, struct error *err);

/* Makes and starts one at once. The first process is a child of the caller. */
int container_run(const char *id, const struct container_options *options, struct container_running *running,
                  struct error *err);

/* Removes a container that was run, after its end. Success if another command has done so. */
int container_finish(struct container_running *running, struct error *err);

/*
 * Lets the first process go; returns when the program runs. It is an error, without effect, unless the status is
 * created.
 */
int container_start(const char *root, const char *id, struct error *err);

/* Sends a signal to the first process, or (`all`) to every process. -ESRCH when it has stopped. */
int container_kill(const char *root, const char *id, int signal, bool all, struct error *err);

/* Removes a stopped container, or (`force`) kills it first; with force an unknown one is success. */
int container_delete(const char *root, const char *id, bool force, struct error *err);

/* Freezes or thaws all processes. */
int container_freeze(const char *root, const char *id, bool frozen, struct error *err);

/* An open container's control group handle, to be freed with cgroup_free(). */
int container_cgroup(const struct state *state, struct cgroup **cgroup, struct error *err);

/* Kills what lives, removes control groups, runs poststop hooks and removes the state. The lock must be held. */
int container_destroy(struct state *state, struct error *err);
