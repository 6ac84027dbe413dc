/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A manifest for a configuration and layers that are in the store: how an image comes to be that had none.
 */
#pragma once

#include <stddef.h>

#include "base/error.h"
#include "image/adding.h"
#include "image/manifest.h"

/* Writes the manifest's blob; *manifest describes it. The layers' media types must be OCI's. */
int compose_manifest(struct adding *adding, const struct descriptor *config, const struct descriptor *layers,
                     size_t count, struct descriptor *manifest, struct error *err);
