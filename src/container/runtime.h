/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What one OCI runtime does in its own way, where the command line, the state, the control groups and the hooks are
 * those of all: onggi-runtime, whose first process is in the host's sight, and onggi-runtime-vm, whose is a virtual machine.
 *
 * A program is linked with one of them. A function that is NULL stands for nothing to do, or for what is right of
 * processes in the host's sight.
 */
#pragma once

#include <jansson.h>
#include <stdbool.h>

#include "base/error.h"
#include "container/container.h"
#include "container/container_exec.h"

struct creation;
struct resources;

struct runtime {
        const char *name, *purpose; /* of the program */
        /* A process of the host's gets into the container: it runs from behind own_binary.h. */
        bool enters;

        /* Opens and checks what the first process needs of the host, before anything is made. */
        int (*prepare)(struct creation *creation, struct error *err);
        /* Turns limits of the container into those of its processes on the host. */
        int (*fit)(const struct state *state, struct resources *resources, struct error *err);
        /* Starts the first process. Returns 0 with state->pid and pidfd filled. */
        int (*start_process)(struct creation *creation, struct error *err);

        /*
         * Before the first process is let go: a descriptor, the caller's, for await(), which returns when the program runs.
         * `pidfd` is the first process's.
         */
        int (*expect)(const struct state *state, struct error *err);
        int (*await)(const struct state *state, int expected, int pidfd, struct error *err);

        int (*signal)(const struct state *state, int pidfd, int signal, bool all, struct error *err);
        /* container_exec() */
        int (*exec)(const char *id, const struct exec_options *options, struct container_running *running,
                    struct error *err);
        /* What `ps` prints, to standard output; `arguments` are of ps(1). */
        int (*list_processes)(const struct state *state, char *const *arguments, struct error *err);
        /* Adds to what `events --stats` prints. */
        int (*measure)(const struct state *state, json_t *statistics, struct error *err);
        /* Adds to what `state` prints. */
        void (*report)(const struct state *state, json_t *report);
        /* After the first process has ended, or never began: undoes what does not end with it. */
        void (*clean)(const struct state *state);
};

/* The one of this program. */
extern const struct runtime runtime;
