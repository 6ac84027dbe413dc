/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A container's terminal: a pseudo-terminal of the container's own devpts (pty(7)).
 *
 * Its master goes to whoever asked for it: over the engine's --console-socket, or to the foreground runtime, which
 * copies between it and its own terminal. Both ends are had by descriptor alone, so no name inside the image is
 * trusted.
 */
#pragma once

#include "base/error.h"
#include "container/program.h"

/*
 * Opens a pair in dev/pts beneath `root`, sized and owned as the program wants. Both descriptors are the caller's.
 */
int console_open(int root, const struct program *program, int *master, int *slave, struct error *err);

/* Connects to the Unix stream socket `path`. Returns the connection. */
int console_connect(const char *path, struct error *err);
/* Sends the master, and its name as text, over such a connection. */
int console_send(int connection, int master, struct error *err);

/* Makes the slave the controlling terminal and standard input, output and error of the caller, a session leader. */
int console_take(int slave, struct error *err);
