/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A comparison: the same image run in each vessel and by each engine that this host has, measured side by side.
 *
 * Everything is done as a user would do it, by running `onggi` itself, in instances named onggi-compare-… that go when
 * their measurement is over, also where it fails or is interrupted. Loads and faults come from onggi-load, a static program that is mounted into the
 * instance. Nothing is estimated: what cannot be measured says why.
 */
#pragma once

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/error.h"
#include "instance/instance.h"

struct compare_settings {
        struct host *host;
        const char *image;
        char *const *command;      /* for the start to output and to ready; NULL: onggi-load and the image's own */
        int64_t runs;              /* of each start, 1 to COMPARE_RUNS_MAX */
        int64_t ready_port;        /* TCP port inside that answers when it is ready; 0: none */
        const char *ready_command; /* exits with 0 inside when it is ready; NULL: none */
        const char *kernel;        /* of virtual machines; NULL: the default */
        uint64_t timeout;          /* of one start or load, ns */
        char *const *only;         /* names of measurements; NULL: all */
        bool no_faults;
        void (*tell)(const char *contestant, const char *measurement); /* what is going on; NULL: nobody asks */
};

#define COMPARE_RUNS_MAX 1000

/*
 * *report (the caller's):
 *
 *   { "image": …, "host": { "kernel", "processors", "memory_available" },
 *     "contestants": [ { "name": "vm (kvm)", "isolation", "engine", "why": … where this host cannot run it } ],
 *     "measurements": [ { "name", "title", "cells": [ one for each contestant: { "text", "value", "unit", … } or { "why" } ] } ] }
 *
 * Returns -EINTR when a signal ended it.
 */
int compare_run(const struct compare_settings *settings, json_t **report, struct error *err);
