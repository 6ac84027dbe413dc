/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The program that a container's process becomes: the object "process" of the OCI runtime-spec (config.md, "Process").
 *
 * Read from config.json, from the file of `exec --process`, or made by `exec` from the container's own with changes.
 * Strings borrow from the document unless owned lists; program_free() releases the lists.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <sys/resource.h>
#include <sys/types.h>

#include "base/error.h"
#include "base/json.h"
#include "container/capability.h"
#include "container/scheduling.h"

struct program_limit {
        const char *name;
        int resource;
        struct rlimit values;
};

struct program {
        bool terminal;
        unsigned short rows, columns; /* of the terminal; 0: unset */
        uid_t uid;
        gid_t gid;
        gid_t *groups; /* owned; additional ones */
        size_t group_count;
        bool has_umask;
        mode_t umask;
        char **args, **env; /* owned lists */
        const char *cwd;
        struct capabilities capabilities;
        struct program_limit *limits; /* owned */
        size_t limit_count;
        const char *apparmor_profile, *selinux_label;
        bool no_new_privileges;
        bool has_oom_score;
        int oom_score;
        struct scheduling scheduling;
};

/* `at` is the object. Checks every field. */
int program_parse(const struct json_at *at, struct program *program, struct error *err);
void program_free(struct program *program);

/* Adds an additional group, for which groups has room, unless it is there. */
void program_add_group(struct program *program, gid_t group);

/* The value of a variable in a list of NAME=value (the last one wins), or NULL. */
const char *environment_get(char *const *env, const char *name);
/* Sets or replaces one. Returns 0 or -ENOMEM. */
int environment_set(char ***env, const char *name, const char *value);

/* Raises hard limits of process `pid` that the caller may raise and the process itself later may not. */
int program_raise_limits(const struct program *program, pid_t pid, struct error *err);
/* Sets the limits on the caller. */
int program_apply_limits(const struct program *program, struct error *err);

/* The number of an RLIMIT_… name, -1 if unknown. */
int program_limit_from_name(const char *name);
