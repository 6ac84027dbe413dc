/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Where `save` puts files: a tar archive (a file or standard output) or a folder.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/cleanup.h"
#include "base/error.h"

struct package;

/* `output` NULL: standard output, which must not be a terminal (and no folder). */
int package_open(const char *output, bool folder, struct package **package, struct error *err);

/* Begins a file of that size; a name that ends in "/" is a folder. The data follows, piece by piece. */
int package_begin(struct package *package, const char *name, uint64_t size, struct error *err);
int package_data(struct package *package, const void *data, size_t length, struct error *err);
/* Both at once. */
int package_file(struct package *package, const char *name, const void *data, size_t length, struct error *err);

/* Ends it: now it has its name. */
int package_finish(struct package *package, struct error *err);
/* Removes what package_finish() has not ended. NULL does nothing. */
void package_close(struct package *package);
DEFINE_CLEANUP(package, struct package, package_close)
#define _cleanup_package_ _cleanup_(package)
