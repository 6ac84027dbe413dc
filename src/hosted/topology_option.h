/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The option --cpus: "4", or "4,cores=2,threads=2", with sockets= too where that is more than what is left. */
#pragma once

#include "base/error.h"
#include "machine/topology.h"

/* Without more than a number, all CPUs are cores of one socket. -EINVAL where the parts do not make the whole. */
int topology_parse(const char *text, struct topology *topology, struct error *err);
