/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "network/firewall.h"

#include <arpa/inet.h>
#include <errno.h>
#include <linux/netfilter.h>
#include <linux/netfilter/nf_conntrack_common.h>
#include <net/if.h>
#include <string.h>

#include "base/text.h"
#include "network/ruleset.h"

/* nft's numbers for types (its include/datatype.h); a concatenation has six bits a part. */
enum { TYPE_IPV4 = 7, TYPE_IPV6 = 8, TYPE_PROTOCOL = 12, TYPE_PORT = 13, TYPE_INTERFACE = 41 };
#define PAIR(a, b)      ((uint32_t)(a) << 6 | (b))
#define TRIPLE(a, b, c) (PAIR(a, b) << 6 | (c))

enum set {
        BRIDGES,
        INTERNAL,
        PORTS4,
        PORTS4_AT,
        PORTS6,
        PORTS6_AT,
        GATEWAYS4,
        GATEWAYS4_AT,
        GATEWAYS6,
        GATEWAYS6_AT,
        SET_COUNT
};

static const struct set_spec sets[SET_COUNT] = {
        [BRIDGES] = { "bridges", TYPE_INTERFACE, IFNAMSIZ, 0, 0, true },
        [INTERNAL] = { "internal", TYPE_INTERFACE, IFNAMSIZ, 0, 0, true },
        [PORTS4] = { "ports4", PAIR(TYPE_PROTOCOL, TYPE_PORT), 8, PAIR(TYPE_IPV4, TYPE_PORT), 8, false },
        [PORTS4_AT] = { "ports4_at", TRIPLE(TYPE_IPV4, TYPE_PROTOCOL, TYPE_PORT), 12, PAIR(TYPE_IPV4, TYPE_PORT), 8,
                        false },
        [PORTS6] = { "ports6", PAIR(TYPE_PROTOCOL, TYPE_PORT), 8, PAIR(TYPE_IPV6, TYPE_PORT), 20, false },
        [PORTS6_AT] = { "ports6_at", TRIPLE(TYPE_IPV6, TYPE_PROTOCOL, TYPE_PORT), 24, PAIR(TYPE_IPV6, TYPE_PORT), 20,
                        false },
        [GATEWAYS4] = { "gateways4", PAIR(TYPE_PROTOCOL, TYPE_PORT), 8, TYPE_IPV4, 4, false },
        [GATEWAYS4_AT] = { "gateways4_at", TRIPLE(TYPE_IPV4, TYPE_PROTOCOL, TYPE_PORT), 12, TYPE_IPV4, 4, false },
        [GATEWAYS6] = { "gateways6", PAIR(TYPE_PROTOCOL, TYPE_PORT), 8, TYPE_IPV6, 16, false },
        [GATEWAYS6_AT] = { "gateways6_at", TRIPLE(TYPE_IPV6, TYPE_PROTOCOL, TYPE_PORT), 24, TYPE_IPV6, 16, false },
};

/*
 * Priorities as nft names them: raw is -300, dstnat -100, filter 0, srcnat 100; the last is behind all address
 * translation.
 */
static const struct chain_spec chains[] = {
        { "from-loopback", "filter", NF_INET_LOCAL_OUT, -300 },
        { "to-loopback", "filter", NF_INET_LOCAL_IN, 200 },
        { "published", NULL, 0, 0 },
        { "prerouting", "nat", NF_INET_PRE_ROUTING, -100 },
        { "output", "nat", NF_INET_LOCAL_OUT, -100 },
        { "postrouting", "nat", NF_INET_POST_ROUTING, 100 },
        { "forward", "filter", NF_INET_FORWARD, 0 },
};

/* How an address family looks in a packet and in the maps. */
struct family {
        int number;
        uint8_t nfproto;
        uint32_t size, source, destination; /* of an address; offsets in the header */
        enum set ports, ports_at;           /* where a published port leads to */
        enum set gateways, gateways_at;     /* the bridge's address there; only ports that are open on loopback */
        struct subnet loopback;
        struct address localhost;
};
static const struct family families[] = {
        { AF_INET,
          NFPROTO_IPV4,
          4,
          12,
          16,
          PORTS4,
          PORTS4_AT,
          GATEWAYS4,
          GATEWAYS4_AT,
          { { AF_INET, { 127 } }, 8 },
          { AF_INET, { 127, 0, 0, 1 } } },
        { AF_INET6,
          NFPROTO_IPV6,
          16,
          8,
          24,
          PORTS6,
          PORTS6_AT,
          GATEWAYS6,
          GATEWAYS6_AT,
          { { AF_INET6, { [15] = 1 } }, 128 },
          { AF_INET6, { [15] = 1 } } },
};

static void match_family(struct rule *rule, const struct family *family)
{
        rule_load_meta(rule, NFT_META_NFPROTO, 0);
        rule_compare(rule, NFT_CMP_EQ, &family->nfproto, 1);
}

static void match_interface(struct rule *rule, uint32_t key, uint32_t operation, const char *name)
{
        char padded[IFNAMSIZ] = { 0 };
        memcpy(padded, name, strnlen(name, sizeof(padded) - 1));
        rule_load_meta(rule, key, 0);
        rule_compare(rule, operation, padded, sizeof(padded));
}

static void match_interface_set(struct rule *rule, uint32_t key, enum set set, bool inverted)
{
        rule_load_meta(rule, key, 0);
        rule_in_set(rule, sets[set].name, inverted);
}

static void match_subnet(struct rule *rule, const struct family *family, uint32_t offset, uint32_t operation,
                         const struct subnet *subnet)
{
        uint8_t mask[16] = { 0 };
        for (unsigned bit = 0; bit < subnet->prefix; bit++)
                mask[bit / 8] |= (uint8_t)(0x80 >> bit % 8);
        rule_load_payload(rule, NFT_PAYLOAD_NETWORK_HEADER, offset, family->size, 0);
        rule_mask(rule, mask, family->size);
        rule_compare(rule, operation, subnet->base.bytes, family->size);
}

static void match_address(struct rule *rule, const struct family *family, uint32_t offset,
                          const struct address *address)
{
        rule_load_payload(rule, NFT_PAYLOAD_NETWORK_HEADER, offset, family->size, 0);
        rule_compare(rule, NFT_CMP_EQ, address->bytes, family->size);
}

/* Goes on where the map has the destination's [address,] protocol and port, with what it has for them at register 0. */
static void match_port(struct rule *rule, const struct family *family, enum set map, bool at_address)
{
        unsigned reg = at_address ? family->size / 4 : 0;
        if (at_address)
                rule_load_payload(rule, NFT_PAYLOAD_NETWORK_HEADER, family->destination, family->size, 0);
        rule_load_meta(rule, NFT_META_L4PROTO, reg);
        rule_load_payload(rule, NFT_PAYLOAD_TRANSPORT_HEADER, 2, 2, reg + 1);
        rule_map(rule, sets[map].name);
}

/* dnat to [ip daddr .] meta l4proto . th dport map @ports… */
static void add_published(struct ruleset *ruleset, const struct family *family, bool at_address)
{
        struct rule rule = rule_begin(ruleset, "published", NULL);
        match_family(&rule, family);
        match_port(&rule, family, at_address ? family->ports_at : family->ports, at_address);
        rule_redirect(&rule, family->number);
        rule_end(&rule);
}

/* ip daddr != 127.0.0.0/8 fib daddr type local jump published; in output: from loopback too */
static void add_jump(struct ruleset *ruleset, const struct family *family, const char *chain, bool loopback)
{
        struct rule rule = rule_begin(ruleset, chain, NULL);
        match_family(&rule, family);
        if (!loopback)
                match_subnet(&rule, family, family->destination, NFT_CMP_NEQ, &family->loopback);
        rule_to_local(&rule);
        rule_verdict(&rule, NFT_JUMP, "published");
        rule_end(&rule);
}

/* oifname "bridge" ip saddr <subnet> [ct status dnat] masquerade; `out` inverts the interface: the way to outside */
static void add_masquerade(struct ruleset *ruleset, const struct network *network, const struct family *family,
                           const struct subnet *source, bool out, bool redirected)
{
        struct rule rule = rule_begin(ruleset, "postrouting", network->name);
        match_family(&rule, family);
        match_interface(&rule, NFT_META_OIFNAME, out ? NFT_CMP_NEQ : NFT_CMP_EQ, network->bridge);
        match_subnet(&rule, family, family->source, NFT_CMP_EQ, source);
        if (redirected)
                rule_connection(&rule, NFT_CT_STATUS, IPS_DST_NAT);
        rule_masquerade(&rule);
        rule_end(&rule);
}

/* ip saddr 127.0.0.1 ip daddr 127.0.0.0/8 ip saddr set [ip daddr .] meta l4proto . th dport map @gateways… */
static void add_from_loopback(struct ruleset *ruleset, const struct family *family, bool at_address)
{
        struct rule rule = rule_begin(ruleset, "from-loopback", NULL);
        match_family(&rule, family);
        match_address(&rule, family, family->source, &family->localhost);
        match_subnet(&rule, family, family->destination, NFT_CMP_EQ, &family->loopback);
        match_port(&rule, family, at_address ? family->gateways_at : family->gateways, at_address);
        rule_store_header(&rule, family->source, family->size);
        rule_end(&rule);
}

/*
 * iifname "bridge" ip saddr 127.0.0.0/8 ip daddr <gateway>: ip daddr set 127.0.0.1. Only translated answers look like
 * this.
 */
static void add_to_loopback(struct ruleset *ruleset, const struct network *network, const struct family *family,
                            const struct address *gateway)
{
        struct rule rule = rule_begin(ruleset, "to-loopback", network->name);
        match_family(&rule, family);
        match_interface(&rule, NFT_META_IIFNAME, NFT_CMP_EQ, network->bridge);
        match_subnet(&rule, family, family->source, NFT_CMP_EQ, &family->loopback);
        match_address(&rule, family, family->destination, gateway);
        rule_write_header(&rule, family->destination, family->localhost.bytes, family->size);
        rule_end(&rule);
}

static void add_network_family(struct ruleset *ruleset, const struct network *network, const struct family *family,
                               const struct subnet *subnet, const struct address *gateway)
{
        if (!subnet->base.family)
                return;
        if (!network->internal)
                add_masquerade(ruleset, network, family, subnet, true, false);
        add_masquerade(ruleset, network, family, subnet, false, true);
        add_to_loopback(ruleset, network, family, gateway);
}

static void add_network(struct ruleset *ruleset, const struct network *network)
{
        char bridge[IFNAMSIZ] = { 0 };
        TEXT_COPY(bridge, network->bridge);
        ruleset_add_element(ruleset, &sets[BRIDGES], bridge, NULL, network->name);
        if (network->internal)
                ruleset_add_element(ruleset, &sets[INTERNAL], bridge, NULL, network->name);
        add_network_family(ruleset, network, &families[0], &network->subnet, &network->gateway);
        add_network_family(ruleset, network, &families[1], &network->subnet6, &network->gateway6);
        /* With the kernel's bridge filter, traffic inside a network comes past the forward chain too. */
        struct rule rule = rule_begin(ruleset, "forward", network->name);
        match_interface(&rule, NFT_META_IIFNAME, NFT_CMP_EQ, network->bridge);
        match_interface(&rule, NFT_META_OIFNAME, NFT_CMP_EQ, network->bridge);
        rule_verdict(&rule, NF_ACCEPT, NULL);
        rule_end(&rule);
}

static void add_forward_start(struct ruleset *ruleset)
{
        struct rule rule = rule_begin(ruleset, "forward", "not ours");
        match_interface_set(&rule, NFT_META_IIFNAME, BRIDGES, true);
        match_interface_set(&rule, NFT_META_OIFNAME, BRIDGES, true);
        rule_verdict(&rule, NF_ACCEPT, NULL);
        rule_end(&rule);

        rule = rule_begin(ruleset, "forward", "answers");
        rule_connection(&rule, NFT_CT_STATE, NF_CT_STATE_BIT(IP_CT_ESTABLISHED) | NF_CT_STATE_BIT(IP_CT_RELATED));
        rule_verdict(&rule, NF_ACCEPT, NULL);
        rule_end(&rule);
}

static void add_forward_end(struct ruleset *ruleset)
{
        static const uint32_t directions[] = { NFT_META_IIFNAME, NFT_META_OIFNAME };
        struct rule rule;
        for (size_t i = 0; i < ARRAY_SIZE(directions); i++) {
                rule = rule_begin(ruleset, "forward", "internal networks");
                match_interface_set(&rule, directions[i], INTERNAL, false);
                rule_verdict(&rule, NF_DROP, NULL);
                rule_end(&rule);
        }
        rule = rule_begin(ruleset, "forward", "published ports");
        rule_connection(&rule, NFT_CT_STATUS, IPS_DST_NAT);
        rule_verdict(&rule, NF_ACCEPT, NULL);
        rule_end(&rule);

        rule = rule_begin(ruleset, "forward", "isolation");
        match_interface_set(&rule, NFT_META_OIFNAME, BRIDGES, false);
        rule_verdict(&rule, NF_DROP, NULL);
        rule_end(&rule);
}

/* Each part of a concatenation fills whole words of four bytes. */
static size_t put_part(uint8_t *target, const void *part, size_t size)
{
        memcpy(target, part, size);
        return (size + 3) & ~(size_t)3;
}

static bool wildcard(const struct address *address)
{
        static const uint8_t zero[16];
        return !address->family || !memcmp(address->bytes, zero, 16);
}

typedef void (*element_change)(struct ruleset *ruleset, const struct set_spec *set, const void *key, const void *data,
                               const char *comment);

static void delete_element(struct ruleset *ruleset, const struct set_spec *set, const void *key, const void *data,
                           const char *comment)
{
        (void)data, (void)comment;
        ruleset_delete_element(ruleset, set, key);
}

static void change_port(struct ruleset *ruleset, const struct network *network, const struct lease *lease,
                        const struct published_port *port, const struct family *family, element_change change)
{
        const struct address *target = family->number == AF_INET ? &lease->address : &lease->address6;
        const struct address *gateway = family->number == AF_INET ? &network->gateway : &network->gateway6;
        struct address host = published_port_address(port);
        bool all = wildcard(&host), loopback = all || subnet_contains(&family->loopback, &host);
        uint8_t protocol = port->udp ? IPPROTO_UDP : IPPROTO_TCP;
        for (uint32_t i = 0; i < port->count; i++) {
                uint8_t key[24] = { 0 }, data[20] = { 0 };
                size_t at = all ? 0 : put_part(key, host.bytes, family->size);
                at += put_part(key + at, &protocol, 1);
                put_part(key + at, &(uint16_t){ htons((uint16_t)(port->host + i)) }, 2);
                at = put_part(data, target->bytes, family->size);
                put_part(data + at, &(uint16_t){ htons((uint16_t)(port->container + i)) }, 2);
                change(ruleset, &sets[all ? family->ports : family->ports_at], key, data, lease->instance);
                if (loopback)
                        change(ruleset, &sets[all ? family->gateways : family->gateways_at], key, gateway->bytes,
                               lease->instance);
        }
}

static void change_lease(struct ruleset *ruleset, const struct network *network, const struct lease *lease,
                         element_change change)
{
        for (size_t i = 0; i < lease->port_count; i++)
                for (size_t f = 0; f < ARRAY_SIZE(families); f++) {
                        bool reachable = families[f].number == AF_INET || lease->address6.family;
                        if (reachable && published_port_serves(&lease->ports[i], families[f].number))
                                change_port(ruleset, network, lease, &lease->ports[i], &families[f], change);
                }
}

static void add_frame(struct ruleset *ruleset)
{
        ruleset_add_table(ruleset);
        for (size_t i = 0; i < SET_COUNT; i++)
                ruleset_add_set(ruleset, &sets[i]);
        for (size_t i = 0; i < ARRAY_SIZE(chains); i++)
                ruleset_add_chain(ruleset, &chains[i]);
        /*
         * What was there goes: this transaction says all there is to say. The chains stay, as unhooking them is slow.
         */
        for (size_t i = 0; i < ARRAY_SIZE(chains); i++)
                ruleset_flush_chain(ruleset, chains[i].name);
        for (size_t i = 0; i < SET_COUNT; i++)
                ruleset_flush_set(ruleset, sets[i].name);
}

int firewall_apply(struct networks *networks, const struct firewall_network *active, size_t count, struct error *err)
{
        struct ruleset ruleset;
        struct netlink *netfilter;
        int r = networks_netfilter(networks, &netfilter, err);
        if (r < 0)
                return r;
        ruleset_begin(&ruleset, netfilter, networks->table);
        add_frame(&ruleset);
        for (size_t i = 0; i < ARRAY_SIZE(families); i++) {
                add_published(&ruleset, &families[i], true);
                add_published(&ruleset, &families[i], false);
                add_from_loopback(&ruleset, &families[i], true);
                add_from_loopback(&ruleset, &families[i], false);
                add_jump(&ruleset, &families[i], "prerouting", false);
                add_jump(&ruleset, &families[i], "output", true);
        }
        add_forward_start(&ruleset);
        for (size_t i = 0; i < count; i++)
                add_network(&ruleset, active[i].network);
        add_forward_end(&ruleset);
        for (size_t i = 0; i < count; i++)
                for (size_t j = 0; !active[i].network->internal && j < active[i].leases->count; j++)
                        change_lease(&ruleset, active[i].network, &active[i].leases->entries[j], ruleset_add_element);
        return ruleset_commit(&ruleset, "making the nftables rules of the networks", err);
}

int firewall_present(struct networks *networks, struct error *err)
{
        struct netlink *netfilter;
        int r = networks_netfilter(networks, &netfilter, err);
        if (!r)
                r = ruleset_probe(netfilter, networks->table, err);
        return r == -ENOENT ? 0 : r < 0 ? r : 1;
}

int firewall_remove(struct networks *networks, struct error *err)
{
        struct ruleset ruleset;
        int r = firewall_present(networks, err);
        if (r <= 0)
                return r;
        ruleset_begin(&ruleset, networks->netfilter, networks->table);
        ruleset_delete_table(&ruleset);
        return ruleset_commit(&ruleset, "removing the nftables rules of the networks", err);
}

static int change_ports(struct networks *networks, const struct network *network, const struct lease *lease,
                        element_change change, const char *what, struct error *err)
{
        struct ruleset ruleset;
        struct netlink *netfilter;
        int r = networks_netfilter(networks, &netfilter, err);
        if (r < 0 || !lease->port_count)
                return r;
        ruleset_begin(&ruleset, netfilter, networks->table);
        change_lease(&ruleset, network, lease, change);
        return ruleset_commit(&ruleset, what, err);
}

int firewall_open(struct networks *networks, const struct network *network, const struct lease *lease,
                  struct error *err)
{
        return change_ports(networks, network, lease, ruleset_add_element, "publishing ports through nftables", err);
}

int firewall_close(struct networks *networks, const struct network *network, const struct lease *lease,
                   struct error *err)
{
        struct error reason = { 0 };
        int r = change_ports(networks, network, lease, delete_element, "withdrawing published ports from nftables",
                             &reason);
        return r < 0 && r != -ENOENT ? error_set(err, r, "%s", reason.text) : 0;
}
