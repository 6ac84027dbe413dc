/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Method calls over D-Bus, as few as a runtime needs to ask systemd for a scope.
 *
 * D-Bus specification, "Message Protocol" and "Authentication Protocol" (EXTERNAL); little-endian messages. A
 * connection is made, used for a few calls one after the other, and closed; nothing is cached. What the other end sends
 * is bounded and checked before use, and no call waits for more than half a minute.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/cleanup.h"
#include "base/error.h"
#include "base/text.h"

/* ---- arguments: values in order, as the signature says ---- */

struct dbus_arguments {
        struct text bytes;
        char signature[32];
};

void dbus_put_u32(struct dbus_arguments *arguments, uint32_t value); /* also "b", a boolean */
void dbus_put_u64(struct dbus_arguments *arguments, uint64_t value);
void dbus_put_string(struct dbus_arguments *arguments, const char *value); /* also "o", an object's path */
/* A signature inside a variant; the value of that type has to follow. */
void dbus_put_signature(struct dbus_arguments *arguments, const char *value);
/* A struct's or dictionary entry's start. */
void dbus_put_struct(struct dbus_arguments *arguments);
/*
 * Returns what dbus_end_array() needs; `alignment` is that of the elements' type (8 for structs and 64-bit numbers,
 * else 4).
 */
size_t dbus_begin_array(struct dbus_arguments *arguments, size_t alignment);
void dbus_end_array(struct dbus_arguments *arguments, size_t begun, size_t alignment);

/* ---- a connection ---- */

struct dbus;

/*
 * Connects to a socket and authenticates as the caller. `broker` says that a message bus answers there, which wants a
 * greeting; systemd's private sockets speak directly. *bus is the caller's.
 */
int dbus_open(const char *path, bool broker, struct dbus **bus, struct error *err);
void dbus_close(struct dbus *bus);

struct dbus_method {
        const char *destination, *path, *interface, *member;
};

/*
 * Calls and waits. Where `text` is not NULL the reply's first value must be a string or path and is copied there (the
 * caller's). An error reply is -EREMOTEIO with the other end's words; *err may say more in front of it.
 */
int dbus_call(struct dbus *bus, const struct dbus_method *method, const struct dbus_arguments *arguments, char **text,
              struct error *err);

/*
 * Waits for the signal systemd sends when the job at path `job` is over, which may have come already, and copies its
 * result ("done" where all is well; the caller's).
 */
int dbus_wait_job(struct dbus *bus, const char *job, char **result, struct error *err);

static inline void cleanup_dbus(struct dbus **bus)
{
        if (*bus)
                dbus_close(*bus);
}
