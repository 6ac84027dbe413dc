/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The device files of a container, and the links that go with them.
 *
 * OCI runtime-spec config-linux.md "Devices" and "Default Devices", runtime-linux.md "Dev symbolic links". Everything
 * is made relative to descriptors; `/dev` of the image must be a real folder, and links inside it lead nowhere but
 * inside it.
 */
#pragma once

#include <stdbool.h>
#include <sys/types.h>

#include "base/error.h"
#include "base/json.h"

struct device_node {
        char *path;  /* absolute, without "." and ".."; owned */
        mode_t mode; /* type and permissions */
        dev_t device;
        uid_t uid; /* as seen in the container */
        gid_t gid;
};

/*
 * Reads linux.devices and adds the default devices that it does not name. The array is the caller's, to
 * device_nodes_free().
 */
int device_nodes_parse(const struct json_at *array, struct device_node **nodes, size_t *count, struct error *err);
void device_nodes_free(struct device_node *nodes, size_t count);

/*
 * Makes them beneath `root`. `bind` (in a user namespace, where mknod(2) is forbidden) mounts the host's device of
 * the same path; the host's root must still be the caller's. One that exists is left alone if it is that device, else
 * -EEXIST. The caller's umask must be 0.
 */
int device_nodes_make(int root, const struct device_node *nodes, size_t count, bool bind, struct error *err);

/* /dev/fd, stdin, stdout, stderr, core (where what they point to exists) and ptmx. */
int device_links_make(int root, struct error *err);

/* Mounts the terminal `slave` on /dev/console. */
int device_console_bind(int root, int slave, struct error *err);
