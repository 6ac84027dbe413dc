/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What a guest mounts: the kernel's own file systems, the image with its writable layer at GUEST_ROOT, the folders and
 * files that the host shares with it.
 *
 * Everything is mounted once, by process 1, and stays until guest_root_release(). Devices are found by what the host
 * calls them: the serial of a disk, the tag of a folder.
 */
#pragma once

#include "base/error.h"
#include "guest/machine_config.h"
#include "guest/module_loader.h"

#define GUEST_RUN  "/run/onggi"
#define GUEST_ROOT GUEST_RUN "/root" /* root.path of the container */

/*
 * First of all: makes the initramfs a mount that pivot_root(2) can leave behind, which the first root file system is
 * not, and mounts proc, sysfs, devtmpfs, devpts, a tmpfs on /run, and cgroup2.
 */
int guest_root_begin(struct error *err);
/* Loads what the disks and folders need, and mounts them; writes the files. */
int guest_root_mount(const struct machine_config *config, struct module_loader *modules, struct error *err);
/* At the end, when no program is left: what was written is on the disk. */
void guest_root_release(void);
