/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * `save`: images become a docker archive, an OCI archive or an OCI layout folder. The same images give the same bytes.
 */
#pragma once

#include "base/error.h"
#include "image/store.h"

/*
 * `references`: a NULL-terminated list; those that are names go along. `format`: "docker-archive", "oci-archive" or
 * "oci-dir". `output` NULL: standard output. A file appears under its name only when it is complete; a folder must not
 * be there before.
 */
int image_save(struct store *store, char *const *references, const char *format, const char *output, struct error *err);
