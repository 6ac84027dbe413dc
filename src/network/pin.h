/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Pinned network namespaces: <state>/netns/<instance>, a namespace's file bound over an empty one, keeps it alive
 * without a process in it. netns_make() and netns_remove() are in network.h. A lease is valid as long as its
 * instance's pin is there.
 */
#pragma once

#include "network/handle.h"

/* Opens the pinned namespace. -ENOENT with a text where there is none. */
int pin_open(struct networks *networks, const char *instance, struct error *err);
bool pin_exists(struct networks *networks, const char *instance);

/* A routing socket that speaks to the namespace of the descriptor. */
int pin_route(int namespace, struct netlink **route, struct error *err);

/* Removes the pins of all that are not in the list. */
int pins_remove_others(struct networks *networks, char *const *instances, struct error *err);

/*
 * Where the bridges of an ordinary user are: a namespace ".bridges" of its own, made when it is needed. A routing
 * socket that speaks to it.
 */
int pin_bridges_route(struct networks *networks, struct netlink **route, struct error *err);
/* Removes it, with the bridges. Under networks_lock(), without leases. */
int pin_bridges_remove(struct networks *networks, struct error *err);
