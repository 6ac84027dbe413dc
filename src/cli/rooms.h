/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The image store and the networks of the call's host, opened; the caller closes them. */
#pragma once

#include "base/cleanup.h"
#include "cli/command.h"
#include "image/store.h"
#include "network/network.h"

DEFINE_CLEANUP(store, struct store, store_close)
DEFINE_CLEANUP(networks, struct networks, networks_close)
#define _cleanup_store_    _cleanup_(store)
#define _cleanup_networks_ _cleanup_(networks)

int call_store(struct call *call, struct store **store, struct error *err);
/* Loads the image that comes with onggi if the reference names it and it is not there: 1. Otherwise 0. */
int image_bring(struct call *call, const char *reference, struct error *err);
int call_networks(struct call *call, struct networks **networks, struct error *err);
