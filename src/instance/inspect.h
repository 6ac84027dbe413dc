/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Parts of docker's inspect object: what an instance was told, as opposed to what it has become (inspect.c).
 *
 * All are the caller's; NULL without memory.
 */
#pragma once

#include <jansson.h>

#include "instance/settings.h"

/* An array of the strings, or null where there is no list. */
json_t *inspect_list(char *const *list);
/* An object of "key=value" lines. */
json_t *inspect_map(char *const *lines);
/* "HostConfig". */
json_t *inspect_host_config(const struct instance_settings *settings);
