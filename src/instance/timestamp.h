/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Points in time as text: RFC 3339 in UTC with nanoseconds, and what people write after --since and --until.
 */
#pragma once

#include <time.h>

#define TIMESTAMP_SIZE 31 /* "2026-01-02T03:04:05.678901234Z" and a NUL */

/* Always nine places after the point, so that texts sort as times do. */
void timestamp_format(const struct timespec *time, char text[TIMESTAMP_SIZE]);
void timestamp_now(char text[TIMESTAMP_SIZE]);

/* RFC 3339 with an optional fraction, "Z" or an offset; a date, or date and time, alone is UTC. Returns 0 or -EINVAL.
 * */
int timestamp_parse(const char *text, struct timespec *time);
/* As timestamp_parse(), and seconds since the epoch, and a duration that counts back from now ("10m"). */
int timestamp_parse_loose(const char *text, struct timespec *time);

int timestamp_compare(const struct timespec *a, const struct timespec *b);
