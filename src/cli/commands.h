/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Every command there is, under every name it has.
 */
#pragma once

#include "cli/command.h"

extern const struct command_name commands[];
