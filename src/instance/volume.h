/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Volumes: folders that outlive instances: <root>/volumes/<name>/_data, described by volume.json beside it.
 *
 * A volume exists when volume.json does; it is made last and goes first. Which instances use one is read from their
 * configurations. An anonymous volume (64 hex digits) goes with the instance it was made for when that has --rm or is
 * removed with -v.
 */
#pragma once

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/error.h"

struct host;

/* [a-zA-Z0-9][a-zA-Z0-9_.-]*, at most 128 letters. */
bool volume_name_valid(const char *name);

/* Creating one that exists is success. `name` NULL: an anonymous one; *path (may be NULL) is _data, *made_name (may
 * be NULL) its name; both the caller's. Labels "key=value". Options: only those of the driver local that make sense
 * here are accepted: type=none|tmpfs, o=…, device=… (mounted when an instance starts). */
int volume_create(struct host *host, const char *name, char *const *labels, char *const *options, char **made_name,
                  char **path, struct error *err);
/* -ENOENT; -EBUSY names the instances that use it (`force`: a missing one is success, never one in use). */
int volume_remove(struct host *host, const char *name, bool force, struct error *err);
/* Docker's objects: Name, Driver "local", Mountpoint, CreatedAt, Labels, Options, Scope; the caller's. */
int volume_inspect(struct host *host, const char *name, json_t **object, struct error *err);
/* Filters: name= label= dangling=true|false driver=local. */
int volume_list(struct host *host, char *const *filters, json_t **list, struct error *err);
/* Removes those in no use: anonymous ones, with `all` named ones too. */
int volume_prune(struct host *host, bool all, char *const *filters, char ***removed, uint64_t *freed,
                 struct error *err);
