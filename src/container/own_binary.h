/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The runtime's own program file, kept out of a container's reach: CVE-2019-5736.
 *
 * A process on its way into a container can be made to execute /proc/self/exe, or be found by its /proc/PID/exe, and
 * whoever is root in the container could then write to the host's runtime. So what goes into a container runs from a
 * read-only mount of its own file that no mount namespace holds: opened for writing through it, the file answers
 * EROFS. Where mounts are not ours to make (an ordinary user), it runs from a sealed copy in memory. The mount is the
 * usual way because it is nearly free; the copy of a static binary costs some 0.4 ms.
 */
#pragma once

#include "base/error.h"

/*
 * Executes the program anew from behind such a mount, or returns 0 if it runs so already. Standard arguments of
 * main().
 */
int own_binary_protect(char **argv, char **envp, struct error *err);
