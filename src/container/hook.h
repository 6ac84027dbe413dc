/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Hooks: programs of the host (or, startContainer, of the image) that run at fixed points of a container's life.
 *
 * OCI runtime-spec config.md "POSIX-platform Hooks". Each gets the container's state as JSON on standard input, runs
 * with its own environment only, and is killed when its timeout passes. The lists borrow their strings from the
 * document.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"
#include "base/json.h"

enum hook_point {
        HOOK_PRESTART,
        HOOK_CREATE_RUNTIME,
        HOOK_CREATE_CONTAINER,
        HOOK_START_CONTAINER,
        HOOK_POSTSTART,
        HOOK_POSTSTOP,
        HOOK_POINTS,
};

struct hook {
        const char *path;
        char **args, **env; /* owned; args has at least a name */
        int timeout;        /* seconds; 0: none */
};

struct hooks {
        struct hook *lists[HOOK_POINTS]; /* owned */
        size_t counts[HOOK_POINTS];
};

/* `at` is the object hooks, or absent. */
int hooks_parse(const struct json_at *at, struct hooks *hooks);
void hooks_free(struct hooks *hooks);

/* "prestart", …: the member's name. */
const char *hook_point_name(enum hook_point point);

/*
 * Runs the list of one point in order with `state` on standard input. The first that fails ends it, with what the
 * hook wrote in the error; for HOOK_POSTSTOP a failure is logged as a warning, the rest run, and 0 is returned.
 */
int hooks_run(const struct hooks *hooks, enum hook_point point, const json_t *state, struct error *err);
