/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Frames of the agent's protocol (agent.h) over a blocking connection.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "base/error.h"
#include "guest/agent.h"

/* The most that a frame of that type carries; -1: there is no such type. */
long frame_limit(unsigned type);

/* Sends a head, a part that may be empty, and another. Returns 0 or a negative errno. */
int frame_send(int fd, enum agent_type type, const void *first, size_t first_length, const void *second,
               size_t second_length);
/* AGENT_ERROR with the code and text of *err. */
int frame_send_error(int fd, const struct error *err);

/*
 * Receives a frame; *data (NUL-terminated behind its end) is the caller's. Returns its type, 0 at the end of the
 * connection, or a negative errno: -EPROTO for a frame that agent.h does not allow.
 */
int frame_receive(int fd, char **data, size_t *length);
