/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The descriptors of a tap device: Linux Documentation/networking/tuntap.rst. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/error.h"

#define TAP_DEFAULT_MTU 1500

/* Attaches to the interface `name`, made if it is not there; `shared`: as one of several queues. A descriptor. */
int tap_device_open(const char *name, bool shared, struct error *err);
/* Takes over a descriptor that was opened for us; returns it. */
int tap_device_take(int fd, struct error *err);
/* The MTU of the interface is the guest's too. */
uint16_t tap_device_mtu(int fd);
/* NETWORK_GUEST_… that the guest takes. */
void tap_device_set_offloads(int fd, unsigned taken);
/* Whether the kernel gives frames to this queue. */
void tap_device_use_queue(int fd, bool used);
