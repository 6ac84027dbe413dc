/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "network/conntrack.h"

#include <arpa/inet.h>
#include <linux/netfilter/nfnetlink.h>
#include <linux/netfilter/nfnetlink_conntrack.h>
#include <netinet/in.h>

struct flow {
        const struct nlattr *original; /* CTA_TUPLE_ORIG */
        const struct nlattr *zone;
        uint8_t protocol;
        uint16_t port; /* that it was sent to */
};

static int read_protocol(const struct nlattr *attribute, void *data)
{
        struct flow *flow = data;
        if (mnl_attr_get_type(attribute) == CTA_PROTO_NUM)
                flow->protocol = mnl_attr_get_u8(attribute);
        else if (mnl_attr_get_type(attribute) == CTA_PROTO_DST_PORT)
                flow->port = ntohs(mnl_attr_get_u16(attribute));
        return MNL_CB_OK;
}

static int read_tuple(const struct nlattr *attribute, void *data)
{
        if (mnl_attr_get_type(attribute) == CTA_TUPLE_PROTO)
                return mnl_attr_parse_nested(attribute, read_protocol, data);
        return MNL_CB_OK;
}

static int read_flow(const struct nlattr *attribute, void *data)
{
        struct flow *flow = data;
        if (mnl_attr_get_type(attribute) == CTA_ZONE)
                flow->zone = attribute;
        if (mnl_attr_get_type(attribute) != CTA_TUPLE_ORIG)
                return MNL_CB_OK;
        flow->original = attribute;
        return mnl_attr_parse_nested(attribute, read_tuple, data);
}

static bool concerns(const struct flow *flow, const struct lease *lease)
{
        for (size_t i = 0; i < lease->port_count; i++) {
                const struct published_port *port = &lease->ports[i];
                if (port->udp && flow->protocol == IPPROTO_UDP && flow->port >= port->host &&
                    flow->port < port->host + port->count)
                        return true;
        }
        return false;
}

static struct nlmsghdr *request(struct netlink *netfilter, uint16_t type, uint16_t flags, uint8_t family)
{
        struct nlmsghdr *message = netlink_request(netfilter, NFNL_SUBSYS_CTNETLINK << 8 | type, flags);
        struct nfgenmsg *header = mnl_nlmsg_put_extra_header(message, sizeof(*header));
        header->nfgen_family = family;
        header->version = NFNETLINK_V0;
        return message;
}

struct search {
        struct netlink *netfilter;
        const struct lease *lease;
};

/* The request to delete is queued on the socket that is being read from: it is sent once all was read. */
static int consider(const struct nlmsghdr *message, void *data)
{
        const struct search *search = data;
        const struct nfgenmsg *header = mnl_nlmsg_get_payload(message);
        struct flow flow = { 0 };
        mnl_attr_parse(message, sizeof(*header), read_flow, &flow);
        if (!flow.original || !concerns(&flow, search->lease))
                return 0;
        struct nlmsghdr *deletion = request(search->netfilter, IPCTNL_MSG_CT_DELETE, 0, header->nfgen_family);
        mnl_attr_put(deletion, CTA_TUPLE_ORIG | NLA_F_NESTED, mnl_attr_get_payload_len(flow.original),
                     mnl_attr_get_payload(flow.original));
        if (flow.zone)
                mnl_attr_put(deletion, CTA_ZONE, mnl_attr_get_payload_len(flow.zone), mnl_attr_get_payload(flow.zone));
        return 0;
}

void conntrack_forget(const struct lease *lease)
{
        bool udp = false;
        for (size_t i = 0; i < lease->port_count; i++)
                udp |= lease->ports[i].udp;
        _cleanup_netlink_ struct netlink *netfilter = NULL;
        if (!udp || netlink_open(NETLINK_NETFILTER, &netfilter, NULL) < 0)
                return;
        request(netfilter, IPCTNL_MSG_CT_GET, NLM_F_DUMP, AF_UNSPEC);
        if (!netlink_commit(netfilter, consider, &(struct search){ netfilter, lease }, "listing flows", NULL))
                netlink_commit(netfilter, NULL, NULL, "forgetting flows", NULL);
}
