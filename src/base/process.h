/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Processes: identity that survives the reuse of numbers, signals by name, exit codes as shells and docker write them.
 */
#pragma once

#include <stdint.h>
#include <sys/types.h>

#include "base/error.h"

/* Start time in clock ticks since boot (proc(5), /proc/PID/stat field 22): with the number it names one process. -ESRCH. */
int process_start_time(pid_t pid, uint64_t *ticks);

/* A pidfd for exactly that process; -ESRCH when it is gone, is a zombie, or its number belongs to another. start 0: any. */
int process_open(pid_t pid, uint64_t start);

/* pidfd_send_signal(2). Returns 0 or a negative errno. */
int process_signal(int pidfd, int signal);

/* Waits for a child; returns 0 with its exit code, 128 + signal where one ended it. */
int process_wait(pid_t pid, int *exit_code);

/*
 * Starts argv[0] (a path, or a name found on PATH) with standard input, output and error as given (-1: inherit; /dev/null is
 * the caller's to open). No other descriptor is passed on unless it is not close-on-exec. Returns the child's number.
 */
int process_spawn(char *const argv[], const int standard[3], pid_t *pid, struct error *err);

/* "TERM", "SIGTERM", "15", "RTMIN+3" (any case) to a number; -EINVAL. */
int signal_from_name(const char *name);
/* "SIGTERM"; "SIGRTMIN+3"; a static or thread-local string. */
const char *signal_name(int signal);
