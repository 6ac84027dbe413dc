/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Where this host mounts its control groups, and which hierarchy keeps which controller.
 *
 * proc(5), /proc/PID/mountinfo; cgroups(7), /proc/PID/cgroup. A controller lives in one hierarchy at a time, so a host
 * may keep some on cgroup v1 and others on v2 (hybrid). A v1 mount names its controllers; those of the v2 mount are
 * what its cgroup.controllers says: the kernel lists there only what no v1 hierarchy has taken.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"

enum controller {
        CONTROLLER_CPU,
        CONTROLLER_CPUACCT,
        CONTROLLER_CPUSET,
        CONTROLLER_MEMORY,
        CONTROLLER_DEVICES,
        CONTROLLER_FREEZER,
        CONTROLLER_BLOCK, /* "blkio" on v1, "io" on v2 */
        CONTROLLER_PIDS,
        CONTROLLER_HUGETLB,
        CONTROLLER_NET_CLS,
        CONTROLLER_NET_PRIO,
        CONTROLLER_PERF_EVENT,
        CONTROLLER_RDMA,
        CONTROLLER_MISC,
        CONTROLLER_COUNT,
};

#define CONTROLLER_BIT(controller) (UINT32_C(1) << (controller))

/* The name on a v1 or v2 hierarchy; NULL where that version has no such controller (devices on v2 is eBPF). */
const char *controller_name(enum controller controller, unsigned version);
/*
 * Bits of the controllers named in a list separated by any of `separators`; names that are not known are passed over.
 */
uint32_t controllers_parse(const char *list, const char *separators, unsigned version);

/* As many as there are v1 controllers, a few named hierarchies, and v2. */
#define CGROUP_HIERARCHIES_MAX 24

struct cgroup_hierarchy {
        unsigned version;     /* 1 or 2 */
        uint32_t controllers; /* v1: bits of enum controller; v2: 0, see cgroup.controllers of a directory */
        char *name;           /* of a named v1 hierarchy ("systemd"), else NULL */
        char *mount;          /* absolute path of the mount point */
        char *root; /* the cgroup that the mount point shows: "/" unless the mount is a part of the hierarchy */
        char *own;  /* the caller's own cgroup, as a path below the mount point; NULL if not below it or not known */
};

struct cgroup_layout {
        struct cgroup_hierarchy hierarchies[CGROUP_HIERARCHIES_MAX];
        size_t count;
};

/* From the texts of the two files; `self` may be NULL. *layout is the caller's to free with cgroup_layout_free(). */
int cgroup_layout_parse(const char *mountinfo, const char *self, struct cgroup_layout *layout, struct error *err);
/* From /proc/self/mountinfo and, where `own` is asked for, /proc/self/cgroup. */
int cgroup_layout_read(bool own, struct cgroup_layout *layout, struct error *err);
void cgroup_layout_free(struct cgroup_layout *layout);
