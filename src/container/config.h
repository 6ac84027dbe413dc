/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * config.json of a bundle, read and checked whole before anything is made: OCI runtime-spec 1.0 to 1.3, config.md and
 * config-linux.md.
 *
 * What each member means to the kernel is known by the noun that it configures (program.h, namespace.h, rootfs.h, …);
 * this one reads the document, hands each its part and checks what concerns two of them. It keeps the document, from
 * which most strings borrow, and its bytes, which are copied beside the container's state: edits of the bundle after
 * create have no effect.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/error.h"
#include "base/json.h"
#include "container/cgroup.h"
#include "container/hook.h"
#include "container/id_map.h"
#include "container/intel_rdt.h"
#include "container/namespace.h"
#include "container/network_device.h"
#include "container/program.h"
#include "container/rootfs.h"
#include "container/scheduling.h"
#include "container/seccomp.h"
#include "container/sysctl.h"

struct time_offset {
        bool present;
        int64_t seconds;
        uint32_t nanoseconds;
};

struct config {
        char *text; /* as read */
        size_t length;
        json_t *document;
        const json_t *annotations; /* NULL if there are none */

        bool has_program;
        struct program program;
        const char *root; /* root.path, as written */
        const char *hostname, *domainname;
        struct namespaces namespaces;
        struct id_map uids, gids;
        struct time_offset monotonic, boottime;
        struct sysctls sysctls;
        struct hooks hooks;
        struct network_devices devices;
        struct intel_rdt rdt;
        struct scheduling memory; /* linux.memoryPolicy */
        bool has_personality;
        unsigned long personality;
        struct rootfs *rootfs;
        struct resources *resources;
        const char *cgroups_path;
        bool mounts_cgroup; /* a mount shows the control groups that its maker is in */
};

/* What is read: each purpose pays for what it uses. */
enum config_parts {
        CONFIG_PROGRAM = 1, /* process */
        CONFIG_HOOKS = 2,
        CONFIG_ALL = 4 | CONFIG_PROGRAM | CONFIG_HOOKS,
};

/* Reads "config.json" in the folder `dir`; `bundle` is that folder's absolute path. */
int config_read(int dir, const char *bundle, enum config_parts parts, struct config **config, struct error *err);
/* As config_read() of `length` bytes in memory. */
int config_parse(const char *text, size_t length, const char *bundle, enum config_parts parts, struct config **config,
                 struct error *err);
void config_free(struct config *config);

/* linux.seccomp, compiled or found in the folder `cache` (NULL: none); *seccomp is NULL where there is no filter. */
int config_seccomp(const struct config *config, const char *cache, struct seccomp **seccomp, struct error *err);

/* Every version of the specification that the runtime reads: from 1.0.0 to this. */
#define OCI_VERSION "1.3.0"

DEFINE_CLEANUP(config, struct config, config_free)
