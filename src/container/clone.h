/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * clone3(2) as the runtime uses it: a copy of the caller, in new namespaces and directly in its control group.
 */
#pragma once

#include <sys/types.h>

/*
 * `flags` are CLONE_NEW… bits and CLONE_PARENT (then the new process is a sibling, with its parent as its own).
 * `cgroup` is a descriptor of a cgroup v2 directory to start in, or -1. Returns as fork(2), with errno.
 */
pid_t clone_process(int flags, int cgroup);
