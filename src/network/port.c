/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "network/port.h"

#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>
#include <sys/random.h>
#include <sys/socket.h>

#include "base/file.h"
#include "base/text.h"

/* "80" or "8000-8010". `zero` is whether 0 may be meant ("choose one"). */
static int parse_range(const char *text, bool zero, uint16_t *first, uint32_t *count)
{
        char copy[16];
        uint64_t from, to;
        if (strlen(text) >= sizeof(copy))
                return -EINVAL;
        TEXT_COPY(copy, text);
        char *dash = strchr(copy, '-');
        if (dash)
                *dash = '\0';
        if (parse_u64(copy, &from) < 0 || parse_u64(dash ? dash + 1 : copy, &to) < 0)
                return -EINVAL;
        if (to < from || to > UINT16_MAX || (!from && (!zero || to)))
                return -EINVAL;
        *first = (uint16_t)from;
        *count = (uint32_t)(to - from + 1);
        return 0;
}

static int parse_protocol(const char *text, const char *protocol, struct published_port *port, struct error *err)
{
        if (!strcmp(protocol, "udp"))
                port->udp = true;
        else if (strcmp(protocol, "tcp"))
                return error_set(err, -EINVAL, "published port \"%s\": the protocol \"%s\" is neither tcp nor udp",
                                 text, protocol);
        return 0;
}

static int parse_host_address(const char *text, char *address, struct published_port *port, struct error *err)
{
        struct address parsed;
        size_t length = strlen(address);
        if (length > 1 && address[0] == '[' && address[length - 1] == ']') {
                address[length - 1] = '\0';
                address++;
        }
        if (address_parse(address, &parsed) < 0)
                return error_set(err, -EINVAL, "published port \"%s\": \"%s\" is not an IP address", text, address);
        address_format(&parsed, port->host_address);
        return 0;
}

static int parse_ports(const char *text, const char *host, const char *container, struct published_port *port,
                       struct error *err)
{
        uint32_t count, host_count;
        if (parse_range(container, false, &port->container, &count) < 0)
                return error_set(err, -EINVAL, "published port \"%s\": \"%s\" is not a port or range of 1 to 65535",
                                 text, container);
        host_count = count;
        if (host && *host && parse_range(host, true, &port->host, &host_count) < 0)
                return error_set(err, -EINVAL, "published port \"%s\": \"%s\" is not a port or range of 1 to 65535",
                                 text, host);
        if (host && *host && !port->host)
                host_count = count;
        if (host_count != count && count != 1)
                return error_set(err, -EINVAL,
                                 "published port \"%s\": the ranges differ: %u ports of the host, %u of the "
                                 "container",
                                 text, host_count, count);
        port->count = (uint16_t)count;
        port->choices = (uint16_t)(count == 1 ? host_count : 1);
        return 0;
}

int published_port_parse(const char *text, struct published_port *port, struct error *err)
{
        char copy[128];
        struct published_port parsed = { 0 };
        if (strlen(text) >= sizeof(copy))
                return error_set(err, -EINVAL, "published port \"%.40s…\" is too long", text);
        TEXT_COPY(copy, text);
        char *protocol = strchr(copy, '/');
        if (protocol)
                *protocol++ = '\0';
        int r = protocol ? parse_protocol(text, protocol, &parsed, err) : 0;
        if (r < 0)
                return r;
        char *container = strrchr(copy, ':'), *host = NULL, *address = NULL;
        if (container) {
                *container++ = '\0';
                host = strrchr(copy, ':');
                address = host ? copy : NULL;
                if (host)
                        *host++ = '\0';
                else
                        host = copy;
        }
        if (address)
                r = parse_host_address(text, address, &parsed, err);
        if (!r)
                r = parse_ports(text, host, container ? container : copy, &parsed, err);
        if (!r)
                *port = parsed;
        return r;
}

struct address published_port_address(const struct published_port *port)
{
        struct address address = { 0 };
        if (port->host_address[0])
                address_parse(port->host_address, &address);
        return address;
}

static bool unspecified(const struct address *address)
{
        static const uint8_t zero[16];
        return !address->family || !memcmp(address->bytes, zero, address_length(address));
}

bool published_port_serves(const struct published_port *port, int family)
{
        struct address address = published_port_address(port);
        return !address.family || address.family == family;
}

bool published_port_conflicts(const struct published_port *a, const struct published_port *b)
{
        struct address x = published_port_address(a), y = published_port_address(b);
        if (a->udp != b->udp || a->host >= b->host + b->count || b->host >= a->host + a->count)
                return false;
        if (x.family && y.family && x.family != y.family)
                return false;
        return unspecified(&x) || unspecified(&y) || address_equal(&x, &y);
}

void published_port_write(const struct published_port *port, struct text *text)
{
        text_printf(text, "%s,%s,%u,%u,%u", port->udp ? "udp" : "tcp", port->host_address[0] ? port->host_address : "*",
                    port->host, port->container, port->count);
}

static int read_number(const char *text, uint16_t *number)
{
        uint64_t value;
        if (!text || parse_u64(text, &value) < 0 || !value || value > UINT16_MAX)
                return -EINVAL;
        *number = (uint16_t)value;
        return 0;
}

int published_port_read(char *text, struct published_port *port)
{
        struct address address;
        char *rest = text, *protocol = strsep(&rest, ","), *host_address = strsep(&rest, ",");
        *port = (struct published_port){ .choices = 1 };
        if (!host_address || (strcmp(protocol, "tcp") && strcmp(protocol, "udp")))
                return -EINVAL;
        port->udp = protocol[0] == 'u';
        if (strcmp(host_address, "*")) {
                if (address_parse(host_address, &address) < 0)
                        return -EINVAL;
                address_format(&address, port->host_address);
        }
        if (read_number(strsep(&rest, ","), &port->host) < 0 || read_number(strsep(&rest, ","), &port->container) < 0 ||
            read_number(strsep(&rest, ","), &port->count) < 0 || rest)
                return -EINVAL;
        return port->host + port->count > 65536 || port->container + port->count > 65536 ? -EINVAL : 0;
}

const char *published_port_format(const struct published_port *port, char text[static PUBLISHED_PORT_TEXT])
{
        const char *form = strchr(port->host_address, ':') ? "[%s]:" : "%s:";
        int length = 0;
        if (port->host_address[0])
                length = snprintf(text, PUBLISHED_PORT_TEXT, form, port->host_address);
        length += snprintf(text + length, (size_t)(PUBLISHED_PORT_TEXT - length), "%u", port->host);
        if (port->count > 1)
                length += snprintf(text + length, (size_t)(PUBLISHED_PORT_TEXT - length), "-%u",
                                   port->host + port->count - 1);
        snprintf(text + length, (size_t)(PUBLISHED_PORT_TEXT - length), "/%s", port->udp ? "udp" : "tcp");
        return text;
}

static int bind_one(const struct address *address, bool udp, uint16_t number)
{
        _cleanup_close_ int fd = socket(address->family, (udp ? SOCK_DGRAM : SOCK_STREAM) | SOCK_CLOEXEC, 0);
        if (fd < 0)
                return errno == EAFNOSUPPORT ? 0 : -errno;
        /* Connections that linger in TIME_WAIT do not hold a port; sockets that listen do, with this option too. */
        if (!udp)
                setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &(int){ 1 }, sizeof(int));
        if (address->family == AF_INET6) {
                struct sockaddr_in6 at = { .sin6_family = AF_INET6, .sin6_port = htons(number) };
                memcpy(&at.sin6_addr, address->bytes, 16);
                setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &(int){ 1 }, sizeof(int));
                /* Without IPv6 on the host nobody can have its ports. */
                if (bind(fd, (struct sockaddr *)&at, sizeof(at)) < 0)
                        return errno == EADDRNOTAVAIL && unspecified(address) ? 0 : -errno;
                return 0;
        }
        struct sockaddr_in at = { .sin_family = AF_INET, .sin_port = htons(number) };
        memcpy(&at.sin_addr, address->bytes, 4);
        return bind(fd, (struct sockaddr *)&at, sizeof(at)) < 0 ? -errno : 0;
}

static int probe_failure(const struct published_port *port, uint16_t number, int code, struct error *err)
{
        const char *protocol = port->udp ? "udp" : "tcp";
        if (code == -EADDRINUSE)
                return error_set(err, code, "port %u/%s is in use on the host; `ss -lnp` shows by whom", number,
                                 protocol);
        if (code == -EADDRNOTAVAIL)
                return error_set(err, code, "%s is not an address of this host, so no port can be published on it",
                                 port->host_address);
        if (code == -EACCES)
                return error_set(err, code,
                                 "port %u/%s of the host is for root alone; an ordinary user may publish "
                                 "on ports from sysctl net.ipv4.ip_unprivileged_port_start on",
                                 number, protocol);
        return error_code(err, code, "trying port %u/%s of the host", number, protocol);
}

int published_port_probe(const struct published_port *port, struct error *err)
{
        struct address address = published_port_address(port);
        struct address v4 = { .family = AF_INET }, v6 = { .family = AF_INET6 };
        for (uint32_t i = 0; i < port->count; i++) {
                uint16_t number = (uint16_t)(port->host + i);
                int r = bind_one(address.family ? &address : &v4, port->udp, number);
                if (!r && !address.family)
                        r = bind_one(&v6, port->udp, number);
                if (r < 0)
                        return probe_failure(port, number, r, err);
        }
        return 0;
}

static int try_claim(const struct published_port *port, port_owner owner, void *data, struct error *err)
{
        char text[PUBLISHED_PORT_TEXT];
        const char *holder = owner(port, data);
        if (holder)
                return error_set(err, -EADDRINUSE, "port %s is in use: %s publishes it",
                                 published_port_format(port, text), holder);
        return published_port_probe(port, err);
}

/* The range that the kernel gives to connections of its own is where nobody expects a fixed port. */
static void ephemeral_range(uint32_t *first, uint32_t *last)
{
        _cleanup_free_ char *text = NULL;
        *first = 32768;
        *last = 60999;
        if (file_read(AT_FDCWD, "/proc/sys/net/ipv4/ip_local_port_range", 64, &text, NULL, NULL) < 0)
                return;
        uint32_t low, high;
        if (sscanf(text, "%u %u", &low, &high) == 2 && low && low < high && high <= UINT16_MAX) {
                *first = low;
                *last = high;
        }
}

static int choose(struct published_port *port, uint32_t first, uint32_t last, port_owner owner, void *data,
                  struct error *err)
{
        uint32_t room = last - first + 1, start = 0;
        if (room < port->count)
                return error_set(err, -EINVAL, "no room for %u ports in a row between %u and %u", port->count, first,
                                 last);
        room -= port->count - 1;
        if (port->choices <= 1 && getrandom(&start, sizeof(start), 0) != sizeof(start))
                return error_errno(err, "choosing a port");
        for (uint32_t i = 0; i < room; i++) {
                port->host = (uint16_t)(first + (start + i) % room);
                int r = try_claim(port, owner, data, err);
                if (r != -EADDRINUSE)
                        return r;
        }
        return error_set(err, -EADDRINUSE, "no free %s port is left between %u and %u", port->udp ? "udp" : "tcp",
                         first, last);
}

int published_port_claim(struct published_port *port, port_owner owner, void *data, struct error *err)
{
        struct published_port claimed = *port;
        uint32_t first = port->host, last = port->host + port->choices - 1u;
        int r;
        if (port->host && port->choices <= 1) {
                r = try_claim(&claimed, owner, data, err);
        } else {
                if (!port->host)
                        ephemeral_range(&first, &last);
                r = choose(&claimed, first, last, owner, data, err);
        }
        if (r < 0)
                return r;
        claimed.choices = 1;
        *port = claimed;
        return 0;
}
