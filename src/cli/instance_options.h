/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The options of run, create and update that describe an instance. Each table fills a struct instance_settings, which
 * must stand at the beginning of the command's options.
 */
#pragma once

#include "base/options.h"

extern const struct option_spec program_option_table[]; /* what runs, and how it is called */
extern const struct option_spec file_option_table[];
extern const struct option_spec limit_option_table[]; /* all that `update` can change, too */
extern const struct option_spec fixed_limit_option_table[];
extern const struct option_spec right_option_table[];
extern const struct option_spec network_option_table[];
extern const struct option_spec care_option_table[]; /* log and health */
