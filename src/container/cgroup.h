/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The control groups of one container, on cgroup v1, v2 and hosts with both (hybrid).
 *
 * OCI runtime-spec config-linux.md, "Control groups"; Linux admin-guide/cgroup-v1 and cgroup-v2.rst. On v1 and hybrid
 * hosts a container has one directory in every mounted hierarchy (named ones and the v2 mount included); on v2 it has
 * one. Which limit is kept by which hierarchy is decided for each controller, so a hybrid host whose v2 mount holds
 * some controllers works. The host's layout is read from /proc/self/mountinfo and /proc/self/cgroup once, at
 * cgroup_create() or cgroup_load().
 */
#pragma once

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/error.h"
#include "base/json.h"

struct cgroup;
struct resources;

/* ---- linux.resources: parsed and checked here, applied by cgroup_apply() ---- */

/* `at` is the object linux.resources (may be absent: then *resources is empty, default devices rules included). */
int resources_parse(const struct json_at *at, struct resources **resources, struct error *err);
void resources_free(struct resources *resources);

/*
 * Makes the directories for the container. `path` is linux.cgroupsPath (NULL: "/onggi/<id>"); `systemd` reads it as
 * "slice:prefix:name". Fails if a directory exists and holds processes; removes what it made when it fails.
 * `rootless` turns a refusal by permissions into a container without that controller, unless resources ask for it.
 */
int cgroup_create(const char *id, const char *path, bool systemd, bool rootless, const struct resources *resources,
                  struct cgroup **cgroup, struct error *err);
void cgroup_free(struct cgroup *cgroup); /* the handle only */

/* For the runtime's state file: everything that cgroup_load() needs to find the directories again. */
json_t *cgroup_save(const struct cgroup *cgroup);
int cgroup_load(const json_t *saved, struct cgroup **cgroup, struct error *err);
/*
 * Finds the directories of a container whose creator was killed before it saved them; arguments as for cgroup_create().
 * Makes nothing. As they may be someone else's, cgroup_remove() of such a handle kills nobody: it waits until they are
 * empty.
 */
int cgroup_adopt(const char *id, const char *path, bool systemd, bool rootless, struct cgroup **cgroup,
                 struct error *err);

/*
 * A descriptor of the v2 directory for clone3(CLONE_INTO_CGROUP), or -1 where processes must be moved with
 * cgroup_join(). Borrowed.
 */
int cgroup_directory(const struct cgroup *cgroup);
/*
 * Moves a process into every hierarchy (those that CLONE_INTO_CGROUP did not cover when `only_v1`). pid 0: the caller
 * itself, which must have one thread only. That is the fast way on v1: moving another process, or several threads,
 * waits for the host's RCU grace period, some 10 ms. So: CLONE_INTO_CGROUP where cgroup_directory() is there, then 0
 * with only_v1 from the child.
 */
int cgroup_join(const struct cgroup *cgroup, pid_t pid, bool only_v1, struct error *err);

/*
 * Opens the v1 files that cgroup_join(…, 0, …) writes to, with the caller's rights: a child that has entered a user
 * namespace, or has no descriptors to spare, can join all the same. Optional.
 */
int cgroup_prepare_join(struct cgroup *cgroup, struct error *err);

/* Writes limits and device rules (v1 devices.allow/deny in order, v2 eBPF replaced atomically). Also for `update`. */
int cgroup_apply(struct cgroup *cgroup, const struct resources *resources, struct error *err);

/* v2, new cgroup namespace, /sys/fs/cgroup mounted rw: hands the delegated files to the container's root. */
int cgroup_delegate(const struct cgroup *cgroup, uid_t uid, gid_t gid, struct error *err);

int cgroup_freeze(const struct cgroup *cgroup, bool frozen, struct error *err);
bool cgroup_is_frozen(const struct cgroup *cgroup);

/* All processes of the container, its child cgroups included; *pids is the caller's to free. */
int cgroup_processes(const struct cgroup *cgroup, pid_t **pids, size_t *count, struct error *err);

/* Sends a signal to every process (SIGKILL: cgroup.kill, else freeze, kill, always thaw), and waits for none. */
int cgroup_kill(const struct cgroup *cgroup, int signal, struct error *err);

/* The "data" object of `runc events --stats` (cpu, memory, pids, blkio, hugetlb, intel_rdt); the caller's. */
int cgroup_statistics(const struct cgroup *cgroup, json_t **statistics, struct error *err);
/* Number of times the kernel's OOM killer killed in this cgroup. */
uint64_t cgroup_oom_kills(const struct cgroup *cgroup);

/* Path for each controller as the engines want it in state.json: {"memory": "/sys/fs/cgroup/memory/…", …}. */
json_t *cgroup_paths(const struct cgroup *cgroup);

/* Kills what is left and removes the directories, child cgroups first; success if they are gone already. */
int cgroup_remove(const struct cgroup *cgroup, struct error *err);

/* For `features`: what the binary knows. */
json_t *cgroup_features(void);
