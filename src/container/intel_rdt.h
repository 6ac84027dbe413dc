/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * linux.intelRdt: a share of cache and memory bandwidth by the kernel's resctrl file system (OCI runtime-spec
 * config-linux.md "IntelRdt"; Documentation/filesystems/resctrl.rst). Strings borrow from the document.
 */
#pragma once

#include <stdbool.h>
#include <sys/types.h>

#include "base/error.h"
#include "base/json.h"

struct intel_rdt {
        bool present, monitoring;
        const char *class;             /* closID; NULL: the container's id */
        const char *cache, *bandwidth; /* l3CacheSchema, memBwSchema */
        char **schemata;               /* owned */
};

int intel_rdt_parse(const struct json_at *platform, struct intel_rdt *rdt);
void intel_rdt_free(struct intel_rdt *rdt);

/*
 * Makes (or, for a closID without schema, uses) the group and moves the process in. -EOPNOTSUPP where resctrl is not
 * mounted.
 */
int intel_rdt_apply(const struct intel_rdt *rdt, const char *id, pid_t pid, struct error *err);
/* Removes what intel_rdt_apply() made for the container `id`: nothing where the group has a closID of its own. */
int intel_rdt_remove(const char *id, struct error *err);
