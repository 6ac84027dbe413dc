/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The virtual machine that a bundle asks for: size, kernel, disks.
 *
 * onggi's own instances say it in annotations, all of them strings; other engines' bundles know nothing of machines, so
 * it follows from linux.resources: memory is the limit of memory, processors are as many as the quota or the list of
 * processors can keep busy. The root folder is the root file system where no image is named.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/cleanup.h"
#include "base/error.h"
#include "container/config.h"
#include "runtime_vm/machine_annotations.h"

#define MACHINE_MEMORY_DEFAULT (256ULL << 20)
#define MACHINE_MEMORY_LEAST   (64ULL << 20)

struct machine_settings {
        char *kernel, *initramfs; /* absolute paths */
        char *command_line;       /* of the kernel */
        uint64_t memory;          /* bytes, whole MiB */
        unsigned cpus;
        const char *engine;                /* NULL: kvm; borrowed */
        const char *image, *disk, *reason; /* borrowed from the configuration; NULL: none */
};

/* Reads and checks. Where `files` is false, kernel and initramfs are not looked for and NULL. -EINVAL, -ENOENT, -ENOMEM. */
int machine_settings_read(const struct config *config, bool files, struct machine_settings *settings,
                          struct error *err);
void machine_settings_release(struct machine_settings *settings);

/* What onggi-vmm itself, and the kernel for it, may take beyond a guest's memory: what a limit of memory grows by. */
uint64_t machine_overhead(uint64_t memory);

/* The annotation that names a file, or NULL: there is none, or it does not count. */
const char *machine_file_annotation(const json_t *annotations, const char *key);
