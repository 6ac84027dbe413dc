/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The jail of a process that serves a shared folder: it sees that folder and nothing else, and keeps of its
 * privileges those that a guest's files need.
 *
 * The folder is a mount of its own, in no mount table, without device files and read-only if the share is; the root
 * is empty; Landlock holds it once more. An ordinary user's process does the same in a user namespace, where there
 * are any, and by Landlock alone where there are none.
 */
#pragma once

#include <stdbool.h>

#include "base/error.h"

/*
 * Leaves the host's namespaces and opens the folder (O_PATH) and this process's descriptors by their numbers
 * (/proc/self/fd). Called by the only thread.
 */
int jail_folder_enter(const char *path, bool read_only, bool no_jail, int *folder, int *numbers, struct error *err);

/* Gives up everything that serving `folder` does not need, but for system calls: jail_confine(). */
int jail_folder_lock(int folder, bool read_only, bool no_jail, struct error *err);
