/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The kernel's modules that an initramfs brings: a folder with their files and a modules.dep of names without folders.
 *
 * A module that is not in the folder is taken for one that is built into the kernel. Files are removed once loaded: an
 * initramfs is memory.
 */
#pragma once

#include "base/error.h"

struct module_index;

struct module_loader {
        int folder; /* -1: no modules */
        struct module_index *index;
};

/* A folder that is not there is one without modules. */
int module_loader_open(struct module_loader *loader, const char *path, struct error *err);
/* Loads a module and whatever it needs before it. */
int module_loader_load(struct module_loader *loader, const char *name, struct error *err);
/* Whatever was not loaded is removed. */
void module_loader_close(struct module_loader *loader, const char *path);
