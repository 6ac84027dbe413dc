/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Lists of NAME=value as --env, --env-file, --label and --label-file give them.
 */
#pragma once

#include "base/error.h"

/* Puts the files' lines in front of *list (what is given directly wins) and gives names without a value that of the
 * caller's own environment; a name that the caller does not have goes. */
int environment_complete(char ***list, char *const *files, struct error *err);
/* As environment_complete(), but a key without a value has an empty one. */
int labels_complete(char ***list, char *const *files, struct error *err);

/* The value in a list of NAME=value, or NULL; borrowed. The last one counts. */
const char *environment_get(char *const *list, const char *name);
