/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The ids of an instance that has a user namespace of its own (--userns): which host ids they are, and who has which
 * range.
 *
 * `auto` takes a range of 65536 host ids that no other instance has, from the region that systemd's "UIDs and GIDs"
 * page sets aside for containers (0x00080000-0x6FFFFFFF). A range is taken by the symbolic link
 * <root>/instances/by-range/<n> -> ../<id>, as names are; an instance keeps it until it is removed.
 */
#pragma once

#include <stddef.h>

#include "base/error.h"
#include "instance/setting_text.h"

#define ID_RANGE_SIZE 65536

/* Takes a free range for the instance. */
int id_range_take(int instances, const char *id, struct id_range *range, struct error *err);
/* Gives back whatever range the instance has. */
int id_range_drop(int instances, const char *id, const struct id_range *range, struct error *err);

/* The host's id for `inside`, or -EINVAL where the map does not have it. */
int id_map_host(const struct id_range *ranges, size_t count, uint32_t inside, uint32_t *outside);

/* A descriptor of a new user namespace with this map for users and groups; it lives as long as the descriptor. */
int id_map_namespace(const struct id_range *ranges, size_t count, struct error *err);

/*
 * Pins the namespace at <state>/userns/<id>, so that the runtime can join it by path, and a network namespace that
 * belongs to it at `network` (a path that does not exist, or is not a mount yet; loopback is up in it): a container
 * may then mount its own /sys and configure its network.
 */
int id_map_pin(const char *state, const char *id, int userns, char **path, struct error *err);
int id_map_make_network(int userns, const char *network, struct error *err);
/* Unpins; nothing there is success. */
int id_map_unpin(const char *state, const char *id, struct error *err);
