/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "container/network_device.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/if_addr.h>
#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <sched.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/text.h"

/* ---- the configuration ---- */

static bool is_interface_name(const char *name)
{
        size_t length = strlen(name);
        if (!length || length >= IFNAMSIZ || !strcmp(name, ".") || !strcmp(name, ".."))
                return false;
        for (const char *c = name; *c; c++)
                if (*c == '/' || *c == ':' || *c == ' ' || (*c >= '\t' && *c <= '\r'))
                        return false;
        return true;
}

int network_devices_parse(const struct json_at *platform, struct network_devices *devices)
{
        struct json_at at = json_get_object(platform, "netDevices");
        size_t count = at.value ? json_object_size(at.value) : 0;
        if (!count)
                return json_failed(platform);
        devices->list = calloc(count, sizeof(*devices->list));
        if (!devices->list)
                return at.reader->code = error_memory(at.reader->err);

        const char *host;
        json_t *value;
        json_object_foreach((json_t *)at.value, host, value) {
                struct json_at member = json_get_object(&at, host);
                const char *name = host;
                json_get_string(&member, "name", &name);
                if (json_failed(&at))
                        return json_failed(&at);
                if (!is_interface_name(host))
                        return json_misfit(&at, "has \"%s\", which is not the name of an interface", host);
                if (!*name)
                        name = host;
                if (!is_interface_name(name))
                        return json_misfit(&member, "has the name \"%s\", which no interface can have", name);
                for (size_t i = 0; i < devices->count; i++)
                        if (!strcmp(devices->list[i].name, name))
                                return json_misfit(&member, "has the name \"%s\" of another one", name);
                struct network_device *device = &devices->list[devices->count++];
                device->host = host;
                memcpy(device->name, name, strlen(name) + 1);
        }
        return 0;
}

void network_devices_free(struct network_devices *devices)
{
        free(devices->list);
        *devices = (struct network_devices){ 0 };
}

/* ---- messages ---- */

struct request {
        struct nlmsghdr header;
        union {
                struct ifinfomsg link;
                struct ifaddrmsg address;
        };
        char attributes[512];
};

static void attribute(struct request *request, unsigned short type, const void *data, size_t length)
{
        struct rtattr *at = (void *)((char *)request + NLMSG_ALIGN(request->header.nlmsg_len));
        at->rta_type = type;
        at->rta_len = (unsigned short)RTA_LENGTH(length);
        memcpy(RTA_DATA(at), data, length);
        request->header.nlmsg_len = NLMSG_ALIGN(request->header.nlmsg_len) + (uint32_t)RTA_ALIGN(at->rta_len);
}

static struct request link_request(const char *name)
{
        struct request request = {
                .header = { .nlmsg_type = RTM_NEWLINK,
                            .nlmsg_flags = NLM_F_REQUEST | NLM_F_ACK,
                            .nlmsg_len = NLMSG_LENGTH(sizeof(struct ifinfomsg)) },
                .link = { .ifi_index = (int)if_nametoindex(name) },
        };
        return request;
}

/* Sends one request and waits for its acknowledgement. */
static int transact(int socket, struct request *request)
{
        if (send(socket, request, request->header.nlmsg_len, 0) < 0)
                return -errno;
        char answer[4096] __attribute__((aligned(NLMSG_ALIGNTO)));
        ssize_t n = recv(socket, answer, sizeof(answer), 0);
        const struct nlmsghdr *header = (const void *)answer;
        if (n < 0)
                return -errno;
        if (!NLMSG_OK(header, (size_t)n) || header->nlmsg_type != NLMSG_ERROR)
                return -EPROTO;
        return ((const struct nlmsgerr *)NLMSG_DATA(header))->error;
}

/* ---- addresses ---- */

enum { ADDRESSES_MAX = 32 };

struct address {
        struct ifaddrmsg header;
        unsigned char local[16], peer[16];
        size_t length;
};

/* Keeps a global, permanent address of the interface. */
static void note_address(const struct nlmsghdr *message, unsigned index, struct address *list, size_t *count)
{
        const struct ifaddrmsg *header = NLMSG_DATA(message);
        if (header->ifa_index != index || header->ifa_scope != RT_SCOPE_UNIVERSE ||
            !(header->ifa_flags & IFA_F_PERMANENT) || *count == ADDRESSES_MAX)
                return;
        struct address found = { .header = *header };
        int left = (int)IFA_PAYLOAD(message);
        bool has_local = false;
        for (const struct rtattr *at = IFA_RTA(header); RTA_OK(at, left); at = RTA_NEXT(at, left)) {
                size_t length = RTA_PAYLOAD(at);
                if (length > sizeof(found.local) || (at->rta_type != IFA_LOCAL && at->rta_type != IFA_ADDRESS))
                        continue;
                found.length = length;
                memcpy(at->rta_type == IFA_LOCAL ? found.local : found.peer, RTA_DATA(at), length);
                has_local |= at->rta_type == IFA_LOCAL;
        }
        if (!has_local)
                memcpy(found.local, found.peer, sizeof(found.local));
        if (found.length)
                list[(*count)++] = found;
}

static int read_addresses(int socket, unsigned index, struct address *list, size_t *count)
{
        struct request request = {
                .header = { .nlmsg_type = RTM_GETADDR,
                            .nlmsg_flags = NLM_F_REQUEST | NLM_F_DUMP,
                            .nlmsg_len = NLMSG_LENGTH(sizeof(struct ifaddrmsg)) },
        };
        if (send(socket, &request, request.header.nlmsg_len, 0) < 0)
                return -errno;
        for (;;) {
                char answer[16384] __attribute__((aligned(NLMSG_ALIGNTO)));
                ssize_t n = recv(socket, answer, sizeof(answer), 0);
                if (n <= 0)
                        return n ? -errno : -EPROTO;
                size_t left = (size_t)n;
                for (const struct nlmsghdr *at = (const void *)answer; NLMSG_OK(at, left); at = NLMSG_NEXT(at, left)) {
                        if (at->nlmsg_type == NLMSG_DONE)
                                return 0;
                        if (at->nlmsg_type == NLMSG_ERROR)
                                return ((const struct nlmsgerr *)NLMSG_DATA(at))->error;
                        if (at->nlmsg_type == RTM_NEWADDR)
                                note_address(at, index, list, count);
                }
        }
}

static int add_address(int socket, unsigned index, const struct address *address)
{
        struct request request = {
                .header = { .nlmsg_type = RTM_NEWADDR,
                            .nlmsg_flags = NLM_F_REQUEST | NLM_F_ACK | NLM_F_CREATE,
                            .nlmsg_len = NLMSG_LENGTH(sizeof(struct ifaddrmsg)) },
                .address = address->header,
        };
        request.address.ifa_index = index;
        request.address.ifa_flags = IFA_F_PERMANENT;
        attribute(&request, IFA_LOCAL, address->local, address->length);
        attribute(&request, IFA_ADDRESS, address->peer, address->length);
        return transact(socket, &request);
}

/* ---- the move ---- */

static int open_socket(struct error *err)
{
        int fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_ROUTE);
        return fd < 0 ? error_errno(err, "cannot talk to the kernel about network devices") : fd;
}

static int index_inside(int inside, const char *name, unsigned *index)
{
        struct request request = {
                .header = { .nlmsg_type = RTM_GETLINK,
                            .nlmsg_flags = NLM_F_REQUEST,
                            .nlmsg_len = NLMSG_LENGTH(sizeof(struct ifinfomsg)) },
        };
        attribute(&request, IFLA_IFNAME, name, strlen(name) + 1);
        if (send(inside, &request, request.header.nlmsg_len, 0) < 0)
                return -errno;
        char answer[16384] __attribute__((aligned(NLMSG_ALIGNTO)));
        ssize_t n = recv(inside, answer, sizeof(answer), 0);
        const struct nlmsghdr *header = (const void *)answer;
        if (n < 0 || !NLMSG_OK(header, (size_t)n))
                return n < 0 ? -errno : -EPROTO;
        if (header->nlmsg_type == NLMSG_ERROR)
                return ((const struct nlmsgerr *)NLMSG_DATA(header))->error;
        *index = (unsigned)((const struct ifinfomsg *)NLMSG_DATA(header))->ifi_index;
        return 0;
}

static int move_one(const struct network_device *device, int outside, int inside, int netns)
{
        struct request request = link_request(device->host);
        unsigned index = (unsigned)request.link.ifi_index;
        if (!index)
                return -ENODEV;
        struct address addresses[ADDRESSES_MAX];
        size_t count = 0;
        int r = read_addresses(outside, index, addresses, &count);
        if (r < 0)
                return r;

        /* The kernel renames no interface that is up. */
        request.link.ifi_change = IFF_UP;
        r = transact(outside, &request);
        if (r < 0)
                return r;
        request = link_request(device->host);
        attribute(&request, IFLA_NET_NS_FD, &(uint32_t){ (uint32_t)netns }, sizeof(uint32_t));
        attribute(&request, IFLA_IFNAME, device->name, strlen(device->name) + 1);
        r = transact(outside, &request);
        if (!r)
                r = index_inside(inside, device->name, &index);
        for (size_t i = 0; i < count && !r; i++)
                r = add_address(inside, index, &addresses[i]);
        if (r < 0)
                return r;
        request = link_request("");
        request.link.ifi_index = (int)index;
        request.link.ifi_flags = request.link.ifi_change = IFF_UP;
        return transact(inside, &request);
}

int network_devices_move(const struct network_devices *devices, int netns, struct error *err)
{
        if (!devices->count)
                return 0;
        _cleanup_close_ int own = open("/proc/self/ns/net", O_RDONLY | O_CLOEXEC);
        if (own < 0)
                return error_errno(err, "cannot open the own network namespace");
        _cleanup_close_ int outside = open_socket(err);
        if (outside < 0)
                return outside;
        /* A socket belongs to the namespace in which it was made, so a short visit is enough. */
        if (setns(netns, CLONE_NEWNET) < 0)
                return error_errno(err, "cannot enter the container's network namespace");
        _cleanup_close_ int inside = open_socket(err);
        if (setns(own, CLONE_NEWNET) < 0)
                return error_errno(err, "cannot return from the container's network namespace");
        if (inside < 0)
                return inside;
        for (size_t i = 0; i < devices->count; i++) {
                const struct network_device *device = &devices->list[i];
                int r = move_one(device, outside, inside, netns);
                if (r == -ENODEV)
                        return error_set(err, r, "linux.netDevices: the host has no interface %s", device->host);
                if (r < 0)
                        return error_code(err, r, "cannot move the interface %s into the container as %s", device->host,
                                          device->name);
        }
        return 0;
}
