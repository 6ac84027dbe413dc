/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * An instance: one run of an image in a vessel, with its limits, as a user handles it (docker's "container").
 *
 * Owned by whoever opened it; instance_free() releases the handle, not the instance. On disk it is the folder
 * <root>/instances/<id> (64 hex digits): config.json, written once at creation; state.json, replaced at every change; upper/ and
 * work/ of its overlay; log files. <state>/instances/<id> holds what has no meaning after a reboot. Names are symbolic links
 * <root>/instances/by-name/<name> -> ../<id>, made with O_EXCL semantics, so two creators of one name cannot both win.
 * What is running is decided by looking (monitor's and first process's pid with start time), never by what a file says alone.
 */
#pragma once

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/error.h"

/* Where everything is, and who we are; made once by main() and passed down. */
struct host {
        char *root;    /* durable state */
        char *state;   /* until reboot */
        char *libexec; /* folder of onggi-monitor and onggi-image */
        char *runtime; /* path of onggi-runtime */
        bool rootless; /* an ordinary user: inside a user namespace of its own */
};
int host_open(const char *root, const char *state, struct host **host, struct error *err);
void host_close(struct host *host);

struct instance {
        struct host *host;  /* borrowed */
        char id[65];
        char *name;
        int folder;         /* <root>/instances/<id> */
        json_t *config;     /* config.json */
        json_t *state;      /* state.json, as last read or written */
};
