/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Dockerfile instructions that change only an image's configuration, as `--change` gives them: CMD, ENTRYPOINT, ENV,
 * EXPOSE, HEALTHCHECK, LABEL, ONBUILD, STOPSIGNAL, USER, VOLUME, WORKDIR.
 */
#pragma once

#include <jansson.h>

#include "base/error.h"

/* Applies one instruction to the member "config" of an image's configuration. -EINVAL names the instruction. */
int change_apply(json_t *config, const char *instruction, struct error *err);
