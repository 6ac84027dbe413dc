/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A machine's console between onggi-vmm, which has one end of a socket as standard input and output, and whoever connects
 * to the Unix socket "console" in the run folder.
 *
 * The newest output is kept, so that a client sees what came before it: each has a place in the stream of output, begins at
 * the oldest byte there is, and loses what it is too slow for; the guest never waits for a client. What clients type is
 * passed on in the order in which it comes. One thread, poll(2).
 */
#pragma once

#include <poll.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define CONSOLE_KEPT    (64 * 1024)
#define CONSOLE_CLIENTS 8
#define CONSOLE_FDS     (CONSOLE_CLIENTS + 2) /* that console_relay_poll() fills in */

struct console_client {
        int fd; /* -1: a free place */
        uint64_t place;
};

struct console_relay {
        int guest; /* -1: the machine has ended */
        int listener;
        uint64_t written; /* bytes of output so far */
        struct console_client clients[CONSOLE_CLIENTS];
        char typed[1024]; /* for the guest */
        size_t typed_length;
        uint8_t kept[CONSOLE_KEPT];
};

/* Takes `guest` over and listens at `path`, which a dead process may have left behind. Returns 0 or a negative errno. */
int console_relay_open(struct console_relay *relay, int guest, const char *path);
/* Fills in what to wait for; entries that are not used have an fd of -1. */
void console_relay_poll(const struct console_relay *relay, struct pollfd fds[CONSOLE_FDS]);
/* What poll(2) said of the same entries. */
void console_relay_serve(struct console_relay *relay, const struct pollfd fds[CONSOLE_FDS]);
/* The machine has ended: brings its last words to the clients, for at most a second, and lets them go. */
void console_relay_close(struct console_relay *relay);
