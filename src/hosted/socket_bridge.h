/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Streams between the guest and programs of this host: the guest's vsock on one side, Unix sockets on the other.
 *
 * A program connects to PATH, writes "CONNECT <port>\n", reads "OK <port of the host>\n" and then talks to whoever
 * listens on that port in the guest. A guest that connects to port N of the host (context identifier 2) reaches
 * whoever listens at PATH_N. That is how Firecracker and Cloud Hypervisor have it, so their tools work with it.
 */
#pragma once

#include "base/error.h"

struct vmm;
struct socket_bridge;

/* Listens at `path`; a socket that a dead process left there is replaced, anything else is not. */
int socket_bridge_open(struct vmm *vmm, const char *path, struct socket_bridge **bridge, struct error *err);
/* The folder of PATH and PATH_N, to be freed; and: it has become the root of this process. */
char *socket_bridge_folder(const struct socket_bridge *bridge);
void socket_bridge_root_changed(struct socket_bridge *bridge);
/* The processors have stopped. Removes PATH. */
void socket_bridge_close(struct socket_bridge *bridge);
