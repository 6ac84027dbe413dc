/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "network/ruleset.h"

#include <arpa/inet.h>
#include <errno.h>
#include <libnftnl/chain.h>
#include <libnftnl/common.h>
#include <libnftnl/expr.h>
#include <libnftnl/set.h>
#include <libnftnl/table.h>
#include <libnftnl/udata.h>
#include <linux/netfilter.h>
#include <linux/netfilter/nf_conntrack_common.h>
#include <linux/netfilter/nfnetlink.h>
#include <linux/rtnetlink.h>
#include <string.h>

DEFINE_CLEANUP(nftnl_table, struct nftnl_table, nftnl_table_free)
DEFINE_CLEANUP(nftnl_chain, struct nftnl_chain, nftnl_chain_free)
DEFINE_CLEANUP(nftnl_rule, struct nftnl_rule, nftnl_rule_free)
DEFINE_CLEANUP(nftnl_set, struct nftnl_set, nftnl_set_free)

static struct nlmsghdr *request(struct ruleset *ruleset, uint16_t type, uint16_t flags)
{
        struct nlmsghdr *message = netlink_request(ruleset->netlink, (NFNL_SUBSYS_NFTABLES << 8) | type, flags);
        struct nfgenmsg *header = mnl_nlmsg_put_extra_header(message, sizeof(*header));
        header->nfgen_family = NFPROTO_INET;
        header->version = NFNETLINK_V0;
        return message;
}

static void request_boundary(struct netlink *netlink, uint16_t type)
{
        struct nlmsghdr *message = netlink_request(netlink, type, 0);
        struct nfgenmsg *header = mnl_nlmsg_put_extra_header(message, sizeof(*header));
        header->nfgen_family = AF_UNSPEC;
        header->version = NFNETLINK_V0;
        header->res_id = htons(NFNL_SUBSYS_NFTABLES);
}

void ruleset_begin(struct ruleset *ruleset, struct netlink *netlink, const char *table)
{
        *ruleset = (struct ruleset){ .netlink = netlink, .table = table };
        request_boundary(netlink, NFNL_MSG_BATCH_BEGIN);
}

int ruleset_commit(struct ruleset *ruleset, const char *what, struct error *err)
{
        if (ruleset->failed) {
                netlink_discard(ruleset->netlink);
                return error_memory(err);
        }
        /* Failures are answered without being asked for; success is the absence of them. */
        request_boundary(ruleset->netlink, NFNL_MSG_BATCH_END);
        return netlink_commit(ruleset->netlink, NULL, NULL, what, err);
}

int ruleset_probe(struct netlink *netlink, const char *table, struct error *err)
{
        struct ruleset ruleset = { .netlink = netlink, .table = table };
        struct error reason = { 0 };
        struct nlmsghdr *message = request(&ruleset, NFT_MSG_GETTABLE, NLM_F_ACK);
        mnl_attr_put_strz(message, NFTA_TABLE_NAME, table);
        int code = netlink_commit(netlink, NULL, NULL, "asking nf_tables for the table of onggi", &reason);
        if (code < 0 && code != -ENOENT)
                return error_set(err, code, "%s; is nf_tables in this kernel?", reason.text);
        return code;
}

static void queue_table(struct ruleset *ruleset, uint16_t type, uint16_t flags)
{
        _cleanup_(nftnl_table) struct nftnl_table *table = nftnl_table_alloc();
        if (!table || nftnl_table_set_str(table, NFTNL_TABLE_NAME, ruleset->table) < 0) {
                ruleset->failed = true;
                return;
        }
        nftnl_table_nlmsg_build_payload(request(ruleset, type, flags), table);
}

void ruleset_add_table(struct ruleset *ruleset)
{
        queue_table(ruleset, NFT_MSG_NEWTABLE, NLM_F_CREATE);
}

void ruleset_delete_table(struct ruleset *ruleset)
{
        queue_table(ruleset, NFT_MSG_DELTABLE, 0);
}

void ruleset_add_chain(struct ruleset *ruleset, const struct chain_spec *spec)
{
        _cleanup_(nftnl_chain) struct nftnl_chain *chain = nftnl_chain_alloc();
        if (!chain || nftnl_chain_set_str(chain, NFTNL_CHAIN_TABLE, ruleset->table) < 0 ||
            nftnl_chain_set_str(chain, NFTNL_CHAIN_NAME, spec->name) < 0 ||
            (spec->type && nftnl_chain_set_str(chain, NFTNL_CHAIN_TYPE, spec->type) < 0)) {
                ruleset->failed = true;
                return;
        }
        if (spec->type) {
                nftnl_chain_set_u32(chain, NFTNL_CHAIN_HOOKNUM, spec->hook);
                nftnl_chain_set_s32(chain, NFTNL_CHAIN_PRIO, spec->priority);
                nftnl_chain_set_u32(chain, NFTNL_CHAIN_POLICY, NF_ACCEPT);
        }
        nftnl_chain_nlmsg_build_payload(request(ruleset, NFT_MSG_NEWCHAIN, NLM_F_CREATE), chain);
}

void ruleset_flush_chain(struct ruleset *ruleset, const char *chain)
{
        struct nlmsghdr *message = request(ruleset, NFT_MSG_DELRULE, 0);
        mnl_attr_put_strz(message, NFTA_RULE_TABLE, ruleset->table);
        mnl_attr_put_strz(message, NFTA_RULE_CHAIN, chain);
}

/* A note to nft(8), so that it shows the elements: its BYTEORDER_HOST_ENDIAN is 1. */
static void put_host_order(struct nftnl_set *set)
{
        struct nftnl_udata_buf *userdata = nftnl_udata_buf_alloc(NFT_USERDATA_MAXLEN);
        if (!userdata)
                return;
        nftnl_udata_put_u32(userdata, NFTNL_UDATA_SET_KEYBYTEORDER, 1);
        nftnl_set_set_data(set, NFTNL_SET_USERDATA, nftnl_udata_buf_data(userdata), nftnl_udata_buf_len(userdata));
        nftnl_udata_buf_free(userdata);
}

void ruleset_add_set(struct ruleset *ruleset, const struct set_spec *spec)
{
        _cleanup_(nftnl_set) struct nftnl_set *set = nftnl_set_alloc();
        if (!set || nftnl_set_set_str(set, NFTNL_SET_TABLE, ruleset->table) < 0 ||
            nftnl_set_set_str(set, NFTNL_SET_NAME, spec->name) < 0) {
                ruleset->failed = true;
                return;
        }
        nftnl_set_set_u32(set, NFTNL_SET_FAMILY, NFPROTO_INET);
        nftnl_set_set_u32(set, NFTNL_SET_ID, ++ruleset->set_number);
        nftnl_set_set_u32(set, NFTNL_SET_KEY_TYPE, spec->key_type);
        nftnl_set_set_u32(set, NFTNL_SET_KEY_LEN, spec->key_size);
        if (spec->data_size) {
                nftnl_set_set_u32(set, NFTNL_SET_FLAGS, NFT_SET_MAP);
                nftnl_set_set_u32(set, NFTNL_SET_DATA_TYPE, spec->data_type);
                nftnl_set_set_u32(set, NFTNL_SET_DATA_LEN, spec->data_size);
        }
        if (spec->host_order)
                put_host_order(set);
        nftnl_set_nlmsg_build_payload(request(ruleset, NFT_MSG_NEWSET, NLM_F_CREATE), set);
}

static void put_comment(struct nftnl_udata_buf *buffer, uint8_t type, const char *comment)
{
        char text[NFTNL_UDATA_COMMENT_MAXLEN] = { 0 };
        strncpy(text, comment, sizeof(text) - 1);
        nftnl_udata_put_strz(buffer, type, text);
}

static void queue_element(struct ruleset *ruleset, uint16_t type, uint16_t flags, const struct set_spec *spec,
                          const void *key, const void *data, const char *comment)
{
        _cleanup_(nftnl_set) struct nftnl_set *set = nftnl_set_alloc();
        struct nftnl_set_elem *element = set ? nftnl_set_elem_alloc() : NULL;
        if (!element || nftnl_set_set_str(set, NFTNL_SET_TABLE, ruleset->table) < 0 ||
            nftnl_set_set_str(set, NFTNL_SET_NAME, spec->name) < 0) {
                if (element)
                        nftnl_set_elem_free(element);
                ruleset->failed = true;
                return;
        }
        nftnl_set_elem_set(element, NFTNL_SET_ELEM_KEY, key, spec->key_size);
        if (data)
                nftnl_set_elem_set(element, NFTNL_SET_ELEM_DATA, data, spec->data_size);
        struct nftnl_udata_buf *userdata = comment ? nftnl_udata_buf_alloc(NFT_USERDATA_MAXLEN) : NULL;
        if (userdata) {
                put_comment(userdata, NFTNL_UDATA_SET_ELEM_COMMENT, comment);
                nftnl_set_elem_set(element, NFTNL_SET_ELEM_USERDATA, nftnl_udata_buf_data(userdata),
                                   nftnl_udata_buf_len(userdata));
                nftnl_udata_buf_free(userdata);
        }
        nftnl_set_elem_add(set, element);
        nftnl_set_elems_nlmsg_build_payload(request(ruleset, type, flags), set);
}

void ruleset_add_element(struct ruleset *ruleset, const struct set_spec *set, const void *key, const void *data,
                         const char *comment)
{
        queue_element(ruleset, NFT_MSG_NEWSETELEM, NLM_F_CREATE | NLM_F_EXCL, set, key, data, comment);
}

void ruleset_delete_element(struct ruleset *ruleset, const struct set_spec *set, const void *key)
{
        queue_element(ruleset, NFT_MSG_DELSETELEM, 0, set, key, NULL, NULL);
}

void ruleset_flush_set(struct ruleset *ruleset, const char *set)
{
        struct nlmsghdr *message = request(ruleset, NFT_MSG_DELSETELEM, 0);
        mnl_attr_put_strz(message, NFTA_SET_ELEM_LIST_TABLE, ruleset->table);
        mnl_attr_put_strz(message, NFTA_SET_ELEM_LIST_SET, set);
}

struct rule rule_begin(struct ruleset *ruleset, const char *chain, const char *comment)
{
        struct rule rule = { .ruleset = ruleset, .rule = nftnl_rule_alloc() };
        if (!rule.rule || nftnl_rule_set_str(rule.rule, NFTNL_RULE_TABLE, ruleset->table) < 0 ||
            nftnl_rule_set_str(rule.rule, NFTNL_RULE_CHAIN, chain) < 0) {
                ruleset->failed = true;
                return rule;
        }
        nftnl_rule_set_u32(rule.rule, NFTNL_RULE_FAMILY, NFPROTO_INET);
        struct nftnl_udata_buf *userdata = comment ? nftnl_udata_buf_alloc(NFT_USERDATA_MAXLEN) : NULL;
        if (!userdata)
                return rule;
        put_comment(userdata, NFTNL_UDATA_RULE_COMMENT, comment);
        nftnl_rule_set_data(rule.rule, NFTNL_RULE_USERDATA, nftnl_udata_buf_data(userdata),
                            nftnl_udata_buf_len(userdata));
        nftnl_udata_buf_free(userdata);
        return rule;
}

void rule_end(struct rule *rule)
{
        _cleanup_(nftnl_rule) struct nftnl_rule *built = rule->rule;
        if (!rule->ruleset->failed)
                nftnl_rule_nlmsg_build_payload(request(rule->ruleset, NFT_MSG_NEWRULE, NLM_F_CREATE | NLM_F_APPEND),
                                               built);
        rule->rule = NULL;
}

/* Appends an expression to the rule. NULL where there is no memory (remembered in the ruleset). */
static struct nftnl_expr *expression(struct rule *rule, const char *name)
{
        struct nftnl_expr *made = rule->rule ? nftnl_expr_alloc(name) : NULL;
        if (!made) {
                rule->ruleset->failed = true;
                return NULL;
        }
        nftnl_rule_add_expr(rule->rule, made);
        return made;
}

static uint32_t register_number(unsigned reg)
{
        return NFT_REG32_00 + reg;
}

void rule_load_meta(struct rule *rule, uint32_t key, unsigned reg)
{
        struct nftnl_expr *meta = expression(rule, "meta");
        if (!meta)
                return;
        nftnl_expr_set_u32(meta, NFTNL_EXPR_META_KEY, key);
        nftnl_expr_set_u32(meta, NFTNL_EXPR_META_DREG, register_number(reg));
}

void rule_load_payload(struct rule *rule, uint32_t base, uint32_t offset, uint32_t size, unsigned reg)
{
        struct nftnl_expr *payload = expression(rule, "payload");
        if (!payload)
                return;
        nftnl_expr_set_u32(payload, NFTNL_EXPR_PAYLOAD_BASE, base);
        nftnl_expr_set_u32(payload, NFTNL_EXPR_PAYLOAD_OFFSET, offset);
        nftnl_expr_set_u32(payload, NFTNL_EXPR_PAYLOAD_LEN, size);
        nftnl_expr_set_u32(payload, NFTNL_EXPR_PAYLOAD_DREG, register_number(reg));
}

void rule_write_header(struct rule *rule, uint32_t offset, const void *value, uint32_t size)
{
        struct nftnl_expr *immediate = expression(rule, "immediate");
        if (!immediate)
                return;
        nftnl_expr_set_u32(immediate, NFTNL_EXPR_IMM_DREG, register_number(0));
        nftnl_expr_set(immediate, NFTNL_EXPR_IMM_DATA, value, size);
        rule_store_header(rule, offset, size);
}

void rule_store_header(struct rule *rule, uint32_t offset, uint32_t size)
{
        struct nftnl_expr *payload = expression(rule, "payload");
        if (!payload)
                return;
        nftnl_expr_set_u32(payload, NFTNL_EXPR_PAYLOAD_BASE, NFT_PAYLOAD_NETWORK_HEADER);
        nftnl_expr_set_u32(payload, NFTNL_EXPR_PAYLOAD_OFFSET, offset);
        nftnl_expr_set_u32(payload, NFTNL_EXPR_PAYLOAD_LEN, size);
        nftnl_expr_set_u32(payload, NFTNL_EXPR_PAYLOAD_SREG, register_number(0));
        nftnl_expr_set_u32(payload, NFTNL_EXPR_PAYLOAD_FLAGS, NFT_PAYLOAD_L4CSUM_PSEUDOHDR);
        /* IPv4 has a checksum of its own in its header, IPv6 has none. */
        if (size == 4) {
                nftnl_expr_set_u32(payload, NFTNL_EXPR_PAYLOAD_CSUM_TYPE, NFT_PAYLOAD_CSUM_INET);
                nftnl_expr_set_u32(payload, NFTNL_EXPR_PAYLOAD_CSUM_OFFSET, 10);
        }
}

void rule_compare(struct rule *rule, uint32_t operation, const void *value, uint32_t size)
{
        struct nftnl_expr *compare = expression(rule, "cmp");
        if (!compare)
                return;
        nftnl_expr_set_u32(compare, NFTNL_EXPR_CMP_SREG, register_number(0));
        nftnl_expr_set_u32(compare, NFTNL_EXPR_CMP_OP, operation);
        nftnl_expr_set(compare, NFTNL_EXPR_CMP_DATA, value, size);
}

void rule_mask(struct rule *rule, const void *mask, uint32_t size)
{
        static const uint8_t nothing[16];
        struct nftnl_expr *bitwise = expression(rule, "bitwise");
        if (!bitwise)
                return;
        nftnl_expr_set_u32(bitwise, NFTNL_EXPR_BITWISE_SREG, register_number(0));
        nftnl_expr_set_u32(bitwise, NFTNL_EXPR_BITWISE_DREG, register_number(0));
        nftnl_expr_set_u32(bitwise, NFTNL_EXPR_BITWISE_LEN, size);
        nftnl_expr_set(bitwise, NFTNL_EXPR_BITWISE_MASK, mask, size);
        nftnl_expr_set(bitwise, NFTNL_EXPR_BITWISE_XOR, nothing, size);
}

static struct nftnl_expr *lookup(struct rule *rule, const char *set)
{
        struct nftnl_expr *made = expression(rule, "lookup");
        if (!made)
                return NULL;
        nftnl_expr_set_u32(made, NFTNL_EXPR_LOOKUP_SREG, register_number(0));
        nftnl_expr_set_str(made, NFTNL_EXPR_LOOKUP_SET, set);
        return made;
}

void rule_in_set(struct rule *rule, const char *set, bool inverted)
{
        struct nftnl_expr *made = lookup(rule, set);
        if (made && inverted)
                nftnl_expr_set_u32(made, NFTNL_EXPR_LOOKUP_FLAGS, NFT_LOOKUP_F_INV);
}

void rule_map(struct rule *rule, const char *map)
{
        struct nftnl_expr *made = lookup(rule, map);
        if (made)
                nftnl_expr_set_u32(made, NFTNL_EXPR_LOOKUP_DREG, register_number(0));
}

void rule_to_local(struct rule *rule)
{
        struct nftnl_expr *fib = expression(rule, "fib");
        if (!fib)
                return;
        nftnl_expr_set_u32(fib, NFTNL_EXPR_FIB_FLAGS, NFTA_FIB_F_DADDR);
        nftnl_expr_set_u32(fib, NFTNL_EXPR_FIB_RESULT, NFT_FIB_RESULT_ADDRTYPE);
        nftnl_expr_set_u32(fib, NFTNL_EXPR_FIB_DREG, register_number(0));
        rule_compare(rule, NFT_CMP_EQ, &(uint32_t){ RTN_LOCAL }, sizeof(uint32_t));
}

void rule_connection(struct rule *rule, uint32_t key, uint32_t bits)
{
        struct nftnl_expr *connection = expression(rule, "ct");
        if (!connection)
                return;
        nftnl_expr_set_u32(connection, NFTNL_EXPR_CT_KEY, key);
        nftnl_expr_set_u32(connection, NFTNL_EXPR_CT_DREG, register_number(0));
        rule_mask(rule, &bits, sizeof(bits));
        rule_compare(rule, NFT_CMP_NEQ, &(uint32_t){ 0 }, sizeof(uint32_t));
}

void rule_verdict(struct rule *rule, int verdict, const char *chain)
{
        struct nftnl_expr *immediate = expression(rule, "immediate");
        if (!immediate)
                return;
        nftnl_expr_set_u32(immediate, NFTNL_EXPR_IMM_DREG, NFT_REG_VERDICT);
        nftnl_expr_set_u32(immediate, NFTNL_EXPR_IMM_VERDICT, (uint32_t)verdict);
        if (chain)
                nftnl_expr_set_str(immediate, NFTNL_EXPR_IMM_CHAIN, chain);
}

void rule_masquerade(struct rule *rule)
{
        expression(rule, "masq");
}

void rule_redirect(struct rule *rule, int family)
{
        struct nftnl_expr *nat = expression(rule, "nat");
        if (!nat)
                return;
        nftnl_expr_set_u32(nat, NFTNL_EXPR_NAT_TYPE, NFT_NAT_DNAT);
        nftnl_expr_set_u32(nat, NFTNL_EXPR_NAT_FAMILY, (uint32_t)family);
        nftnl_expr_set_u32(nat, NFTNL_EXPR_NAT_REG_ADDR_MIN, register_number(0));
        nftnl_expr_set_u32(nat, NFTNL_EXPR_NAT_REG_PROTO_MIN, register_number(family == AF_INET6 ? 4 : 1));
}
