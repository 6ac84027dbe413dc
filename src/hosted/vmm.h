/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A virtual machine as this process: the machine, its engine, a thread for each virtual CPU, and the terminal.
 *
 * vmm_run() starts the guest and serves it until it ends. Devices run in whichever thread met the access, under one
 * lock.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/error.h"
#include "engine/engine.h"
#include "machine/topology.h"

#define VMM_CPUS_MAX   64
#define MEMORY_DEFAULT (UINT64_C(256) << 20)

struct vmm_settings {
        const char *engine_name; /* NULL: the first there is */
        const struct engine_operations *engine;
        uint64_t memory; /* bytes; 0: MEMORY_DEFAULT */
        int64_t cpus;    /* 1 to VMM_CPUS_MAX: all of the topology */
        struct topology topology;
        const char *cpu;       /* which features, as cpu_model.h has it */
        char **restore;        /* folders of a snapshot and changes to it, instead of a kernel */
        const char *on_reset;  /* "restart", or "stop" or NULL */
        char **disks;          /* each as disk_parse() has it */
        char **networks;       /* each as tap_parse() has it */
        char **shares;         /* each as shared_folder_parse() has it */
        const char *socket;    /* where socket_bridge.h listens; NULL: the guest has no vsock */
        const char *control;   /* where control.h listens, or NULL */
        const char *cpus_text; /* as topology_parse() has it */
        const char *kernel, *append;
        const char *firmware, *firmware_variables; /* as firmware_files.h has them, or NULL */
        const char *iso;                           /* the disc in the CD drive; NULL: there is no drive */
        char **initrds;                            /* archives, one after the other */
        char **modules;     /* each FILE[,ARGUMENTS], for kernels of the multiboot and PVH protocols */
        char **streams;     /* each as socket_bridge_inherit() has it */
        const char *window; /* descriptor of the terminal whose size the guest is told, or NULL */
        const char *reason; /* descriptor that is told how the machine ended, or NULL: outcome.h */
        const char *report; /* descriptor that is told of start and end in JSON, or NULL: report.h */
        bool own_chips;     /* interrupt controllers and timers of ours, though the engine has some */
        bool no_jail;       /* keep privileges and files: for debuggers and tracers */
        bool statistics;    /* exits by reason and device, on stderr at the end */
};

/* Returns the guest's exit code (debug exit; 0 for a reset), or a negative errno with *err filled. */
int vmm_run(const struct vmm_settings *settings, struct error *err);
