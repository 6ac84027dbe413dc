/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The guest's network as machine.json has it: interfaces found by their hardware addresses, names, sizes, addresses,
 * routes; the loopback interface. By rtnetlink(7).
 */
#pragma once

#include "base/error.h"
#include "guest/machine_config.h"

int guest_network_set_up(const struct machine_config *config, struct error *err);
