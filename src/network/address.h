/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * IP addresses and subnets of either family as values: read, written, compared, counted.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>

#include "base/error.h"

/* In network byte order; family is AF_INET (4 bytes used), AF_INET6 (16) or 0 for "none". The unused bytes are zero. */
struct address {
        int family;
        uint8_t bytes[16];
};

#define ADDRESS_TEXT 48 /* room for any address with its NUL */

struct subnet {
        struct address base; /* its bits behind the prefix are zero */
        unsigned prefix;
};

/* Return 0 or -EINVAL without a text of their own: the caller knows what the text was for. */
int address_parse(const char *text, struct address *address);
int subnet_parse(const char *text, struct subnet *subnet);

/* Both return `text`; an address of family 0 is written "". */
const char *address_format(const struct address *address, char text[static ADDRESS_TEXT]);
const char *subnet_format(const struct subnet *subnet, char text[static ADDRESS_TEXT + 4]);

static inline size_t address_length(const struct address *address)
{
        return address->family == AF_INET6 ? 16 : address->family == AF_INET ? 4 : 0;
}
bool address_equal(const struct address *a, const struct address *b);
bool subnet_contains(const struct subnet *subnet, const struct address *address);
bool subnet_overlaps(const struct subnet *a, const struct subnet *b);

/*
 * The subnet's address number `n`; hosts count from 1. Numbers beyond the subnet wrap within 64 bits: check them
 * first.
 */
struct address subnet_host(const struct subnet *subnet, uint64_t n);
/* The number of an address that the subnet contains (its low 64 bits at most). */
uint64_t subnet_number(const struct subnet *subnet, const struct address *address);
/* The last number that a host may have: without the broadcast address in IPv4; at most 2^62. 0: no room for hosts. */
uint64_t subnet_last_host(const struct subnet *subnet);

/* A hardware address that follows from the IP address, so it stays the same when an instance is started again. */
void address_mac(const struct address *address, uint8_t mac[static 6]);
int mac_parse(const char *text, uint8_t mac[static 6]);
#define MAC_TEXT 18
const char *mac_format(const uint8_t mac[static 6], char text[static MAC_TEXT]);
