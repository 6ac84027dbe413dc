/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The runtime's log: the file that an engine names with --log and reads when a command failed.
 *
 * One line a message, {"level":"error","msg":…,"time":…} or runc's text form. There is one log a process, for
 * warnings come from callbacks that have no argument to carry it.
 */
#pragma once

#include <stdbool.h>

#include "base/error.h"

enum log_level { LOG_LEVEL_ERROR, LOG_LEVEL_WARNING, LOG_LEVEL_INFO, LOG_LEVEL_DEBUG };

/*
 * `path` NULL: warnings go to stderr and errors are left to main(). Otherwise lines are appended to that file, made
 * 0600 where missing; "/dev/stderr" works. Messages of level debug are dropped unless `debug`.
 */
int log_open(const char *path, bool json, bool debug, struct error *err);

void log_write(enum log_level level, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* As log_write() of a warning: what capabilities_parse() and others call. */
void log_warning(const char *text);
