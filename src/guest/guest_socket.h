/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * vsock between this guest and its host: vsock(7).
 */
#pragma once

#include "base/error.h"

/* Connects to a port of the host; the descriptor is the caller's. */
int guest_socket_connect(unsigned port, struct error *err);
/* Listens at a port; the descriptor does not block. */
int guest_socket_listen(unsigned port, struct error *err);
/* The next connection of the host, which does not block either; those of anybody else are closed. -EAGAIN: none. */
int guest_socket_accept(int listener);
