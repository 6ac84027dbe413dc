/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The vessels, each in its own file; others know them by vessel.h alone.
 */
#pragma once

#include "instance/vessel.h"

extern const struct vessel vessel_container; /* vessel_container.c */
extern const struct vessel vessel_vm;        /* vessel_vm.c */

/* ---- vessel_vm_settings.c: what a virtual machine's settings amount to ---- */

int vm_check_settings(const struct instance_settings *settings, struct error *err);
/* Bytes of guest memory: --memory, or the default. */
uint64_t vm_memory(const struct instance_settings *settings);
/* Virtual CPUs: as many as --cpus or its two parts can keep busy, or the default. */
unsigned vm_processors(const struct instance_settings *settings);

/* ---- vessel_vm_root.c ---- */

#define VM_DISK "disk" /* in the instance's folder: ext4, what it has written */

int vm_root(struct start *start, struct error *err);
int vm_open_root(const struct instance *instance, struct error *err);

/* ---- vessel_vm_update.c ---- */

int vm_update(const struct instance *instance, const struct instance_settings *settings,
              const struct instance_settings *changes, json_t *resources, struct error *err);
