/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "virtual_machine/machine_network.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/if_tun.h>
#include <linux/rtnetlink.h>
#include <net/if.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/random.h>
#include <unistd.h>

#include "base/test_point.h"
#include "base/text.h"
#include "network/link.h"
#include "network/network.h"
#include "virtual_machine/folder.h"

/* Inside the machine's namespace. */
#define BRIDGE "onggi0"

DEFINE_CLEANUP(networks, struct networks, networks_close)

/* ---- In the namespace ---- */

/* A tap that stays without a process; onggi-vmm attaches to it by its name. */
static int make_tap(struct error *err)
{
        struct ifreq request = { .ifr_flags = IFF_TAP | IFF_NO_PI | IFF_VNET_HDR };
        _cleanup_close_ int fd = open("/dev/net/tun", O_RDWR | O_CLOEXEC);
        if (fd < 0)
                return error_errno(err, "cannot open /dev/net/tun");
        TEXT_COPY(request.ifr_name, VM_TAP);
        if (ioctl(fd, TUNSETIFF, &request) < 0 || ioctl(fd, TUNSETPERSIST, 1) < 0)
                return error_errno(err, "cannot make a tap device");
        return 0;
}

static struct nlmsghdr *change_queue(struct netlink *netlink, int index, unsigned flags)
{
        struct nlmsghdr *message = netlink_request(netlink, RTM_NEWLINK, NLM_F_ACK);
        struct ifinfomsg *info = mnl_nlmsg_put_extra_header(message, sizeof(*info));
        info->ifi_index = index;
        info->ifi_flags = flags;
        info->ifi_change = IFF_UP;
        return message;
}

static void port_queue(struct netlink *netlink, int index, int bridge, unsigned mtu)
{
        struct nlmsghdr *message = change_queue(netlink, index, IFF_UP);
        mnl_attr_put_u32(message, IFLA_MASTER, (uint32_t)bridge);
        mnl_attr_put_u32(message, IFLA_MTU, mtu);
}

static void forget_address(struct netlink *netlink, int index, const json_t *attachment, const char *key,
                           const char *prefix, int family)
{
        uint8_t bytes[16];
        const char *text = json_string_value(json_object_get(attachment, key));
        if (!text || inet_pton(family, text, bytes) != 1)
                return;
        struct nlmsghdr *message = netlink_request(netlink, RTM_DELADDR, NLM_F_ACK);
        struct ifaddrmsg *info = mnl_nlmsg_put_extra_header(message, sizeof(*info));
        info->ifa_family = (uint8_t)family;
        info->ifa_prefixlen = (uint8_t)json_integer_value(json_object_get(attachment, prefix));
        info->ifa_index = (uint32_t)index;
        mnl_attr_put(message, IFA_LOCAL, family == AF_INET ? 4 : 16, bytes);
}

/*
 * The pair's end gives its addresses up to the guest, the hardware address too: a bridge takes frames for that of one of its
 * ports to be its own, and would answer for the others.
 */
static int join(struct netlink *netlink, const json_t *attachment, struct error *err)
{
        struct link outside, bridge, tap;
        uint8_t random[12];
        const char *name = json_string_value(json_object_get(attachment, "interface"));
        int r = link_find(netlink, name ? name : "", &outside, err);
        if (!r)
                r = link_find(netlink, VM_TAP, &tap, err);
        if (r < 0)
                return r == -ENODEV ? error_set(err, r, "an interface of the virtual machine is gone") : r;
        if (getrandom(random, sizeof(random), 0) != sizeof(random))
                return error_errno(err, "choosing hardware addresses");
        random[0] = random[6] = 2; /* one card's, locally administered */
        forget_address(netlink, outside.index, attachment, "address", "prefix", AF_INET);
        forget_address(netlink, outside.index, attachment, "address6", "prefix6", AF_INET6);
        mnl_attr_put(change_queue(netlink, outside.index, IFF_UP), IFLA_ADDRESS, 6, random);
        link_bridge_queue(netlink, BRIDGE, random + 6, outside.mtu);
        r = netlink_commit(netlink, NULL, NULL, "making a bridge for the virtual machine", err);
        if (!r)
                r = link_find(netlink, BRIDGE, &bridge, err);
        if (r < 0)
                return r;
        port_queue(netlink, outside.index, bridge.index, outside.mtu);
        port_queue(netlink, tap.index, bridge.index, outside.mtu);
        link_up_queue(netlink, bridge.index);
        return netlink_commit(netlink, NULL, NULL, "joining the virtual machine to its network", err);
}

static int furnish(const json_t *attachment, struct error *err)
{
        struct netlink *netlink;
        int r = make_tap(err);
        if (!r)
                r = netlink_open(NETLINK_ROUTE, &netlink, err);
        if (r < 0)
                return r;
        r = join(netlink, attachment, err);
        netlink_close(netlink);
        return r;
}

/* This process has one thread, which goes there and comes back. */
static int furnish_inside(int namespace, const json_t *attachment, struct error *err)
{
        _cleanup_close_ int home = open("/proc/self/ns/net", O_RDONLY | O_CLOEXEC);
        if (home < 0 || setns(namespace, CLONE_NEWNET) < 0)
                return error_errno(err, "cannot enter the virtual machine's network namespace");
        int r = furnish(attachment, err);
        if (setns(home, CLONE_NEWNET) < 0)
                return error_errno(err, "cannot leave the virtual machine's network namespace");
        return r;
}

/* ---- The attachment ---- */

static int read_ports(const struct vm_settings *settings, struct published_port **ports, size_t *count,
                      struct error *err)
{
        *count = list_length(settings->ports);
        *ports = calloc(*count + 1, sizeof(**ports));
        if (!*ports)
                return error_memory(err);
        int r = 0;
        for (size_t i = 0; !r && i < *count; i++)
                r = published_port_parse(settings->ports[i], &(*ports)[i], err);
        return r;
}

static int attach(struct vm *vm, const struct vm_settings *settings, struct networks *networks, json_t **attachment,
                  struct error *err)
{
        _cleanup_free_ struct published_port *ports = NULL;
        size_t count;
        int r = read_ports(settings, &ports, &count, err);
        if (r < 0)
                return r;
        const struct network_request request = {
                .instance = vm->id,
                .names = (const char *const[]){ vm->name, NULL },
                .network = settings->network ? settings->network : "default",
                .address = settings->address,
                .mac = settings->mac,
                .ports = ports,
                .port_count = count,
        };
        return network_attach(networks, &request, attachment, err);
}

int machine_network_make(struct vm *vm, const struct vm_settings *settings, json_t **attachment, int *namespace,
                         struct error *err)
{
        _cleanup_(networks) struct networks *networks = NULL;
        _cleanup_free_ char *path = NULL;
        *attachment = NULL;
        *namespace = -1;
        if (text_equal(settings->network, "none") || text_equal(settings->network, "user"))
                return 0;
        int r = networks_open(vm->host->root, vm->host->state, vm->host->rootless, &networks, err);
        if (!r)
                r = netns_make(networks, vm->id, &path, err);
        if (r < 0)
                return r;
        test_point("vm.start.namespace.made");
        _cleanup_close_ int fd = open(path, O_RDONLY | O_CLOEXEC);
        if (fd < 0)
                return error_errno(err, "cannot open %s", path);
        r = attach(vm, settings, networks, attachment, err);
        test_point("vm.start.attached");
        if (!r)
                r = furnish_inside(fd, *attachment, err);
        if (!r)
                *namespace = TAKE_FD(fd);
        return r;
}

int machine_network_release(struct vm *vm, struct error *err)
{
        _cleanup_free_ char *pins = text_format("%s/netns/%s", vm->host->state, vm->id);
        _cleanup_(networks) struct networks *networks = NULL;
        /* A lease without its pin is anybody's to sweep up. */
        if (!pins || access(pins, F_OK) < 0)
                return pins ? 0 : error_memory(err);
        int r = networks_open(vm->host->root, vm->host->state, vm->host->rootless, &networks, err);
        return r < 0 ? r : network_release(networks, vm->id, err);
}

char *machine_network_ip_option(const json_t *attachment, const char *name)
{
        const char *address = json_string_value(json_object_get(attachment, "address"));
        const char *gateway = json_string_value(json_object_get(attachment, "gateway"));
        json_int_t prefix = json_integer_value(json_object_get(attachment, "prefix"));
        uint32_t mask = prefix ? ~UINT32_C(0) << (32 - prefix) : 0;
        return text_format("ip=%s::%s:%u.%u.%u.%u:%s:eth0:off", address ? address : "", gateway ? gateway : "",
                           mask >> 24, mask >> 16 & 255, mask >> 8 & 255, mask & 255, name);
}
