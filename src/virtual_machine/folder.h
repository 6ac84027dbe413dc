/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The folders of one virtual machine, and what happens to them under its lock: what the files here share.
 *
 * The lock is held by whoever creates, starts, finishes or erases the machine; while it runs nobody holds it. The starter's
 * is inherited by the process that becomes the monitor, until run.json is written.
 */
#pragma once

#include "virtual_machine/virtual_machine.h"

#define VM_CONTROL_SOCKET "control"
#define VM_CONSOLE_SOCKET "console"
#define VM_TAP            "tap0"

/* Descriptor of <root>/machines, made with by-name where missing. */
int vm_folders_open(const struct host *host, struct error *err);
/* Descriptor of <state>/machines/<id>; a negative errno where there is none. */
int vm_run_folder_open(const struct host *host, const char *id);

/* Opens by whole id, without looking whether it runs. */
int vm_open(struct host *host, const char *id, struct vm **vm, struct error *err);
/* Reads run.json and compares with the living processes. Returns 1 where something is left to be finished. */
int vm_look(struct vm *vm, struct error *err);
/* -ENOENT if it was erased meanwhile. */
int vm_lock(struct vm *vm, struct error *err);
int vm_save_state(struct vm *vm, bool durable, struct error *err);

/* Under the lock, without living processes but ourselves: what a run left goes, and how it ended is written down. */
int vm_finish(struct vm *vm, struct error *err);
/* Under the lock, after vm_finish(). */
int vm_erase(struct vm *vm, struct error *err);
/* Removes what killed creators and erasers left. `machines` is vm_folders_open()'s. */
int vm_sweep(const struct host *host, int machines, struct error *err);

/* A pidfd of its process `key` ("monitor", "vmm") in run.json; -ESRCH. */
int vm_process(const json_t *run, const char *key);
