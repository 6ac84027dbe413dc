/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The control socket's command that changes what a disk or a network card may do in a second. */
#pragma once

#include "base/json.h"

struct vmm;

/* "disk" or "network": its number, from 0 in the order of the command line; "bytes" and "operations": RATE[:BURST]. */
int rates_command(struct vmm *vmm, const struct json_at *request, json_t *answer, struct error *err);
