/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Quantities as docker shows them to people: sizes, how long ago, how long since.
 */
#pragma once

#include <stdint.h>

#define HUMAN_ROOM 32

/* Three digits and a decimal unit: "0B", "7.34MB", "142GB". Returns text. */
const char *human_size(uint64_t bytes, char text[HUMAN_ROOM]);
/* Four digits and a binary unit: "0B", "1.945GiB". Returns text. */
const char *human_size_binary(uint64_t bytes, char text[HUMAN_ROOM]);
/* "Less than a second", "42 seconds", "About a minute", "3 hours", "2 weeks"; a negative number counts as 0. Returns text. */
const char *human_duration(int64_t seconds, char text[HUMAN_ROOM]);
