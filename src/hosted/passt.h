/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The user-mode network of a guest: passt(1), a process of its own that turns frames into sockets of the host, so that
 * no privilege is needed. Frames cross a stream socket, each behind its length in 4 bytes, the highest first.
 *
 * It is started before the jail and watched: when it ends, the guest's cable is out, and the log says so. It ends with
 * our end of the socket. The machine's lock is held around every call but open and close.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"
#include "machine/virtio/queue.h"

struct passt;

/* Ports as passt's --tcp-ports and --udp-ports have them; empty: none. */
struct passt_settings {
        char tcp[512], udp[512];
};

/* passt gives its guest an MTU of that size: 65535 bytes less Ethernet's header, in whole words. */
#define PASST_MTU 65520

/* "[ADDRESS:]HOST:GUEST[/udp]" into the settings. -EINVAL. */
int passt_publish(struct passt_settings *settings, const char *text, struct error *err);

int passt_open(const struct passt_settings *settings, struct passt **passt, struct error *err);
void passt_close(struct passt *passt);
int passt_descriptor(const struct passt *passt);

/* Takes a frame; keeps what the socket does not take now. Only while nothing is kept: passt_flush(). */
void passt_send(struct passt *passt, const struct virtqueue_part *parts, unsigned count);
/* Sends what is kept. False: there is still something. */
bool passt_flush(struct passt *passt);
/* The next frame, 0 if there is none now, -EPIPE when passt has ended. */
int passt_receive(struct passt *passt, uint8_t *frame, size_t room);
/* Whether a frame has come that nobody has taken yet. */
bool passt_has_frame(const struct passt *passt);
/* What became of it, once it has ended: a line for the log. */
void passt_explain(struct passt *passt, char *text, size_t room);
