/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "runtime_vm/wire.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>

#include <linux/if_ether.h>
#include <linux/if_tun.h>
#include <linux/pkt_cls.h>
#include <linux/pkt_sched.h>
#include <linux/rtnetlink.h>
#include <linux/tc_act/tc_mirred.h>
#include <net/if_arp.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/json.h"
#include "base/text.h"
#include "network/link.h"

#define INGRESS_HANDLE 0xffff0000U
#define PRIORITY       1U

/* An interface of the namespace that is to be the guest's. */
struct port {
        int index;
        unsigned mtu;
        char name[IFNAMSIZ];
        uint8_t mac[6];
};

struct ports {
        size_t count;
        struct port ports[MACHINE_CONFIG_INTERFACES_MAX];
        size_t skipped;
        bool wanted_down; /* those that are down, too */
};

/* ---- What is there ---- */

struct seen {
        struct port port;
        bool has_mac, is_tap;
};

static int see_kind(const struct nlattr *attribute, void *data)
{
        struct seen *seen = data;
        if (mnl_attr_get_type(attribute) == IFLA_INFO_KIND)
                seen->is_tap = !strcmp(mnl_attr_get_str(attribute), "tun");
        return MNL_CB_OK;
}

static int see_attribute(const struct nlattr *attribute, void *data)
{
        struct seen *seen = data;
        switch (mnl_attr_get_type(attribute)) {
        case IFLA_IFNAME: strncpy(seen->port.name, mnl_attr_get_str(attribute), sizeof(seen->port.name) - 1); break;
        case IFLA_MTU: seen->port.mtu = mnl_attr_get_u32(attribute); break;
        case IFLA_ADDRESS:
                seen->has_mac = mnl_attr_get_payload_len(attribute) == sizeof(seen->port.mac);
                if (seen->has_mac)
                        memcpy(seen->port.mac, mnl_attr_get_payload(attribute), sizeof(seen->port.mac));
                break;
        case IFLA_LINKINFO: return mnl_attr_parse_nested(attribute, see_kind, seen);
        }
        return MNL_CB_OK;
}

static int see_link(const struct nlmsghdr *message, void *data)
{
        struct ports *ports = data;
        const struct ifinfomsg *info = mnl_nlmsg_get_payload(message);
        struct seen seen = { .port.index = info->ifi_index };
        if (message->nlmsg_type != RTM_NEWLINK || info->ifi_type != ARPHRD_ETHER)
                return 0;
        mnl_attr_parse(message, sizeof(*info), see_attribute, &seen);
        if (!seen.has_mac || seen.is_tap || !(ports->wanted_down || info->ifi_flags & IFF_UP))
                return 0;
        if (ports->count == MACHINE_CONFIG_INTERFACES_MAX)
                ports->skipped++;
        else
                ports->ports[ports->count++] = seen.port;
        return 0;
}

static int find_ports(struct netlink *netlink, struct ports *ports, struct error *err)
{
        struct nlmsghdr *message = netlink_request(netlink, RTM_GETLINK, NLM_F_DUMP);
        mnl_nlmsg_put_extra_header(message, sizeof(struct ifinfomsg));
        int r = netlink_commit(netlink, see_link, ports, "listing network interfaces", err);
        if (!r && ports->skipped)
                r = error_set(err, -E2BIG, "a virtual machine has at most %d network interfaces, not %zu",
                              MACHINE_CONFIG_INTERFACES_MAX, ports->count + ports->skipped);
        return r;
}

static const struct port *port_of(const struct ports *ports, int index)
{
        for (size_t i = 0; i < ports->count; i++)
                if (ports->ports[i].index == index)
                        return &ports->ports[i];
        return NULL;
}

/* ---- Addresses and routes, as machine.json has them ---- */

struct collection {
        const struct ports *ports;
        json_t *interfaces, *routes; /* the former in the order of the ports */
        bool failed;
};

static int take_local(const struct nlattr *attribute, void *data)
{
        struct address *address = data;
        unsigned type = mnl_attr_get_type(attribute);
        /* A peer's address stands in IFA_ADDRESS, our own in IFA_LOCAL; IPv6 has the former alone. */
        if ((type == IFA_LOCAL || (type == IFA_ADDRESS && address->family == AF_INET6)) &&
            mnl_attr_get_payload_len(attribute) == address_length(address))
                memcpy(address->bytes, mnl_attr_get_payload(attribute), address_length(address));
        return MNL_CB_OK;
}

static int take_address(const struct nlmsghdr *message, void *data)
{
        struct collection *collection = data;
        const struct ifaddrmsg *info = mnl_nlmsg_get_payload(message);
        const struct port *port = port_of(collection->ports, (int)info->ifa_index);
        if (message->nlmsg_type != RTM_NEWADDR || !port || info->ifa_scope != RT_SCOPE_UNIVERSE ||
            (info->ifa_family != AF_INET && info->ifa_family != AF_INET6))
                return 0;
        struct address address = { .family = info->ifa_family };
        char text[ADDRESS_TEXT];
        mnl_attr_parse(message, sizeof(*info), take_local, &address);
        json_t *interface = json_array_get(collection->interfaces, (size_t)(port - collection->ports->ports));
        json_t *addresses = json_object_get(interface, "addresses");
        if (json_array_size(addresses) < MACHINE_CONFIG_ADDRESSES_MAX &&
            json_array_append_new(addresses,
                                  json_sprintf("%s/%u", address_format(&address, text), info->ifa_prefixlen)) < 0)
                collection->failed = true;
        return 0;
}

struct route {
        struct subnet to;
        struct address via;
        uint32_t table;
        int index;
};

static int take_route_attribute(const struct nlattr *attribute, void *data)
{
        struct route *route = data;
        size_t length = address_length(&route->to.base);
        bool fits = mnl_attr_get_payload_len(attribute) == length;
        switch (mnl_attr_get_type(attribute)) {
        case RTA_DST:
                if (fits)
                        memcpy(route->to.base.bytes, mnl_attr_get_payload(attribute), length);
                break;
        case RTA_GATEWAY:
                route->via.family = fits ? route->to.base.family : 0;
                if (fits)
                        memcpy(route->via.bytes, mnl_attr_get_payload(attribute), length);
                break;
        case RTA_OIF: route->index = (int)mnl_attr_get_u32(attribute); break;
        case RTA_TABLE: route->table = mnl_attr_get_u32(attribute); break;
        }
        return MNL_CB_OK;
}

static int take_route(const struct nlmsghdr *message, void *data)
{
        struct collection *collection = data;
        const struct rtmsg *info = mnl_nlmsg_get_payload(message);
        if (message->nlmsg_type != RTM_NEWROUTE || info->rtm_type != RTN_UNICAST ||
            (info->rtm_family != AF_INET && info->rtm_family != AF_INET6) ||
            info->rtm_protocol == RTPROT_KERNEL) /* the guest's kernel makes its own of the addresses */
                return 0;
        struct route route = { .to = { .base = { .family = info->rtm_family }, .prefix = info->rtm_dst_len },
                               .table = info->rtm_table };
        mnl_attr_parse(message, sizeof(*info), take_route_attribute, &route);
        const struct port *port = port_of(collection->ports, route.index);
        if (!port || route.table != RT_TABLE_MAIN || (!route.to.prefix && !route.via.family) ||
            json_array_size(collection->routes) == MACHINE_CONFIG_LIST_MAX)
                return 0;
        char to[ADDRESS_TEXT + 4], via[ADDRESS_TEXT];
        json_t *entry = json_pack("{s:s, s:s}", "to", route.to.prefix ? subnet_format(&route.to, to) : "default",
                                  "interface", port->name);
        if (route.via.family)
                json_object_set_new(entry, "via", json_string(address_format(&route.via, via)));
        /* Those on the link first: others may lead through them. */
        int r = route.via.family ? json_array_append_new(collection->routes, entry)
                                 : json_array_insert_new(collection->routes, 0, entry);
        collection->failed |= r < 0;
        return 0;
}

static int collect(struct netlink *netlink, struct collection *collection, struct error *err)
{
        for (size_t i = 0; i < collection->ports->count; i++) {
                const struct port *port = &collection->ports->ports[i];
                char mac[MAC_TEXT];
                json_t *entry = json_pack("{s:s, s:s, s:i, s:[]}", "name", port->name, "mac",
                                          mac_format(port->mac, mac), "mtu", (int)port->mtu, "addresses");
                collection->failed |= json_array_append_new(collection->interfaces, entry) < 0;
        }
        struct nlmsghdr *message = netlink_request(netlink, RTM_GETADDR, NLM_F_DUMP);
        mnl_nlmsg_put_extra_header(message, sizeof(struct ifaddrmsg));
        int r = netlink_commit(netlink, take_address, collection, "listing addresses", err);
        if (r < 0)
                return r;
        message = netlink_request(netlink, RTM_GETROUTE, NLM_F_DUMP);
        mnl_nlmsg_put_extra_header(message, sizeof(struct rtmsg));
        r = netlink_commit(netlink, take_route, collection, "listing routes", err);
        return r < 0 ? r : collection->failed ? error_memory(err) : 0;
}

/* ---- The wire ---- */

static struct tcmsg *request_control(struct netlink *netlink, uint16_t type, uint16_t flags, int index,
                                     struct nlmsghdr **message)
{
        *message = netlink_request(netlink, type, (uint16_t)(flags | NLM_F_ACK));
        struct tcmsg *control = mnl_nlmsg_put_extra_header(*message, sizeof(*control));
        control->tcm_family = AF_UNSPEC;
        control->tcm_ifindex = index;
        control->tcm_parent = TC_H_INGRESS;
        control->tcm_handle = INGRESS_HANDLE;
        return control;
}

static void ingress_queue(struct netlink *netlink, int index)
{
        struct nlmsghdr *message;
        request_control(netlink, RTM_NEWQDISC, NLM_F_CREATE | NLM_F_EXCL, index, &message);
        mnl_attr_put_strz(message, TCA_KIND, "ingress");
}

static void ingress_delete_queue(struct netlink *netlink, int index)
{
        struct nlmsghdr *message;
        request_control(netlink, RTM_DELQDISC, 0, index, &message);
}

/* Everything that comes in at `from` goes out at `to`. */
static void redirect_queue(struct netlink *netlink, int from, int to)
{
        /* A selector, and one key of it whose mask has no bit. */
        const struct tc_u32_sel selector = { .flags = TC_U32_TERMINAL, .nkeys = 1 };
        char everything[sizeof(selector) + sizeof(struct tc_u32_key)] = { 0 };
        memcpy(everything, &selector, sizeof(selector));
        const struct tc_mirred redirect = { .action = TC_ACT_STOLEN,
                                            .eaction = TCA_EGRESS_REDIR,
                                            .ifindex = (uint32_t)to };
        struct nlmsghdr *message;
        struct tcmsg *control = request_control(netlink, RTM_NEWTFILTER, NLM_F_CREATE | NLM_F_EXCL, from, &message);
        control->tcm_parent = INGRESS_HANDLE;
        control->tcm_handle = 0;
        control->tcm_info = TC_H_MAKE(PRIORITY << 16, htons(ETH_P_ALL));
        mnl_attr_put_strz(message, TCA_KIND, "u32");
        struct nlattr *options = mnl_attr_nest_start(message, TCA_OPTIONS);
        mnl_attr_put(message, TCA_U32_SEL, sizeof(everything), everything);
        struct nlattr *actions = mnl_attr_nest_start(message, TCA_U32_ACT);
        struct nlattr *first = mnl_attr_nest_start(message, 1);
        mnl_attr_put_strz(message, TCA_ACT_KIND, "mirred");
        struct nlattr *mirred = mnl_attr_nest_start(message, TCA_ACT_OPTIONS);
        mnl_attr_put(message, TCA_MIRRED_PARMS, sizeof(redirect), &redirect);
        mnl_attr_nest_end(message, mirred);
        mnl_attr_nest_end(message, first);
        mnl_attr_nest_end(message, actions);
        mnl_attr_nest_end(message, options);
}

static void tap_up_queue(struct netlink *netlink, int index, unsigned mtu)
{
        struct nlmsghdr *message = netlink_request(netlink, RTM_NEWLINK, NLM_F_ACK);
        struct ifinfomsg *info = mnl_nlmsg_put_extra_header(message, sizeof(*info));
        info->ifi_index = index;
        info->ifi_flags = info->ifi_change = IFF_UP;
        mnl_attr_put_u32(message, IFLA_MTU, mtu);
}

static int open_tap(size_t number, int *index, struct error *err)
{
        struct ifreq request = { .ifr_flags = IFF_TAP | IFF_NO_PI | IFF_VNET_HDR };
        _cleanup_close_ int fd = open("/dev/net/tun", O_RDWR | O_CLOEXEC | O_NONBLOCK);
        if (fd < 0)
                return error_errno(err, "cannot open /dev/net/tun");
        snprintf(request.ifr_name, sizeof(request.ifr_name), "onggi-vm%u", (unsigned)number % 1000);
        if (ioctl(fd, TUNSETIFF, &request) < 0)
                return error_errno(err, "cannot make a tap device for the virtual machine");
        *index = (int)if_nametoindex(request.ifr_name);
        return *index ? TAKE_FD(fd) : error_errno(err, "cannot find the tap device %s", request.ifr_name);
}

static int lay(struct netlink *netlink, const struct port *port, size_t number, struct wire *wire, struct error *err)
{
        int tap = 0;
        wire->tap = open_tap(number, &tap, err);
        if (wire->tap < 0)
                return wire->tap;
        mac_format(port->mac, wire->mac);
        ingress_delete_queue(netlink, port->index);
        netlink_commit(netlink, NULL, NULL, "removing an old wire", NULL);
        tap_up_queue(netlink, tap, port->mtu);
        ingress_queue(netlink, port->index);
        ingress_queue(netlink, tap);
        redirect_queue(netlink, port->index, tap);
        redirect_queue(netlink, tap, port->index);
        int r = netlink_commit(netlink, NULL, NULL, "wiring the interface to the virtual machine", err);
        return r < 0 ? error_prefix(err, "%s", port->name) : 0;
}

void wires_release(struct wires *wires)
{
        for (size_t i = 0; i < wires->count; i++)
                if (wires->wires[i].tap >= 0)
                        close(TAKE_FD(wires->wires[i].tap));
        json_decref(TAKE_PTR(wires->interfaces));
        json_decref(TAKE_PTR(wires->routes));
}

int wires_lay(struct wires *wires, struct error *err)
{
        *wires = (struct wires){ .interfaces = json_array(), .routes = json_array() };
        _cleanup_netlink_ struct netlink *netlink = NULL;
        int r = netlink_open(NETLINK_ROUTE, &netlink, err);
        struct ports ports = { 0 };
        if (!r)
                r = find_ports(netlink, &ports, err);
        struct collection collection = { .ports = &ports, .interfaces = wires->interfaces, .routes = wires->routes };
        if (!r)
                r = collect(netlink, &collection, err);
        for (size_t i = 0; i < ports.count && !r; i++) {
                wires->count = i + 1;
                r = lay(netlink, &ports.ports[i], i, &wires->wires[i], err);
        }
        if (r < 0)
                wires_release(wires);
        return r;
}

int wires_cut(struct error *err)
{
        _cleanup_netlink_ struct netlink *netlink = NULL;
        struct ports ports = { .wanted_down = true };
        int r = netlink_open(NETLINK_ROUTE, &netlink, err);
        if (!r)
                r = find_ports(netlink, &ports, err);
        for (size_t i = 0; i < ports.count && !r; i++) {
                ingress_delete_queue(netlink, ports.ports[i].index);
                netlink_commit(netlink, NULL, NULL, "removing a wire", NULL); /* most have none */
        }
        return r;
}
