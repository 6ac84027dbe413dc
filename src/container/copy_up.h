/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The mount option tmpcopyup: a new tmpfs starts with a copy of what the folder that it covers holds.
 */
#pragma once

#include "base/error.h"

/*
 * Copies the tree below the folder `from` into the empty folder `to`: files, folders, links, pipes and devices with
 * owners, permissions and times. Neither follows links nor leaves `from`'s file system.
 */
int copy_up(int from, int to, struct error *err);
