/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The OCI configuration of an instance, made fit for the inside of its virtual machine (runtime-spec config.md,
 * config-linux.md).
 *
 * The host's namespaces, control groups, hooks, labels and limits of processor and memory mean nothing in there: the
 * machine's size and its network are them. What is the program's stays as it is: users, capabilities, resource limits,
 * seccomp, masks, mounts, devices, the number of processes, kernel parameters.
 */
#pragma once

#include <jansson.h>

#include "base/error.h"

/*
 * Changes *config. `root` becomes root.path. Kernel parameters of the network, which is the machine's own and not a
 * namespace's, are moved to *sysctls: an object of names and values, the caller's. -EINVAL, -ENOMEM.
 */
int bundle_adapt(json_t *config, const char *root, json_t **sysctls, struct error *err);
