/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A virtual machine with an operating system of its user's choice, as `onggi vm` handles it: beside instances, which are
 * runs of an image, and on the same networks.
 *
 * Owned by whoever opened it; vm_free() releases the handle, not the machine. On disk it is the folder
 * <root>/machines/<id> (64 hex digits): config.json, written once at creation; state.json, replaced at every change that
 * a command reports as done; lock. <state>/machines/<id> exists while it runs, and holds what has no meaning after a
 * reboot: run.json (its processes with their start times), the control and console sockets of onggi-vmm, cgroup.json,
 * network.json, and what its monitor writes down: ended.json, report, log. Names are symbolic links
 * <root>/machines/by-name/<name> -> ../<id>.
 *
 * The processes of a running machine are onggi-vmm, in a control group and a network namespace of the machine's own, and
 * onggi-vm-monitor, which waits for it, writes down how it ended, and becomes the command that finishes the run. What is
 * running is decided by looking at processes, never by what a file says alone; every command that meets the remains of a
 * killed process puts them right first.
 */
#pragma once

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>

#include "base/error.h"
#include "instance/instance.h"
#include "virtual_machine/settings.h"

struct vm {
        struct host *host; /* borrowed */
        char id[65];
        char *name;
        int folder;     /* <root>/machines/<id> */
        json_t *config; /* config.json */
        json_t *state;  /* state.json */
        json_t *run;    /* run.json while it runs, else NULL */
};

/* ---- Making and finding ---- */

/* Checks the settings, whose paths become absolute, and creates. All or nothing. */
int vm_create(struct host *host, struct vm_settings *settings, struct vm **vm, struct error *err);
/* By name, id, or a unique prefix of an id. Looks and repairs. -ENOENT, or -EEXIST where a prefix fits several. */
int vm_find(struct host *host, const char *name, struct vm **vm, struct error *err);
/* Looks again. -ENOENT when it is gone. */
int vm_refresh(struct vm *vm, struct error *err);
void vm_free(struct vm *vm);

/* Newest first; repairs everything that it meets. *list is an array of *count owned handles: vm_list_free(). */
int vm_list(struct host *host, struct vm ***list, size_t *count, struct error *err);
void vm_list_free(struct vm **list, size_t count);

/* Settings of config.json; to vm_settings_free(). */
int vm_settings_of(const struct vm *vm, struct vm_settings *settings, struct error *err);

/* ---- Its life ---- */

/*
 * Starts it; returns when the guest runs. One that runs is success. `restore`: a snapshot's folder to start from, or NULL.
 * A warning (an owned string) where it is started although the engine failed its test; NULL else.
 */
int vm_start(struct vm *vm, const char *restore, char **warning, struct error *err);
/* Presses the power button; after `timeout` seconds (-1: never) the machine is ended. Success if it does not run. */
int vm_stop(struct vm *vm, int timeout, struct error *err);
/* Ends it at once, as pulling the plug does. */
int vm_kill(struct vm *vm, struct error *err);
/* Waits until it does not run, and its run is finished; at most `milliseconds` (-1: for ever): -ETIMEDOUT. */
int vm_wait(struct vm *vm, int milliseconds, struct error *err);
/* -EBUSY while it runs, unless `force`. */
int vm_remove(struct vm *vm, bool force, struct error *err);
/* What is left to do when its monitor has seen it end; by id. *exit_code is the guest's. */
int vm_finish_ended(struct host *host, const char *id, int *exit_code, struct error *err);

/* ---- While it runs ---- */

/* Sends a request to onggi-vmm (hosted/control.h) and returns the answer, the caller's. -EOPNOTSUPP if it does not run. */
int vm_ask(const struct vm *vm, const json_t *request, json_t **answer, struct error *err);
/* The same for a command without arguments; the answer is dropped. */
int vm_command(const struct vm *vm, const char *command, struct error *err);
/*
 * The caller's terminal (or standard input and output) as the machine's console, from its first output on; until the
 * machine ends or the user types the escape key, ^]. *escaped says which.
 */
int vm_console(const struct vm *vm, bool *escaped, struct error *err);
/* Limits of a running machine: CPUs of time (0: as it is), and how much memory the guest keeps (0: as it is). */
int vm_limit(const struct vm *vm, double cpus, uint64_t memory, struct error *err);

/* ---- What it is ---- */

/* A line of `vm ls`, as strings; the caller's, NULL without memory. */
json_t *vm_summary(const struct vm *vm);
/* All there is to say; the caller's. */
int vm_inspect(const struct vm *vm, json_t **object, struct error *err);
/* Counters of onggi-vmm and of the control group; -EOPNOTSUPP if it does not run. */
int vm_statistics(const struct vm *vm, json_t **object, struct error *err);
