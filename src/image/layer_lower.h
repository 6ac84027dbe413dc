/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A file of the layers below, as the image shows it there: what a hard link of a layer above may lead to.
 */
#pragma once

#include "base/error.h"

/*
 * `roots`: of the layers below, bottom first. A descriptor for reading; -ENOENT, also where it was removed; -EINVAL: no
 * regular file.
 */
int lower_open(char *const *roots, const char *name, struct error *err);

/* Copies it, with owner, mode, attributes and times, to `base` in the folder `parent`, where nothing is. */
int lower_copy(int from, int parent, const char *base, struct error *err);
