/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A PID namespace seen from outside: pid_namespaces(7). It tells a container's processes apart where no control group does,
 * as for ordinary users to whom none is delegated.
 */
#pragma once

#include <stddef.h>
#include <sys/types.h>

#include "base/error.h"

/*
 * The processes in the namespace whose first process is `first`, and in namespaces below it. *pids are the caller's.
 * What starts or ends meanwhile may or may not be among them.
 */
int pid_namespace_processes(pid_t first, pid_t **pids, size_t *count, struct error *err);
