/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The process that stands for a virtual machine's container: it waits for `start` as a container's first process does,
 * in the instance's control groups and network namespace, and becomes onggi-vmm.
 *
 * So what others do to it between create and start (hooks, networks that docker makes late) finds a process of its own
 * namespace, and the guest is told of its network as it is when it starts. In the container's folder:
 *
 *     machine/          root folder of onggi-vmm in its jail, with its sockets (agent_link.h)
 *     log               what onggi-vmm says on standard error
 *     reason            why the machine ended, where no file is named by MACHINE_ANNOTATION_REASON
 */
#pragma once

#include "base/error.h"
#include "container/creation.h"

#define MACHINE_FOLDER "machine"
#define MACHINE_LOG    "log"
#define MACHINE_REASON "reason"

/* struct runtime's */
int machine_process_prepare(struct creation *creation, struct error *err);
int machine_process_start(struct creation *creation, struct error *err);

/* A terminal of the host for a program in the guest, which has another in there: bytes pass as they are. */
int machine_terminal_open(const struct program *program, int *master, int *slave, struct error *err);
