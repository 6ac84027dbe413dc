/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "guest/guest_network.h"

#include <errno.h>
#include <linux/rtnetlink.h>
#include <net/ethernet.h>
#include <net/if.h>
#include <net/if_arp.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/text.h"

#define LOOPBACK 1 /* the index of "lo" in every network namespace */

/* One request and its attributes. Its parts stay far below the room: a few addresses and a name. */
struct request {
        struct nlmsghdr head;
        char body[512];
};

static void *begin(struct request *request, uint16_t type, uint16_t flags, size_t length)
{
        *request = (struct request){ .head = { .nlmsg_len = (uint32_t)NLMSG_LENGTH(length),
                                               .nlmsg_type = type,
                                               .nlmsg_flags = (uint16_t)(NLM_F_REQUEST | NLM_F_ACK | flags) } };
        return NLMSG_DATA(&request->head);
}

static void put(struct request *request, uint16_t type, const void *data, size_t length)
{
        char *end = (char *)&request->head + NLMSG_ALIGN(request->head.nlmsg_len);
        struct rtattr head = { .rta_len = (uint16_t)RTA_LENGTH(length), .rta_type = type };
        memcpy(end, &head, sizeof(head));
        memcpy(end + RTA_LENGTH(0), data, length);
        request->head.nlmsg_len = (uint32_t)(NLMSG_ALIGN(request->head.nlmsg_len) + RTA_ALIGN(head.rta_len));
}

/* Sends it and takes the kernel's answer. Returns 0 or a negative errno. */
static int commit(int netlink, const struct request *request)
{
        struct {
                struct nlmsghdr head;
                struct nlmsgerr answer;
                char rest[1024];
        } message;
        if (send(netlink, request, request->head.nlmsg_len, 0) < 0)
                return -errno;
        ssize_t n = recv(netlink, &message, sizeof(message), 0);
        if (n < 0)
                return -errno;
        return (size_t)n >= NLMSG_LENGTH(sizeof(message.answer)) && message.head.nlmsg_type == NLMSG_ERROR
                       ? message.answer.error
                       : -EPROTO;
}

static int set_link(int netlink, int index, const char *name, unsigned mtu, bool up)
{
        struct request request;
        struct ifinfomsg *link = begin(&request, RTM_NEWLINK, 0, sizeof(*link));
        link->ifi_index = index;
        link->ifi_flags = link->ifi_change = up ? IFF_UP : 0;
        if (name)
                put(&request, IFLA_IFNAME, name, strlen(name) + 1);
        if (mtu)
                put(&request, IFLA_MTU, &mtu, sizeof(mtu));
        return commit(netlink, &request);
}

static int add_address(int netlink, int index, const struct machine_address *address)
{
        struct request request;
        size_t length = address_length(&address->address);
        struct ifaddrmsg *info = begin(&request, RTM_NEWADDR, NLM_F_CREATE | NLM_F_REPLACE, sizeof(*info));
        info->ifa_family = (uint8_t)address->address.family;
        info->ifa_prefixlen = (uint8_t)address->prefix;
        info->ifa_index = (uint32_t)index;
        /* The host gave the address to nobody else: no need to ask the neighbours. */
        info->ifa_flags = info->ifa_family == AF_INET6 ? IFA_F_NODAD : 0;
        put(&request, IFA_LOCAL, address->address.bytes, length);
        put(&request, IFA_ADDRESS, address->address.bytes, length);
        if (info->ifa_family == AF_INET && address->prefix < 31) {
                uint8_t broadcast[4];
                memcpy(broadcast, address->address.bytes, 4);
                for (unsigned bit = address->prefix; bit < 32; bit++)
                        broadcast[bit / 8] |= (uint8_t)(0x80 >> bit % 8);
                put(&request, IFA_BROADCAST, broadcast, sizeof(broadcast));
        }
        return commit(netlink, &request);
}

static int add_route(int netlink, int index, const struct machine_route *route)
{
        struct request request;
        struct rtmsg *info = begin(&request, RTM_NEWROUTE, NLM_F_CREATE | NLM_F_REPLACE, sizeof(*info));
        info->rtm_family = (uint8_t)route->to.base.family;
        info->rtm_dst_len = (uint8_t)route->to.prefix;
        info->rtm_table = RT_TABLE_MAIN;
        info->rtm_protocol = RTPROT_STATIC;
        info->rtm_type = RTN_UNICAST;
        info->rtm_scope = route->via.family ? RT_SCOPE_UNIVERSE : RT_SCOPE_LINK;
        put(&request, RTA_OIF, &index, sizeof(index));
        if (route->to.prefix)
                put(&request, RTA_DST, route->to.base.bytes, address_length(&route->to.base));
        if (route->via.family) {
                info->rtm_flags = RTNH_F_ONLINK; /* where a gateway lies beyond the address's own network */
                put(&request, RTA_GATEWAY, route->via.bytes, address_length(&route->via));
        }
        return commit(netlink, &request);
}

/* The index of the interface with that hardware address, or -ENODEV. */
static int find(int netlink, const uint8_t mac[static 6])
{
        struct if_nameindex *all = if_nameindex();
        int found = -ENODEV;
        for (struct if_nameindex *one = all; one && one->if_index; one++) {
                struct ifreq request = { 0 };
                TEXT_COPY(request.ifr_name, one->if_name);
                if (!ioctl(netlink, SIOCGIFHWADDR, &request) && request.ifr_hwaddr.sa_family == ARPHRD_ETHER &&
                    !memcmp(request.ifr_hwaddr.sa_data, mac, ETH_ALEN))
                        found = (int)one->if_index;
        }
        if (all)
                if_freenameindex(all);
        return found;
}

static int set_up(int netlink, const struct machine_interface *interface, struct error *err)
{
        char mac[MAC_TEXT];
        int index = find(netlink, interface->mac);
        if (index < 0)
                return error_set(err, index, "the machine has no network card %s, which its %s should be",
                                 mac_format(interface->mac, mac), interface->name);
        int r = set_link(netlink, index, interface->name, interface->mtu, false);
        for (size_t i = 0; i < interface->address_count && !r; i++)
                r = add_address(netlink, index, &interface->addresses[i]);
        if (!r)
                r = set_link(netlink, index, NULL, 0, true);
        return r < 0 ? error_code(err, r, "cannot set up the network interface %s", interface->name) : 0;
}

int guest_network_set_up(const struct machine_config *config, struct error *err)
{
        _cleanup_close_ int netlink = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_ROUTE);
        if (netlink < 0)
                return error_errno(err, "cannot open a netlink socket");
        int r = set_link(netlink, LOOPBACK, NULL, 0, true);
        if (r < 0)
                return error_code(err, r, "cannot start the loopback interface");
        for (size_t i = 0; i < config->interface_count; i++) {
                r = set_up(netlink, &config->interfaces[i], err);
                if (r < 0)
                        return r;
        }
        for (size_t i = 0; i < config->route_count; i++) {
                int index = (int)if_nametoindex(config->routes[i].interface);
                r = index ? add_route(netlink, index, &config->routes[i]) : -ENODEV;
                if (r < 0)
                        return error_code(err, r, "cannot set route %zu of machine.json, through %s", i + 1,
                                          config->routes[i].interface);
        }
        return 0;
}
