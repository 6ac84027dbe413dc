/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A seccomp filter: the linux.seccomp object, compiled once and cached as BPF.
 *
 * OCI runtime-spec config-linux.md, "Seccomp"; seccomp(2). The parent compiles (or finds in the cache) before it
 * enters any limited cgroup, so the container's first process only loads ready BPF. Cache files are keyed by SHA-256
 * of the profile, the libseccomp version and the architecture, are written atomically, and hold their own digest: a
 * damaged one is compiled anew.
 */
#pragma once

#include <jansson.h>
#include <stdbool.h>

#include "base/error.h"
#include "base/json.h"

struct seccomp;

/*
 * `at` is the object linux.seccomp; absent gives *seccomp = NULL. Checks every field. `cache` is a folder, or NULL
 * for no cache.
 */
int seccomp_prepare(const struct json_at *at, const char *cache, struct seccomp **result, struct error *err);
void seccomp_free(struct seccomp *seccomp);

bool seccomp_has_notify(const struct seccomp *seccomp);
const char *seccomp_listener_path(const struct seccomp *seccomp);
const char *seccomp_listener_metadata(const struct seccomp *seccomp);

/*
 * Loads it into the calling thread (libseccomp has the name seccomp_load). Returns 0, or a notify descriptor (> 0)
 * where the filter has SCMP_ACT_NOTIFY, or -errno.
 */
int seccomp_apply(const struct seccomp *seccomp, struct error *err);

/*
 * Sends the notify descriptor to listenerPath, with the specification's "container process state": made of `state`, the
 * container's state, whose pid is that of the process that loaded the filter.
 */
int seccomp_send_notify(const struct seccomp *seccomp, int notify, const json_t *state, struct error *err);

/* The "seccomp" object for `features`. */
json_t *seccomp_features(void);
