/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A vessel: what an instance runs in, `--isolation`. One entry of a table each; what differs between them stands there,
 * and nothing else asks which one it has.
 *
 * A vessel is an OCI runtime first of all: onggi-runtime for containers, onggi-runtime-vm for virtual machines. Both are
 * called alike and with the same bundle. A virtual machine's bundle says more in annotations:
 * runtime_vm/machine_annotations.h.
 */
#pragma once

#include <jansson.h>
#include <stdint.h>

#include "base/error.h"
#include "instance/instance.h"

struct start;
struct engine_choice;

/* In the run folder: what MACHINE_ANNOTATION_REASON leads to. */
#define VESSEL_REASON_FILE "reason"

struct vessel {
        const char *name;       /* as --isolation has it */
        const char *runtime;    /* its OCI runtime */
        const char *containers; /* what that runtime keeps: its --root, below <state> */
        const char *written; /* in the instance's folder: a folder or file that grows with what the instance writes */
        /*
         * The process that stands for the instance's program, which is out of the host's sight: signals for the program
         * go through the runtime. NULL: that process is the program.
         */
        const char *guardian;
        const struct engine_choice
                *engines; /* that it can run on, as engines.h lists them; NULL: the processor itself */

        /* Whether these settings fit together; asks nothing of the host. */
        int (*check)(const struct instance_settings *settings, struct error *err);
        /*
         * Whether this host can run it, in milliseconds and before anything is made: else -EOPNOTSUPP. *engine: a static
         * string, or NULL.
         */
        int (*ready)(const struct host *host, const struct instance_settings *settings, const char **engine,
                     struct error *err);
        /* At creation: what is a file of the caller's becomes what lasts. NULL: nothing does. */
        int (*settle)(const struct host *host, struct instance_settings *settings, struct error *err);
        /* Makes start->root, a detached mount in which users and the image's files are found, and what else it needs. */
        int (*root)(struct start *start, struct error *err);
        /* What it adds to `inspect`'s "Vessel": what the settings amount to. NULL: nothing. */
        void (*show)(const struct instance_settings *settings, json_t *object);
        /* Adds to the bundle's configuration. */
        int (*describe)(const struct start *start, json_t *spec, struct error *err);
        /* A descriptor of the running instance's root folder, to find users in. */
        int (*open_root)(const struct instance *instance, struct error *err);
        /*
         * New limits of a running instance: refuses what cannot be, does what the runtime does not, and takes that out of
         * `resources`, which the runtime gets. `settings` are all, `changes` what is new. NULL: all is the runtime's.
         */
        int (*update)(const struct instance *instance, const struct instance_settings *settings,
                      const struct instance_settings *changes, json_t *resources, struct error *err);
        const char *fixed_networks; /* why a running instance cannot be connected to one more; NULL: it can */
        /* instance_top(). */
        int (*top)(struct instance *instance, char *const *arguments, char ***lines, struct error *err);
};

/* NULL-terminated. The first is the default. */
extern const struct vessel *const vessels[];

/* By --isolation (NULL: the default); NULL where there is none of that name. */
const struct vessel *vessel_find(const char *name);
const struct vessel *vessel_of(const struct instance *instance);
/* The path of its runtime; the caller's. -EOPNOTSUPP where it is not installed. */
int vessel_runtime(const struct vessel *vessel, const struct host *host, char **path, struct error *err);

/* What runs its instructions: of its present or last run, else what was asked for. "" for a container. */
const char *instance_engine(const struct instance *instance);
/* Bytes on disk of what the instance has written. */
uint64_t instance_written(const struct instance *instance);
