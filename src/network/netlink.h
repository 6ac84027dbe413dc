/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A netlink socket, through libmnl: requests are queued, then sent together and answered together.
 *
 * Owned by whoever opened it; it speaks to the network namespace that the thread was in at netlink_open(). The kernel
 * works through a batch while sendmsg(2) runs, so netlink_commit() never waits for anything but the kernel's own
 * work. A request that could not be queued for want of memory is remembered and reported by netlink_commit().
 * Protocol: netlink(7), rtnetlink(7); errors carry the kernel's own explanation (NETLINK_EXT_ACK) where it gives one.
 */
#pragma once

#include <libmnl/libmnl.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/cleanup.h"
#include "base/error.h"

struct netlink;

/* `bus` is NETLINK_ROUTE, NETLINK_NETFILTER, … */
int netlink_open(int bus, struct netlink **netlink, struct error *err);
void netlink_close(struct netlink *netlink);
DEFINE_CLEANUP(netlink, struct netlink, netlink_close)
#define _cleanup_netlink_ _cleanup_(netlink)

/* A message's payload may grow to this many bytes. */
#define NETLINK_MESSAGE_ROOM 8192

/*
 * Queues a message of `type` with `flags` besides NLM_F_REQUEST. The caller appends payload and attributes with
 * mnl_…_put(); the message is valid until the next call with this socket. Never NULL.
 */
struct nlmsghdr *netlink_request(struct netlink *netlink, uint16_t type, uint16_t flags);

/* Called with each message that answers; a negative return ends the walk and is passed on. */
typedef int (*netlink_reader)(const struct nlmsghdr *message, void *data);

/*
 * Sends what is queued and reads all answers. `reader` may be NULL where none but acknowledgements are expected.
 * Returns 0 or the first failure's negative errno with "<what>: <the kernel's explanation>" in *err; the queue is
 * empty afterwards.
 */
int netlink_commit(struct netlink *netlink, netlink_reader reader, void *data, const char *what, struct error *err);

/* Drops what is queued. */
void netlink_discard(struct netlink *netlink);
