/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What `exec` runs: the container's own program with the changes that the command line asks for, or the object of a
 * file.
 */
#pragma once

#include "base/error.h"
#include "container/config.h"
#include "container/container_exec.h"

/* Changes config->program. A file's document is returned in *document, from which the program then borrows. */
int exec_program(struct config *config, const struct exec_options *options, json_t **document, struct error *err);
