/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What an instance's monitor and its clients say to each other: one packet of a SOCK_SEQPACKET socket is one message.
 *
 * The socket is <state>/instances/<id>/socket; whoever starts an instance has a connection to its monitor from the
 * first moment on. A client begins with MESSAGE_HELLO (the starter does not: the monitor is told by its configuration).
 * Both ends are ours and of the same user, and of the same version as long as the instance runs; still each length is
 * checked.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#define MESSAGE_DATA_MAX 16384

enum message_type {
        /* to the monitor */
        MESSAGE_HELLO = 'h',  /* u32: flags, below */
        MESSAGE_INPUT = 'i',  /* bytes for standard input; none: its end */
        MESSAGE_RESIZE = 'r', /* u16 rows, u16 columns */
        MESSAGE_SIGNAL = 's', /* i32: signal for the first process; answered by DONE */
        MESSAGE_STOP = 't',   /* i32 signal (0: its own), i32 milliseconds until SIGKILL (-1: its own) */
        MESSAGE_FREEZE = 'p', /* i32: 1 pause, 0 go on; answered by DONE */
        MESSAGE_POLICY = 'u', /* text: restart policy; answered by DONE */
        /* from the monitor */
        MESSAGE_STARTED = 'a', /* nothing: the program runs */
        MESSAGE_FAILED = 'f',  /* i32 exit code (125, 126, 127), text: it does not */
        MESSAGE_OUTPUT = 'o',
        MESSAGE_ERROR = 'e',  /* bytes of the two streams */
        MESSAGE_NOTICE = 'n', /* text, before EXITED: what a person should know about the end */
        MESSAGE_EXITED = 'q', /* i32 exit code */
        MESSAGE_ENDED = 'z',  /* nothing: no restart follows, the container is deleted, the monitor ends now */
        MESSAGE_DONE = 'y',   /* i32 negative errno or 0, text */
};

enum hello_flags {
        HELLO_STREAMS = 1, /* wants the output */
        HELLO_INPUT = 2,   /* may give input; a hang-up without its end leaves it open, but for ONCE */
        HELLO_EXIT = 4,    /* wants EXITED and ENDED */
        HELLO_FINISH = 8,  /* will clean up after ENDED (instance_finish()): the monitor need not */
        HELLO_ONCE = 16,   /* the only one to give input: its hang-up ends that, too (docker's StdinOnce) */
};

/* Sends in one packet a type, `number_count` 32-bit numbers and bytes. Returns 0 or a negative errno (-EAGAIN if it
 * would block). */
int message_send(int fd, enum message_type type, const int32_t *numbers, size_t number_count, const void *data,
                 size_t length);

struct message {
        enum message_type type;
        size_t length;
        char data[MESSAGE_DATA_MAX + 64]; /* NUL-terminated after length */
};
/* Returns 1 with a message, 0 at the end, -EAGAIN, or another negative errno. */
int message_receive(int fd, struct message *message);
/* The i-th number at the front of a message, 0 where it is shorter. */
int32_t message_number(const struct message *message, size_t i);
/* The text after `numbers` numbers. */
const char *message_text(const struct message *message, size_t numbers);
