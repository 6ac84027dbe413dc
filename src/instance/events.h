/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Events: what happened to instances, volumes, images and networks, one JSON object a line in <state>/events
 * (events.1 before it).
 *
 * {"time": RFC 3339 with nanoseconds, "Type": "container", "Action": "start", "id": …, "attributes": {"name": …,
 * "image": …}} Appended with one write(2) and no lock; writers rename the file when it outgrows 1 MiB. Readers follow
 * with inotify(7).
 */
#pragma once

#include <jansson.h>
#include <stdbool.h>
#include <time.h>

#include "base/error.h"

struct host;
struct instance;

/* An event that cannot be written is lost, no reason for the command to fail. `attributes` may be NULL and is
 * borrowed. */
void event_append(const char *state, const char *type, const char *action, const char *id, const json_t *attributes);
void event_of_instance(const struct instance *instance, const char *action);

struct event_query {
        struct timespec since, until; /* { 0 }: from now on; without end */
        char *const *filters;         /* docker's: type= event= container= image= volume= network= label= */
};
/* Calls `each` for each event, then waits for more until `until` (or for ever). A return other than 0 ends the walk. */
int events_read(struct host *host, const struct event_query *query, int (*each)(const json_t *event, void *context),
                void *context, struct error *err);
