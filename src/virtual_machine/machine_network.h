/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A virtual machine's place on a network: the same lease, names, rules and veth pair as an instance's (network/network.h),
 * in a network namespace of the machine's own, where a bridge joins the pair's end to the tap of the guest's card.
 *
 * The guest's card has the hardware address of the lease; so whoever sends to the leased address reaches the guest, once the
 * guest has taken it. Everything ends with the namespace: network_release().
 */
#pragma once

#include <jansson.h>

#include "base/error.h"
#include "virtual_machine/virtual_machine.h"

/*
 * Makes all of it. *attachment is network_attach()'s, the caller's; *namespace a descriptor. Without a network (--net none)
 * *attachment is NULL, *namespace -1, and nothing is made.
 */
int machine_network_make(struct vm *vm, const struct vm_settings *settings, json_t **attachment, int *namespace,
                         struct error *err);
/* Nothing there is success. */
int machine_network_release(struct vm *vm, struct error *err);

/*
 * "ip=ADDRESS::GATEWAY:MASK:NAME:eth0:off": how Linux is told its address on its command line
 * (Documentation/admin-guide/nfs/nfsroot.rst); Debian's initial RAM disks read it, too. The caller's, NULL without memory.
 */
char *machine_network_ip_option(const json_t *attachment, const char *name);
