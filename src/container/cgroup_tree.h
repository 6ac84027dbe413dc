/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A container's directories, one in each hierarchy: what the files cgroup_*.c share behind cgroup.h.
 *
 * Directories are reached by descriptors that stay open, so that reading and writing a control file is one openat(). A
 * directory that could not be made (rootless) or is gone has descriptor -1.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "container/cgroup.h"
#include "container/cgroup_layout.h"
#include "container/resources.h"

struct cgroup_directory {
        unsigned version;
        uint32_t controllers; /* v2: those enabled in this directory */
        char *name;           /* of a named v1 hierarchy, else NULL */
        char *mount;          /* of the hierarchy */
        char *path;           /* absolute; starts with mount */
        int fd;
        int join;              /* descriptor to write "0" to; -1 until cgroup_prepare_join() */
        bool made;             /* by cgroup_create(): undone when it fails */
        unsigned parents_made; /* likewise, folders above it */
};

struct cgroup {
        struct cgroup_directory directories[CGROUP_HIERARCHIES_MAX];
        size_t count;
        bool created; /* by this process: device rules are set even if resources name none */
        bool adopted; /* perhaps not ours: nobody in there may be killed */
        bool rootless;
        char *unit; /* systemd's scope that holds the container, NULL without */
        /*
         * A scope lasts while it holds a process: this child, until the handle goes and the container's first process
         * is there.
         */
        pid_t placeholder;
};

/* Control files hold a page at most, lists of processes and statistics of many devices more. */
#define CONTROL_FILE_MAX (4 * 1024 * 1024)

/* The directory that keeps a controller, or NULL. */
const struct cgroup_directory *cgroup_find(const struct cgroup *cgroup, enum controller controller);
/* The v2 directory, or NULL. */
const struct cgroup_directory *cgroup_unified(const struct cgroup *cgroup);
/*
 * The directory whose list of processes counts as the container's: v2 where there is nothing else, else freezer, pids,
 * the first.
 */
const struct cgroup_directory *cgroup_main(const struct cgroup *cgroup);

/*
 * Reads a control file into `buffer`, NUL-terminated and without the last line feed. Returns its length or a negative
 * errno.
 */
ssize_t control_read(int directory, const char *file, char *buffer, size_t size);
/* Writes `text` to a control file in one write(2). Returns 0 or a negative errno. */
int control_write(int directory, const char *file, const char *text);

/*
 * Visits all directories below `top`, however deep, each after those below it, with few descriptors open at a time.
 * `own` is the directory, `name` what `parent` calls it. A visit's negative errno ends the walk and is returned; what
 * goes meanwhile is passed over.
 */
typedef int cgroup_visit(void *context, int parent, const char *name, int own);
int cgroup_walk(int top, cgroup_visit *visit, void *context);

/* Where the directories go. */
struct cgroup_place {
        const char *below; /* path below each mount point, "/…" */
        bool beside_own;   /* below the parent of the caller's own control group instead of the mount point */
        bool rootless;
        pid_t placeholder; /* a process that may be there already; 0: none may */
};

/* The absolute path of the container's directory in a hierarchy; the caller's to free. NULL without memory. */
char *cgroup_directory_path(const struct cgroup_hierarchy *hierarchy, const struct cgroup_place *place);

/* cgroup_create() with a given layout, whose strings it takes over. */
int cgroup_create_in(struct cgroup_layout *layout, const struct cgroup_place *place, const struct resources *resources,
                     struct cgroup **cgroup, struct error *err);

/*
 * Has systemd start the scope that `below` names. Returns 1 with *unit, *placeholder and *landed (the path of the
 * scope's control group) filled; 0 where no systemd answers (then the path is ours to make); a negative errno where it
 * refuses.
 */
int cgroup_scope_start(const char *below, bool rootless, bool only_v2, const struct resources *resources, char **unit,
                       pid_t *placeholder, char **landed, struct error *err);
/* Tells systemd the limits, too: it writes those it knows of whenever it is reloaded. */
int cgroup_scope_update(const struct cgroup *cgroup, const struct resources *resources, struct error *err);
/* Ends the scope; a scope that is gone, or a systemd that is, is success. */
void cgroup_scope_stop(const struct cgroup *cgroup);
/* Ends it if it is a child of this process that nobody has waited for; else does nothing. */
void cgroup_placeholder_end(pid_t placeholder);

/*
 * v2: makes the controllers that no v1 hierarchy keeps available in the container's directory, by
 * cgroup.subtree_control from the mount point down. It is an error if one that `resources` (may be NULL) limits cannot
 * be had; a new container on a host with v2 alone gets the usual ones besides.
 */
int cgroup_enable_needed(struct cgroup *cgroup, const struct resources *resources, struct error *err);
/* v2: tries to make a controller available that we know only the name of; whether it is there then shows. */
void cgroup_enable_named(const struct cgroup_directory *directory, const char *name);

/*
 * Where linux.cgroupsPath (NULL: the default) leads: a path below the mount points that starts with "/". The caller
 * frees it.
 */
int cgroup_path(const char *id, const char *path, bool systemd, bool rootless, char **below, struct error *err);

/* Device rules; for a container that may be running already, without a moment in which an allowed device is denied. */
int cgroup_apply_devices(const struct cgroup *cgroup, const struct resources *resources, struct error *err);
