/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Which instances use a volume, read from their configurations; those that do not run count too.
 */
#pragma once

#include "base/error.h"

struct host;

/* Appends the names of the instances that use the volume. */
int volume_users(struct host *host, const char *name, char ***users, struct error *err);
