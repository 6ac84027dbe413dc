/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The guest's own onggi-runtime, which holds the one container of the machine.
 *
 * Calls wait for it. What it reports of a failure comes back as the text of *err.
 */
#pragma once

#include <stdbool.h>
#include <sys/types.h>

#include "base/error.h"
#include "guest/guest_root.h"

#define RUNTIME_PROGRAM   "/onggi/onggi-runtime"
#define RUNTIME_CONTAINER "main"
#define RUNTIME_BUNDLE    GUEST_RUN "/bundle"

/* A program that was made, and the ends of its streams that are ours. */
struct runtime_program {
        pid_t pid;
        int input, output, errors; /* pipes; -1: none */
        int terminal;              /* master of a pseudo-terminal, or -1 */
};

struct runtime_streams {
        bool terminal, input, output, errors; /* a stream that is not wanted is /dev/null */
};

/* Makes the container; it waits for runtime_start(). */
int runtime_create(const struct runtime_streams *streams, struct runtime_program *program, struct error *err);
int runtime_start(struct error *err);
/* Starts a program in it by the process document in `file`. It becomes a child of the caller, a subreaper. */
int runtime_exec(const char *file, const struct runtime_streams *streams, struct runtime_program *program,
                 struct error *err);
/* A signal, by its number, to all its processes. */
int runtime_kill_all(unsigned signal, struct error *err);
/* What `events --stats` prints; the caller's. */
int runtime_statistics(char **text, struct error *err);

/* Closes what is ours. */
void runtime_program_close(struct runtime_program *program);
