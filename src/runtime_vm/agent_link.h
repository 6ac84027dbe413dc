/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The host's end of the talk with a guest's agent (guest/agent.h), through onggi-vmm's socket in the machine's folder.
 *
 * The guest is a stranger: frames are bounded by frame.h, waiting is bounded here, and what comes out of turn is an error
 * of that one connection.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "base/error.h"
#include "guest/agent.h"

/* In the machine's folder: onggi-vmm's --vsock and --control. */
#define AGENT_LINK_SOCKET  "vsock"
#define AGENT_LINK_CONTROL "control"

/* How long a guest may take for what costs it nothing. */
#define AGENT_SECONDS 10

/* More states than a guest can have: who tells as many keeps us waiting on purpose. */
#define AGENT_STATES_MAX 16

/*
 * Connects to the agent of the machine whose folder that is. A blocking connection whose reads and writes fail with -EAGAIN
 * after AGENT_SECONDS. -ECONNREFUSED: nobody listens there (yet).
 */
int agent_connect(int folder, struct error *err);

/* Receives a frame; -ECONNRESET at the end of the connection. *data is the caller's. Returns the type. */
int agent_receive(int connection, char **data, size_t *length, struct error *err);

/* What an AGENT_ERROR says, as an error. */
int agent_failure(const char *data, size_t length, struct error *err);

/* A control connection, and a command on it that is answered by AGENT_DONE or AGENT_ERROR. */
int agent_control(int folder, struct error *err);
int agent_command(int control, enum agent_type type, const void *data, size_t length, struct error *err);
