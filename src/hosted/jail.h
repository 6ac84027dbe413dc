/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The jail of the process: what a guest that took over one of its threads could still do.
 *
 * Once everything is open and before the guest runs, jail_enter() takes all capabilities, the file system (an empty
 * root, or the folder of the guest's sockets; Landlock where the kernel has it) and the way to new privileges. Each
 * thread then confines itself to the system calls of its kind; any other ends the process.
 */
#pragma once

#include "base/error.h"

enum jail_thread { JAIL_PROCESSOR, JAIL_DISK, JAIL_MAIN, JAIL_FOLDER, JAIL_THREADS };

/*
 * `folder`: what becomes the root, NULL for an empty one. Where we lack the privilege for another root, Landlock
 * alone keeps files from being opened. Called by the only thread. Returns 1 when the root has changed, 0 when it
 * has not, or a negative errno.
 */
int jail_enter(const char *folder, struct error *err);
/* Called by each thread for itself. 0 or a negative errno. */
int jail_confine(enum jail_thread kind);
