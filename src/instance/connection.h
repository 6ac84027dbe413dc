/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The client's side of a connection to an instance's monitor (message.h), with the caller's streams or terminal on it.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/error.h"
#include "instance/instance.h"

/* Connects to a running instance's monitor and says hello. -ESRCH where nobody listens. */
int connection_open(const struct instance *instance, uint32_t hello_flags, struct error *err);

/* Waits for DONE and returns its code with its text. */
int connection_await_done(int connection, struct error *err);

struct detach_keys {
        unsigned char keys[16];
        size_t count;
};
/* "ctrl-p,ctrl-q", single letters, "ctrl-@…_"; NULL is the default. -EINVAL. */
int detach_keys_parse(const char *text, struct detach_keys *keys, struct error *err);
/* Feeds one byte; returns 1 when the sequence is complete, 0 for more to come (the byte is held back), -1 when it is
 * not a part: `held` bytes before it were held back and go out first. */
int detach_keys_feed(const struct detach_keys *keys, size_t *position, unsigned char byte, size_t *held);

/* Waits for ENDED, or a hang-up, after EXITED has come. */
void connection_await_end(int connection);

/*
 * Copies until the instance has exited: *exit_code. *ended (NULL: it returns at the first exit) tells that the
 * monitor said it is over for good (ENDED). -1 as exit code: the user detached. A hang-up without an exit is -EPIPE:
 * the monitor is gone.
 */
int connection_copy(int connection, const struct attachment *attachment, bool tty, int *exit_code, bool *ended,
                    struct error *err);
