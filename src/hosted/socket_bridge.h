/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Streams between the guest and programs of this host: the guest's vsock on one side, Unix sockets on the other.
 *
 * A program connects to PATH, writes "CONNECT <port>\n", reads "OK <port of the host>\n" and then talks to whoever
 * listens on that port in the guest. A guest that connects to port N of the host (context identifier 2) reaches
 * whoever listens at PATH_N. That is how Firecracker and Cloud Hypervisor have it, so their tools work with it.
 *
 * A port of the host may instead lead to a descriptor that this process was started with: standard input and output of a
 * program in the guest. The first who connects to it gets it. When the guest ends its side, what it sent is passed on,
 * and then the host ends its side too: so the guest knows that nothing is lost.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/error.h"

struct vmm;
struct socket_bridge;

/* Listens at `path`; a socket that a dead process left there is replaced, anything else is not. */
int socket_bridge_open(struct vmm *vmm, const char *path, struct socket_bridge **bridge, struct error *err);
/* The folder of PATH and PATH_N, to be freed; and: it has become the root of this process. */
char *socket_bridge_folder(const struct socket_bridge *bridge);
void socket_bridge_root_changed(struct socket_bridge *bridge);
/* "PORT=DESCRIPTOR". The descriptor is taken over; others who share it notice nothing of it. -EINVAL, -EBADF. */
#define SOCKET_BRIDGE_STREAMS_MAX 8
int socket_bridge_inherit(struct socket_bridge *bridge, const char *text, struct error *err);

/*
 * Connects a socket of ours (taken over, with O_NONBLOCK) to the guest's port; what comes through it first is the line
 * "OK <port>". False where the guest takes no connections. The machine's lock is held.
 */
bool socket_bridge_connect(struct socket_bridge *bridge, uint32_t port, int fd);

/* Whether bytes of the guest wait for an inherited descriptor to take them: the loop's next turns pass them on. */
bool socket_bridge_holds_output(struct socket_bridge *bridge);

/* The processors have stopped. Removes PATH. */
void socket_bridge_close(struct socket_bridge *bridge);
