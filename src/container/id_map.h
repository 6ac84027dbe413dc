/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The user and group numbers of a user namespace: OCI runtime-spec config-linux.md "User namespace mappings",
 * user_namespaces(7).
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/error.h"
#include "base/json.h"

struct id_map_range {
        uint32_t container, host, size; /* container..container+size-1 inside are host..host+size-1 outside */
};

struct id_map {
        struct id_map_range *ranges; /* owned */
        size_t count;
};

/*
 * Reads a list of {containerID, hostID, size}; absent gives an empty map. Empty, overflowing and overlapping ranges
 * are misfits.
 */
int id_map_parse(const struct json_at *array, struct id_map *map);
void id_map_free(struct id_map *map);

/* Whether the number inside has one outside. */
bool id_map_holds(const struct id_map *map, uint32_t container);

/*
 * Makes a user namespace with these mappings. Without privilege, newuidmap and newgidmap write what the kernel would
 * refuse, and setgroups(2) is denied where groups could only be mapped that way. Returns a descriptor of the
 * namespace.
 */
int user_namespace_create(const struct id_map *uids, const struct id_map *gids, struct error *err);
