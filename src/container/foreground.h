/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A runtime that stays with the program it started: signals go on to the program, and so does the terminal.
 */
#pragma once

#include <sys/types.h>

#include "base/error.h"

/*
 * Blocks every signal that foreground_wait() passes on: to be called before the program is started, so that none is
 * lost.
 */
void foreground_prepare(void);

/*
 * Waits for the caller's child, meanwhile passing on signals and, where `master` is not -1, copying between it and
 * the caller's terminal, which is in raw mode and whose size is kept the same. Returns its exit code, 128 + n if
 * signal n ended it, or -errno.
 */
int foreground_wait(pid_t child, int pidfd, int master, struct error *err);
