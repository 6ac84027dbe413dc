/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "network/link.h"

#include <linux/if_bridge.h>
#include <linux/if_link.h>
#include <linux/neighbour.h>
#include <linux/rtnetlink.h>
#include <linux/veth.h>
#include <stdlib.h>
#include <string.h>

static struct ifinfomsg *request_link(struct netlink *netlink, uint16_t type, uint16_t flags, int index,
                                      struct nlmsghdr **message)
{
        *message = netlink_request(netlink, type, flags);
        struct ifinfomsg *info = mnl_nlmsg_put_extra_header(*message, sizeof(*info));
        info->ifi_family = AF_UNSPEC;
        info->ifi_index = index;
        return info;
}

static void set_up(struct ifinfomsg *info)
{
        info->ifi_flags = IFF_UP;
        info->ifi_change = IFF_UP;
}

static int read_kind(const struct nlattr *attribute, void *data)
{
        char *kind = data;
        if (mnl_attr_get_type(attribute) == IFLA_INFO_KIND)
                strncpy(kind, mnl_attr_get_str(attribute), sizeof(((struct link *)0)->kind) - 1);
        return MNL_CB_OK;
}

static int read_link_attribute(const struct nlattr *attribute, void *data)
{
        struct link *link = data;
        switch (mnl_attr_get_type(attribute)) {
        case IFLA_IFNAME: strncpy(link->name, mnl_attr_get_str(attribute), sizeof(link->name) - 1); break;
        case IFLA_MASTER: link->master = (int)mnl_attr_get_u32(attribute); break;
        case IFLA_MTU: link->mtu = mnl_attr_get_u32(attribute); break;
        case IFLA_LINKINFO: return mnl_attr_parse_nested(attribute, read_kind, link->kind);
        }
        return MNL_CB_OK;
}

static void read_link(const struct nlmsghdr *message, struct link *link)
{
        const struct ifinfomsg *info = mnl_nlmsg_get_payload(message);
        *link = (struct link){ .index = info->ifi_index, .up = info->ifi_flags & IFF_UP };
        mnl_attr_parse(message, sizeof(*info), read_link_attribute, link);
}

static int take_link(const struct nlmsghdr *message, void *data)
{
        if (message->nlmsg_type == RTM_NEWLINK)
                read_link(message, data);
        return 0;
}

int link_find(struct netlink *netlink, const char *name, struct link *link, struct error *err)
{
        struct nlmsghdr *message;
        struct error reason = { 0 };
        *link = (struct link){ 0 };
        request_link(netlink, RTM_GETLINK, NLM_F_ACK, 0, &message);
        mnl_attr_put_strz(message, IFLA_IFNAME, name);
        mnl_attr_put_u32(message, IFLA_EXT_MASK, RTEXT_FILTER_SKIP_STATS);
        int code = netlink_commit(netlink, take_link, link, "looking for a network interface", &reason);
        if (code < 0 && code != -ENODEV)
                return error_set(err, code, "%s", reason.text);
        return code;
}

struct link_walk {
        link_reader reader;
        void *data;
};

static int walk_link(const struct nlmsghdr *message, void *data)
{
        const struct link_walk *walk = data;
        struct link link;
        if (message->nlmsg_type != RTM_NEWLINK)
                return 0;
        read_link(message, &link);
        return walk->reader(&link, walk->data);
}

int link_each(struct netlink *netlink, link_reader reader, void *data, struct error *err)
{
        struct nlmsghdr *message;
        struct link_walk walk = { reader, data };
        request_link(netlink, RTM_GETLINK, NLM_F_DUMP, 0, &message);
        mnl_attr_put_u32(message, IFLA_EXT_MASK, RTEXT_FILTER_SKIP_STATS);
        return netlink_commit(netlink, walk_link, &walk, "listing network interfaces", err);
}

void link_bridge_queue(struct netlink *netlink, const char *name, const uint8_t mac[static 6], unsigned mtu)
{
        struct nlmsghdr *message;
        request_link(netlink, RTM_NEWLINK, NLM_F_CREATE | NLM_F_EXCL | NLM_F_ACK, 0, &message);
        mnl_attr_put_strz(message, IFLA_IFNAME, name);
        /* A bridge without an address of its own takes the least of its ports', and changes it as they come and go. */
        mnl_attr_put(message, IFLA_ADDRESS, 6, mac);
        if (mtu)
                mnl_attr_put_u32(message, IFLA_MTU, mtu);
        struct nlattr *info = mnl_attr_nest_start(message, IFLA_LINKINFO);
        mnl_attr_put_strz(message, IFLA_INFO_KIND, "bridge");
        mnl_attr_nest_end(message, info);
}

static void put_veth_peer(struct nlmsghdr *message, const struct veth *veth)
{
        struct nlattr *peer = mnl_attr_nest_start(message, VETH_INFO_PEER);
        mnl_nlmsg_put_extra_header(message, sizeof(struct ifinfomsg));
        mnl_attr_put_strz(message, IFLA_IFNAME, veth->peer);
        mnl_attr_put(message, IFLA_ADDRESS, 6, veth->peer_mac);
        if (veth->mtu)
                mnl_attr_put_u32(message, IFLA_MTU, veth->mtu);
        mnl_attr_put_u32(message, IFLA_NET_NS_FD, (uint32_t)veth->peer_namespace);
        mnl_attr_nest_end(message, peer);
}

void link_veth_queue(struct netlink *netlink, const struct veth *veth)
{
        struct nlmsghdr *message;
        set_up(request_link(netlink, RTM_NEWLINK, NLM_F_CREATE | NLM_F_EXCL | NLM_F_ACK, 0, &message));
        mnl_attr_put_strz(message, IFLA_IFNAME, veth->name);
        mnl_attr_put_u32(message, IFLA_MASTER, (uint32_t)veth->master);
        if (veth->mtu)
                mnl_attr_put_u32(message, IFLA_MTU, veth->mtu);
        struct nlattr *info = mnl_attr_nest_start(message, IFLA_LINKINFO);
        mnl_attr_put_strz(message, IFLA_INFO_KIND, "veth");
        struct nlattr *data = mnl_attr_nest_start(message, IFLA_INFO_DATA);
        put_veth_peer(message, veth);
        mnl_attr_nest_end(message, data);
        mnl_attr_nest_end(message, info);
}

void link_up_queue(struct netlink *netlink, int index)
{
        struct nlmsghdr *message;
        set_up(request_link(netlink, RTM_NEWLINK, NLM_F_ACK, index, &message));
}

void link_delete_queue(struct netlink *netlink, int index)
{
        struct nlmsghdr *message;
        request_link(netlink, RTM_DELLINK, NLM_F_ACK, index, &message);
}

static void port_setting_queue(struct netlink *netlink, const char *name, uint16_t setting, uint8_t value)
{
        struct nlmsghdr *message;
        request_link(netlink, RTM_NEWLINK, NLM_F_ACK, 0, &message);
        mnl_attr_put_strz(message, IFLA_IFNAME, name);
        struct nlattr *info = mnl_attr_nest_start(message, IFLA_LINKINFO);
        mnl_attr_put_strz(message, IFLA_INFO_SLAVE_KIND, "bridge");
        struct nlattr *data = mnl_attr_nest_start(message, IFLA_INFO_SLAVE_DATA);
        mnl_attr_put_u8(message, setting, value);
        mnl_attr_nest_end(message, data);
        mnl_attr_nest_end(message, info);
}

void link_port_disable_queue(struct netlink *netlink, const char *name)
{
        port_setting_queue(netlink, name, IFLA_BRPORT_STATE, BR_STATE_DISABLED);
}

void link_port_hairpin_queue(struct netlink *netlink, const char *name)
{
        port_setting_queue(netlink, name, IFLA_BRPORT_MODE, 1);
}

void address_add_queue(struct netlink *netlink, int index, const struct address *address, unsigned prefix)
{
        struct nlmsghdr *message = netlink_request(netlink, RTM_NEWADDR, NLM_F_CREATE | NLM_F_REPLACE | NLM_F_ACK);
        struct ifaddrmsg *info = mnl_nlmsg_put_extra_header(message, sizeof(*info));
        size_t length = address_length(address);
        info->ifa_family = (uint8_t)address->family;
        info->ifa_prefixlen = (uint8_t)prefix;
        info->ifa_index = (uint32_t)index;
        info->ifa_scope = RT_SCOPE_UNIVERSE;
        mnl_attr_put(message, IFA_LOCAL, length, address->bytes);
        mnl_attr_put(message, IFA_ADDRESS, length, address->bytes);
        if (address->family == AF_INET6) {
                info->ifa_flags = IFA_F_NODAD;
                return;
        }
        struct address broadcast = *address;
        for (unsigned bit = prefix; bit < 32; bit++)
                broadcast.bytes[bit / 8] |= (uint8_t)(0x80 >> bit % 8);
        if (prefix < 31)
                mnl_attr_put(message, IFA_BROADCAST, length, broadcast.bytes);
}

void default_route_queue(struct netlink *netlink, int index, const struct address *gateway, uint32_t metric)
{
        struct nlmsghdr *message = netlink_request(netlink, RTM_NEWROUTE, NLM_F_CREATE | NLM_F_ACK);
        struct rtmsg *route = mnl_nlmsg_put_extra_header(message, sizeof(*route));
        route->rtm_family = (uint8_t)gateway->family;
        route->rtm_table = RT_TABLE_MAIN;
        route->rtm_protocol = RTPROT_STATIC;
        route->rtm_scope = RT_SCOPE_UNIVERSE;
        route->rtm_type = RTN_UNICAST;
        mnl_attr_put(message, RTA_GATEWAY, address_length(gateway), gateway->bytes);
        mnl_attr_put_u32(message, RTA_OIF, (uint32_t)index);
        mnl_attr_put_u32(message, RTA_PRIORITY, metric);
}

void neighbour_probe_queue(struct netlink *netlink, int index, const struct address *neighbour)
{
        struct nlmsghdr *message = netlink_request(netlink, RTM_NEWNEIGH, NLM_F_CREATE | NLM_F_ACK);
        struct ndmsg *info = mnl_nlmsg_put_extra_header(message, sizeof(*info));
        info->ndm_family = (uint8_t)neighbour->family;
        info->ndm_ifindex = index;
        info->ndm_state = NUD_NONE;
        info->ndm_flags = NTF_USE;
        mnl_attr_put(message, NDA_DST, address_length(neighbour), neighbour->bytes);
}

struct route_walk {
        route_reader reader;
        void *data;
};

struct route_found {
        struct subnet destination;
        int index;
        uint32_t table;
};

static int read_route_attribute(const struct nlattr *attribute, void *data)
{
        struct route_found *found = data;
        switch (mnl_attr_get_type(attribute)) {
        case RTA_DST:
                if (mnl_attr_get_payload_len(attribute) == address_length(&found->destination.base))
                        memcpy(found->destination.base.bytes, mnl_attr_get_payload(attribute),
                               mnl_attr_get_payload_len(attribute));
                break;
        case RTA_OIF: found->index = (int)mnl_attr_get_u32(attribute); break;
        case RTA_TABLE: found->table = mnl_attr_get_u32(attribute); break;
        }
        return MNL_CB_OK;
}

static int walk_route(const struct nlmsghdr *message, void *data)
{
        const struct route_walk *walk = data;
        const struct rtmsg *route = mnl_nlmsg_get_payload(message);
        if (message->nlmsg_type != RTM_NEWROUTE || (route->rtm_family != AF_INET && route->rtm_family != AF_INET6))
                return 0;
        struct route_found found = { .destination = { .base = { .family = route->rtm_family },
                                                      .prefix = route->rtm_dst_len },
                                     .table = route->rtm_table };
        mnl_attr_parse(message, sizeof(*route), read_route_attribute, &found);
        if (found.table != RT_TABLE_MAIN || !found.index)
                return 0;
        return walk->reader(&found.destination, found.index, walk->data);
}

int route_each(struct netlink *netlink, route_reader reader, void *data, struct error *err)
{
        struct route_walk walk = { reader, data };
        struct nlmsghdr *message = netlink_request(netlink, RTM_GETROUTE, NLM_F_DUMP);
        struct rtmsg *route = mnl_nlmsg_put_extra_header(message, sizeof(*route));
        route->rtm_family = AF_UNSPEC;
        return netlink_commit(netlink, walk_route, &walk, "listing routes", err);
}
