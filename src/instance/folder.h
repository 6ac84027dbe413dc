/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The folders of one instance on disk, and what happens to them: opened, looked at, finished after a run, erased.
 *
 * The lock `lock` in <root>/instances/<id> is held by whoever changes the instance: its creator, its starter (who
 * hands the held lock on to the monitor until the program runs), whoever finishes or erases it. While the monitor
 * runs nobody holds it.
 */
#pragma once

#include <stdbool.h>

#include "base/error.h"
#include "instance/instance.h"
#include "instance/vessel.h"

/* Descriptor of <state>/instances/<id>; -ENOENT where it has not been started. */
int run_folder_open(const struct host *host, const char *id);
/* Makes it. */
int run_folder_make(const struct host *host, const char *id, struct error *err);
/* <state>/instances/<id>/<name>; the caller's, NULL without memory. */
char *run_folder_path(const struct host *host, const char *id, const char *name);

/* Opens by whole id without looking whether it runs: -ENOENT also for a folder that is not (or no longer) an
 * instance. */
int instance_open(struct host *host, const char *id, struct instance **instance, struct error *err);

/* Reads run.json, compares with the living processes, sets instance->run and ->status. Returns 1 where something is
 * left to be finished: run files without a living monitor. */
int instance_look(struct instance *instance, struct error *err);

/* Takes the instance's lock; -ENOENT if it was erased meanwhile. */
int instance_lock(struct instance *instance, struct error *err);

/*
 * Under the lock, without a living monitor: what a run left goes (processes, cgroups, network, mounts, run files),
 * how it ended is written to state.json, and an instance with --rm is erased. Idempotent; says in state.json when the
 * monitor was killed.
 */
int instance_finish(struct instance *instance, struct error *err);

/*
 * Moves how it ended from the monitor's record into instance->state. A record without an end is that of a monitor
 * that was killed: returns false.
 */
bool instance_take_end(struct instance *instance, const json_t *run);
/* Its part for the network alone. */
int instance_release_network(struct instance *instance, struct error *err);
/* Its part after instance_erase(): container and run files. */
int instance_finish_erased(struct instance *instance, struct error *err);

/* Under the lock: the instance and everything that belongs to it alone. */
int instance_erase(struct instance *instance, bool volumes, struct error *err);

/* state.json from instance->state. */
int instance_save_state(struct instance *instance, bool durable, struct error *err);

/* In <root>/instances: shared while a folder exists that its creator has not locked yet. */
#define INSTANCES_MAKING_LOCK ".making"

/* Removes what killed creators and erasers left anywhere. */
int instances_sweep(struct host *host, int instances, struct error *err);

/* settings of config.json with the changes of `update` on top. To instance_settings_free(). */
int instance_settings_of(const struct instance *instance, struct instance_settings *settings, struct error *err);

/* The name it calls itself by, or will when it is started; the caller's, NULL without memory. */
char *instance_hostname(const struct instance *instance, const struct instance_settings *settings);

/* Its image's layers, bottom first; the caller's. */
int instance_layers(const struct instance *instance, char ***layers, struct error *err);

/* Runs a verb of the instance's OCI runtime, NULL-terminated, and waits; its message becomes the error's. */
int runtime_call(const struct instance *instance, char *const *arguments, struct error *err);
/* The same of any vessel's, for what has no instance any more. */
int vessel_runtime_call(const struct host *host, const struct vessel *vessel, char *const *arguments,
                        struct error *err);
/* Runs a program and returns what it wrote on standard output (the caller's), at most 4 MiB; its first error line is
 * the reason where it fails. */
int program_read(char *const argv[], char **output, struct error *err);
/* As runtime_call(), and what it wrote on standard output parsed as JSON. */
int runtime_read(const struct instance *instance, char *const *arguments, json_t **value, struct error *err);
/* … or as it is; the caller's. */
int runtime_text(const struct instance *instance, char *const *arguments, char **text, struct error *err);
