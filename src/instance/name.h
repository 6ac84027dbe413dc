/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Names of instances: symbolic links <root>/instances/by-name/<name> -> ../<id>.
 *
 * symlinkat(2) lets one of two creators win. Links go only under the lock by-name/.lock, after a look at where they
 * lead.
 */
#pragma once

#include <stdbool.h>

#include "base/error.h"

/* [a-zA-Z0-9][a-zA-Z0-9_.-]+, at most 128 letters. */
bool instance_name_valid(const char *name);

/* Descriptor of <root>/instances, made with by-name where missing. */
int instances_open(const char *root, struct error *err);

/* 64 random hex digits and a NUL. */
int instance_id_make(char id[65], struct error *err);
bool instance_id_valid(const char *id);

/* Gives `id` the name; -EEXIST says who has it. A link to an instance that is gone counts as free. */
int name_take(int instances, const char *name, const char *id, struct error *err);
/* As name_take() of two words by chance; *name is the caller's. */
int name_invent(int instances, const char *id, char **name, struct error *err);
/* Removes the link if it leads to `id`. */
int name_drop(int instances, const char *name, const char *id, struct error *err);
/* The id that the name leads to; -ENOENT (without a text). */
int name_resolve(int instances, const char *name, char id[65]);
