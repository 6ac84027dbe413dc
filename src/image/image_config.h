/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * An image's configuration (image-spec config.md, with docker's Healthcheck, OnBuild, Shell and ArgsEscaped).
 */
#pragma once

#include <jansson.h>
#include <stddef.h>

#include "base/error.h"
#include "image/digest.h"

/*
 * Checks every field's type and form. *diff_ids (may be NULL) is the caller's to free: an array of *count, bottom
 * first. -EINVAL names the field.
 */
int image_config_check(const json_t *config, const char *what, struct digest **diff_ids, size_t *count,
                       struct error *err);
