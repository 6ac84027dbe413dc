/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Snapshots of a virtual machine: folders <root>/machines/<id>/snapshots/<name>, in onggi-vmm's form (hosted/snapshot.h), with
 * the machine's place on its network beside it, so that it has the same addresses when it goes on.
 *
 * What its disks hold is not in them: that must be what it was, or the guest finds another disk under its caches.
 */
#pragma once

#include "virtual_machine/virtual_machine.h"

/* Saves the running machine, which then goes on as before. All or nothing. -EEXIST: there is one of that name. */
int vm_snapshot_save(struct vm *vm, const char *name, struct error *err);
/* The folder's path, the caller's. -ENOENT. */
int vm_snapshot_find(const struct vm *vm, const char *name, char **path, struct error *err);
int vm_snapshot_remove(struct vm *vm, const char *name, struct error *err);
/* An array of names, the caller's; NULL without memory. */
json_t *vm_snapshots(const struct vm *vm);
