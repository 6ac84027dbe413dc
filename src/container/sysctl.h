/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * linux.sysctl: kernel parameters of the container's own namespaces (OCI runtime-spec config-linux.md, "Sysctl").
 *
 * A parameter that no namespace of the container keeps apart would change the host, and is refused.
 */
#pragma once

#include "base/error.h"
#include "base/json.h"
#include "container/namespace.h"

struct sysctl {
        const char *name, *value; /* borrowed from the document */
};

struct sysctls {
        struct sysctl *list; /* owned */
        size_t count;
};

/* `at` is the object linux.sysctl, or absent. */
int sysctls_parse(const struct json_at *at, const struct namespaces *namespaces, struct sysctls *sysctls);
void sysctls_free(struct sysctls *sysctls);

/* Writes them beneath `proc_sys`, a descriptor of the host's /proc/sys, from inside the namespaces. */
int sysctls_apply(const struct sysctls *sysctls, int proc_sys, struct error *err);
