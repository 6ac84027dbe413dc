/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Published ports: whether they are free on the host, the choice of free ones, and their form in lease files.
 *
 * struct published_port itself is in network.h, as it is part of what an instance's author asks for.
 */
#pragma once

#include "base/text.h"
#include "network/address.h"
#include "network/network.h"

/* The host address as a value; family 0 for "": all addresses of both families. */
struct address published_port_address(const struct published_port *port);
/* Whether the port is reachable through host addresses of this family. */
bool published_port_serves(const struct published_port *port, int family);
/* Whether both claim a host port of the same protocol on the same host address. */
bool published_port_conflicts(const struct published_port *a, const struct published_port *b);

/* "tcp,127.0.0.1,8080,80,1": protocol, host address or "*", host port, container port, count. */
void published_port_write(const struct published_port *port, struct text *text);
/* Reads that form; `text` is changed on the way. Returns 0 or -EINVAL. */
int published_port_read(char *text, struct published_port *port);

/* "127.0.0.1:8080-8082/tcp", for messages. Returns `text`. */
#define PUBLISHED_PORT_TEXT 80
const char *published_port_format(const struct published_port *port, char text[static PUBLISHED_PORT_TEXT]);

/*
 * Tries to bind every host port of the range, on each family that it serves. Returns 0, -EADDRINUSE, -EADDRNOTAVAIL
 * (the address is not this host's) or another negative errno, with a text.
 */
int published_port_probe(const struct published_port *port, struct error *err);

/* Says whether a candidate is taken by others than the host's sockets: returns who has it, or NULL. */
typedef const char *(*port_owner)(const struct published_port *port, void *data);

/*
 * Makes sure that the host ports are free, or chooses free ones (host 0, or a choice of several). `owner` may not be
 * NULL. On success port->host is set and port->choices is 1. Returns 0, -EADDRINUSE with a text that names the port,
 * or another error.
 */
int published_port_claim(struct published_port *port, port_owner owner, void *data, struct error *err);
