/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Pins: what instances hold. A pin is a symbolic link, for it is made in one step and its text needs no file to be
 * written.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "base/error.h"
#include "image/digest.h"

struct store;

/* The digests of all pinned manifests; the caller frees *digests. */
int pin_list(struct store *store, struct digest **digests, size_t *count, struct error *err);

/* One holder of the manifest, for errors; *holder stays NULL where there is none. The caller frees it. */
int pin_holder(struct store *store, const struct digest *digest, char **holder, struct error *err);
