/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What comes in on the control socket: lines of JSON, from whoever may open it.
 *
 * Bytes are collected until there is a line feed. A line that does not fit is told from one that is not there yet, and one
 * that is no request gets its reason.
 */
#pragma once

#include <stddef.h>

#include "base/json.h"

#define REQUEST_LINE_MAX 1024 /* with its line feed */

struct request_line {
        char data[REQUEST_LINE_MAX];
        size_t length;
};

/* Room for more bytes at data + length; 0: the line is too long. */
size_t request_line_room(const struct request_line *line);
/* The length of the first whole line, without its line feed, or -1. */
int request_line_first(const struct request_line *line);
/* Takes the first `length` bytes and their line feed away. */
void request_line_drop(struct request_line *line, size_t length);

/* The object of a line and its command, which borrows from it. *value is the caller's. -EINVAL. */
int request_parse(const char *line, size_t length, json_t **value, const char **command, struct error *err);
/* An answer that says what failed, with a line feed; the caller's, NULL without memory. */
char *request_refusal(const struct error *err);
