/* SPDX-License-Identifier: GPL-2.0-or-later */
/* A Unix socket that listens at a path. */
#pragma once

#include "base/error.h"

/* Returns its descriptor. A socket file at which nobody answers any more is replaced; anything else is in the way. */
int listener_open(const char *path, struct error *err);
