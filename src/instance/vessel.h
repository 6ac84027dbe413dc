/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A vessel: what an instance runs in, `--isolation`. One entry of a table each; what differs between them stands there,
 * and nothing else asks which one it has.
 *
 * A vessel is an OCI runtime first of all: onggi-runtime for containers, onggi-runtime-vm for virtual machines. Both are
 * called alike and with the same bundle. A virtual machine's bundle says more in annotations (all values are strings):
 *
 *     org.onggi.vm.engine    what runs its instructions: "kvm" or "soft"
 *     org.onggi.vm.kernel    a release in the store of kernels; a file (an absolute path) brings its initramfs beside it
 *     org.onggi.vm.memory    bytes of guest memory
 *     org.onggi.vm.cpus      number of virtual CPUs; what of their time it may use is in linux.resources as for containers
 *     org.onggi.vm.image     a read-only EROFS file: the image's layers
 *     org.onggi.vm.disk      a file with ext4: what the instance writes, on top of the image; kept from start to start
 *     org.onggi.vm.reason    a path; whoever sees the machine end otherwise than by its program's exit writes the reason
 *                            there, one line for people: "the guest's kernel panicked: …". What stands before a colon
 *                            is shown in lists; "out of memory: …" counts as killed for lack of memory
 *     org.onggi.onggi-root   the folder of images, kernels and instances (`onggi --root`)
 *
 * Without `image` the bundle's root folder is the whole root file system, as engines other than onggi have it.
 */
#pragma once

#include <jansson.h>
#include <stdint.h>

#include "base/error.h"
#include "instance/instance.h"

struct start;
struct engine_choice;

#define VM_ANNOTATION         "org.onggi.vm."
#define VM_ANNOTATION_ENGINE  VM_ANNOTATION "engine"
#define VM_ANNOTATION_KERNEL  VM_ANNOTATION "kernel"
#define VM_ANNOTATION_MEMORY  VM_ANNOTATION "memory"
#define VM_ANNOTATION_CPUS    VM_ANNOTATION "cpus"
#define VM_ANNOTATION_IMAGE   VM_ANNOTATION "image"
#define VM_ANNOTATION_DISK    VM_ANNOTATION "disk"
#define VM_ANNOTATION_REASON  VM_ANNOTATION "reason"
#define ONGGI_ANNOTATION_ROOT "org.onggi.onggi-root"

/* In the run folder: what VM_ANNOTATION_REASON leads to. */
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
