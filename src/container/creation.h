/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A container in the making: what the runtime and the container's first process share behind container.h.
 *
 * The runtime fills it before the first process is started; the first process works on its copy of the memory. So
 * everything that costs memory or reads the host is done before, and what the first process touches is charged to the
 * container as late as possible: it enters the control groups when all is mounted, unless a mount or a hook must find
 * it there.
 */
#pragma once

#include <stdbool.h>
#include <sys/types.h>

#include "base/error.h"
#include "container/cgroup.h"
#include "container/config.h"
#include "container/container.h"
#include "container/seccomp.h"
#include "container/state.h"

struct creation {
        const struct container_options *options;
        struct state *state;
        struct config *config;
        struct seccomp *seccomp;
        struct cgroup *cgroup;
        bool joins_early; /* enters the control groups before anything is mounted */
        char *groups;     /* of the first process, before it left the host's cgroup namespace; or NULL */
        int channel[2];   /* the runtime's end, the first process's end */
        int gate, result; /* FIFOs of a container that waits for `start`; -1: runs at once */
        int console;      /* connection to the engine's console socket, -1 if none */
        int pidfd;        /* of the first process */
        bool began;       /* the first process was started: hooks may have run, poststop hooks must */
};

/* struct runtime's of a process in the host's sight: filter and namespaces; and the process itself. */
int first_process_prepare(struct creation *creation, struct error *err);
int first_process_start(struct creation *creation, struct error *err);

/* struct runtime's await(), without the container's lock while it lasts. -ENOENT if somebody removed the container. */
int container_await(struct state *state, int expected, int process, struct error *err);

/* What the first process does, in its namespaces: never returns. */
void first_process_run(struct creation *creation) __attribute__((noreturn));
