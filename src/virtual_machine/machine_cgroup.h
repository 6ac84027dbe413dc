/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The control group of a virtual machine's process: what bounds its CPU time and its memory, as for a container.
 *
 * The bound on memory is the guest's and what onggi-vmm needs beside it, so that a guest that uses all it has is no reason to
 * kill its process. Kept in the run folder as cgroup.json, before a process is in it.
 */
#pragma once

#include "base/error.h"
#include "container/cgroup.h"
#include "virtual_machine/virtual_machine.h"

int machine_cgroup_make(const struct vm *vm, const struct vm_settings *settings, int run_folder, struct cgroup **cgroup,
                        struct error *err);
/* -ENOENT where there is none. */
int machine_cgroup_load(int run_folder, struct cgroup **cgroup, struct error *err);
/* Kills what is in it. Whether the kernel has killed in it for want of memory is added to *out_of_memory. */
int machine_cgroup_remove(const struct vm *vm, int run_folder, bool *out_of_memory, struct error *err);
/* Of a running machine: CPU time in microseconds each 100 ms. */
int machine_cgroup_limit(int run_folder, int64_t quota, struct error *err);
