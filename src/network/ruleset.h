/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A batch of changes to one nftables table of the family "inet", through libnftnl: all of them happen or none.
 *
 * Lives on the stack and borrows the socket. Whatever could not be built for want of memory is reported by
 * ruleset_commit(). Registers are numbered in words of four bytes, from 0 (NFT_REG32_00), as the kernel's virtual
 * machine has them; a value of n bytes fills the words from its register on.
 */
#pragma once

#include <libnftnl/rule.h>
#include <linux/netfilter/nf_tables.h>
#include <stddef.h>
#include <stdint.h>

#include "network/netlink.h"

struct ruleset {
        struct netlink *netlink; /* of NETLINK_NETFILTER */
        const char *table;
        uint32_t set_number;
        bool failed;
};

void ruleset_begin(struct ruleset *ruleset, struct netlink *netlink, const char *table);
/* Returns 0 or a negative errno; nothing has changed then. */
int ruleset_commit(struct ruleset *ruleset, const char *what, struct error *err);

/* 0 where the table is there, else -ENOENT (without a text) or another error. */
int ruleset_probe(struct netlink *netlink, const char *table, struct error *err);

void ruleset_add_table(struct ruleset *ruleset);
void ruleset_delete_table(struct ruleset *ruleset);

/* `type` is "nat" or "filter", with its hook (NF_INET_…) and priority; NULL for a chain that is only jumped to. */
struct chain_spec {
        const char *name;
        const char *type;
        uint32_t hook;
        int32_t priority;
};
void ruleset_add_chain(struct ruleset *ruleset, const struct chain_spec *spec);
void ruleset_flush_chain(struct ruleset *ruleset, const char *chain);

/*
 * Types are nft's own numbers (enum nft_datatypes), six bits a part, so that `nft list` shows elements well.
 * data_size 0: a set.
 */
struct set_spec {
        const char *name;
        uint32_t key_type, key_size;
        uint32_t data_type, data_size;
        bool host_order; /* the key is not in network byte order: an interface's name */
};
void ruleset_add_set(struct ruleset *ruleset, const struct set_spec *spec);
void ruleset_flush_set(struct ruleset *ruleset, const char *set);
/* `comment` is seen in `nft list`; may be NULL. An element that is there already makes the batch fail with -EEXIST. */
void ruleset_add_element(struct ruleset *ruleset, const struct set_spec *set, const void *key, const void *data,
                         const char *comment);
void ruleset_delete_element(struct ruleset *ruleset, const struct set_spec *set, const void *key);

/* A rule: conditions from left to right, then what is done. Appended to its chain by rule_end(). */
struct rule {
        struct ruleset *ruleset;
        struct nftnl_rule *rule;
};
struct rule rule_begin(struct ruleset *ruleset, const char *chain, const char *comment);
void rule_end(struct rule *rule);

void rule_load_meta(struct rule *rule, uint32_t key, unsigned reg);
/* `base` is NFT_PAYLOAD_NETWORK_HEADER or NFT_PAYLOAD_TRANSPORT_HEADER. */
void rule_load_payload(struct rule *rule, uint32_t base, uint32_t offset, uint32_t size, unsigned reg);
/* Write a constant, or what is at register 0, into the packet's network header, and set its checksums right. */
void rule_write_header(struct rule *rule, uint32_t offset, const void *value, uint32_t size);
void rule_store_header(struct rule *rule, uint32_t offset, uint32_t size);
/* `operation` is NFT_CMP_EQ or NFT_CMP_NEQ; register 0. */
void rule_compare(struct rule *rule, uint32_t operation, const void *value, uint32_t size);
void rule_mask(struct rule *rule, const void *mask, uint32_t size);
/* Goes on where the value at register 0 is in the set (or, `inverted`, is not). */
void rule_in_set(struct rule *rule, const char *set, bool inverted);
/* Goes on where it is in the map, with what the map has for it at register 0. */
void rule_map(struct rule *rule, const char *map);
/* Goes on where the destination address is one of the host's own. */
void rule_to_local(struct rule *rule);
/* Goes on where any of these bits is set in the connection's state (NFT_CT_STATE) or status (NFT_CT_STATUS). */
void rule_connection(struct rule *rule, uint32_t key, uint32_t bits);
/* `verdict` is NF_ACCEPT, NF_DROP, NFT_RETURN or NFT_JUMP (to `chain`). */
void rule_verdict(struct rule *rule, int verdict, const char *chain);
void rule_masquerade(struct rule *rule);
/* Rewrites the destination to the address at register 0 and the port behind it; `family` is AF_INET or AF_INET6. */
void rule_redirect(struct rule *rule, int family);
