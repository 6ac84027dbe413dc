/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What a virtual machine is made of, as its user says it: `onggi vm create`. Checked whole before anything is made.
 *
 * Disks, network cards and shared folders are kept in onggi-vmm's own words (disk.h, shared_folder.h), with paths that
 * do not depend on the working directory. Strings and lists are owned: vm_settings_free().
 */
#pragma once

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/error.h"

#define VM_CPUS_MAX   64           /* as onggi-vmm has it */
#define VM_MEMORY_MIN (1ULL << 20) /* less cannot hold a kernel's own tables */

struct vm_settings {
        char *name; /* NULL: one is made up */
        char **disks, **shares, **isos;
        char *kernel, *append, *firmware, *cpu;
        char **initrds, **modules;
        char *on_reset;  /* "stop" or "restart"; NULL: restart */
        char *cpus;      /* virtual CPUs; a fraction such as "1.5" bounds the time of the next whole number of them */
        uint64_t memory; /* bytes */
        char *network;   /* a network's name, "user" (passt) or "none" */
        char *address, *mac;
        char **ports, **labels;
        char *engine; /* NULL: the first that can run an ordinary kernel */
        bool remove;  /* when it ends */
};

struct vm_settings vm_settings_default(void);
void vm_settings_free(struct vm_settings *settings);

/* Makes paths absolute and looks whether all fits together and is there. -EINVAL, or the file's own error. */
int vm_settings_check(struct vm_settings *settings, struct error *err);

unsigned vm_settings_cpus(const struct vm_settings *settings);
/* Of CPU time, in microseconds each 100 ms; 0: no bound. */
int64_t vm_settings_quota(const struct vm_settings *settings);

/* An object, the caller's; NULL without memory. */
json_t *vm_settings_write(const struct vm_settings *settings);
int vm_settings_read(const json_t *object, struct vm_settings *settings, struct error *err);
