/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The user namespace in which everything of an ordinary user lives: user_namespaces(7), subuid(5), newuidmap(1).
 *
 * All commands of one user share one user namespace and one mount namespace, so that each can reach what another made: pinned
 * network namespaces, id-mapped files, processes to signal. A holder, a sleeping process, keeps both alive; its number and
 * start time are in <state>/userns.json. It is started by the first command and ends with the user's session or userns_end().
 * When it was killed, the next command starts another in the namespaces of the instances that run, or in new ones.
 * Inside, the user is root (id 0); ids from 1 on are the subordinate ids that /etc/subuid and /etc/subgid grant.
 */
#pragma once

#include "base/error.h"

/*
 * Moves the calling process, which must have one thread, into the namespaces of its user, and makes them if they are not there.
 * `state` is the user's volatile folder; it must exist. Afterwards the process is uid 0 and gid 0 inside.
 * Errors tell what is missing: sub-ids, newuidmap, user namespaces that the host forbids.
 */
int userns_enter(const char *state, struct error *err);

/* Ends the holder; what still runs inside keeps the namespaces. No holder is success. */
int userns_end(const char *state, struct error *err);
