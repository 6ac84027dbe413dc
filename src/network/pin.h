/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Pinned network namespaces: <state>/netns/<instance>, a namespace's file bound over an empty one, keeps it alive without a
 * process in it. netns_make() and netns_remove() are in network.h. A lease is valid as long as its instance's pin is there.
 */
#pragma once

#include "network/handle.h"

/* Opens the pinned namespace. -ENOENT with a text where there is none. */
int pin_open(struct networks *networks, const char *instance, struct error *err);
bool pin_exists(struct networks *networks, const char *instance);

/* A routing socket that speaks to the namespace of the descriptor. */
int pin_route(struct networks *networks, int namespace, struct netlink **route, struct error *err);

/* Removes the pins of all that are not in the list. */
int pins_remove_others(struct networks *networks, char *const *instances, struct error *err);
