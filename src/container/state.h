/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What the runtime knows of a container between two commands: the folder <--root>/<id>.
 *
 *     state.json    this record; missing while a creator works, and for ever if it was killed
 *     config.json   the configuration as it was at create
 *     start         FIFO at which the first process waits for `start`; gone once it was let go
 *     result        FIFO in which the first process says why the program could not be executed
 *
 * Whoever changes a container holds an flock on its folder; reading needs none, for state.json is replaced in one
 * step. The record is a claim, the process decides: number and start time together say whether it still lives.
 */
#pragma once

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/error.h"
#include "container/config.h"

enum container_status {
        CONTAINER_CREATING,
        CONTAINER_CREATED,
        CONTAINER_RUNNING,
        CONTAINER_PAUSED,
        CONTAINER_STOPPED,
};
const char *container_status_name(enum container_status status);

struct state {
        char *id;
        int root;      /* the folder of all containers */
        int folder;    /* this one's */
        bool locked;   /* by this handle */
        bool complete; /* false: no state.json yet */

        pid_t pid;
        uint64_t start_time; /* of pid, in clock ticks since boot */
        char *bundle, *root_path;
        char created[64]; /* RFC 3339, nanoseconds */
        uid_t owner;
        int namespaces; /* CLONE_NEW… bits of those that are not the runtime's own */
        unsigned hooks; /* bit n: the configuration has hooks at enum hook_point n */
        bool has_program, rdt;
        json_t *annotations; /* may be NULL */
        json_t *cgroup;      /* cgroup_save() */
};

/*
 * Letters, digits and "+-_.", not starting with one of the latter: config.md asks for uniqueness, paths for the rest.
 */
int container_check_id(const char *id, struct error *err);

/* Makes the folder and locks it. -EEXIST when there is a container of that name. */
int state_create(const char *root, const char *id, struct state **state, struct error *err);

/* Opens and reads; `lock` takes the lock first and waits for it. -ENOENT when there is no such container. */
int state_open(const char *root, const char *id, bool lock, struct state **state, struct error *err);
void state_close(struct state *state);

/* Lets others change the container; and takes the lock anew, -ENOENT if one of them removed it. */
void state_unlock(struct state *state);
int state_lock(struct state *state, struct error *err);

/* Writes the record aside, then gives it its name: between the two the container is being created. */
int state_prepare(const struct state *state, struct error *err);
int state_commit(struct state *state, struct error *err);

/* Removes the folder and all in it. */
int state_remove(struct state *state, struct error *err);

/* Identifiers of all containers below `root`, sorted; an owned list. A missing root is an empty one. */
int state_list(const char *root, char ***ids, struct error *err);

/* Looks at process, FIFO and control group. */
enum container_status state_status(const struct state *state);

/* A pidfd of the first process, -ESRCH when it is gone. */
int state_process(const struct state *state);

/*
 * The "container process state" that hooks read and `state` prints (runtime.md, "State"); `pid` as its reader sees
 * it.
 */
json_t *state_document(const struct state *state, enum container_status status, pid_t pid);
/* What `state` and `list` print: state_document() and runc's additions (rootfs, created, owner). */
json_t *state_report(const struct state *state);

/* Fills what a configuration says: hooks, namespaces, annotations, bundle, root. */
int state_describe(struct state *state, const struct config *config, const char *bundle, struct error *err);

DEFINE_CLEANUP(state, struct state, state_close)
