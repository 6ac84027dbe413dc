/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The talk between the runtime and the processes that it starts in a container: one message a packet over a socket
 * pair, or one message through the result FIFO of a created container.
 *
 * When a process ends, the other side reads the end of the stream (MESSAGE_END): so does a program that was executed,
 * because every descriptor of the channel is close-on-exec. Nothing that a container's program wrote ever arrives
 * here.
 */
#pragma once

#include <sys/types.h>

#include "base/error.h"

enum message_type {
        MESSAGE_END,        /* the other side is gone */
        MESSAGE_ERROR,      /* code and text: it failed and ends now */
        MESSAGE_WARNING,    /* text, for the log */
        MESSAGE_PROCESS,    /* code: number of the process that was started on the runtime's behalf */
        MESSAGE_NAMESPACES, /* namespaces are there, nothing is mounted; waits for MESSAGE_CONTINUE */
        MESSAGE_HOOKS,      /* the root is mounted, not entered; waits for MESSAGE_CONTINUE */
        MESSAGE_TERMINAL,   /* a descriptor: the terminal's master */
        MESSAGE_NOTIFY,     /* a descriptor: seccomp's listener; waits for MESSAGE_CONTINUE */
        MESSAGE_READY,      /* all is set up; waits for MESSAGE_CONTINUE */
        MESSAGE_CONTINUE,
};

struct message {
        int type;
        int code;
        char text[sizeof(((struct error *)0)->text)];
};

/* A pair of connected ends, both close-on-exec. */
int channel_open(int ends[2], struct error *err);

/* Sends type and code, text (may be NULL) and a descriptor (-1: none). 0 or a negative errno; never SIGPIPE. */
int channel_send(int channel, enum message_type type, int code, const char *text, int fd);

/* Waits for a message. A descriptor that comes along is the caller's, in *fd (NULL: closed; -1 if none came). */
int channel_receive(int channel, struct message *message, int *fd, struct error *err);

/* Waits for MESSAGE_CONTINUE; -ECANCELED when the other side is gone. */
int channel_wait(int channel, struct error *err);

/* Writes MESSAGE_ERROR to a channel or to a FIFO. */
void channel_report(int fd, const struct error *err);
/*
 * Reads one message from a channel or FIFO until the end of the stream: 0 when nothing was said, else the error that
 * was.
 */
int channel_result(int fd, struct error *err);
