/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Bytes that a file, or all of a folder's, take on disk; links are not followed, depth is bounded.
 */
#pragma once

#include <stdint.h>

uint64_t disk_usage(int dir, const char *name);
