/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "hosted/tap_device.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/if_tun.h>
#include <net/if.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "machine/virtio/network.h"

static int set_header(int fd, struct error *err)
{
        int header = VIRTIO_NETWORK_HEADER;
        return ioctl(fd, TUNSETVNETHDRSZ, &header) < 0
                       ? error_errno(err, "the tap device does not take virtio's header")
                       : 0;
}

int tap_device_open(const char *name, bool shared, struct error *err)
{
        struct ifreq request = { .ifr_flags =
                                         (short)(IFF_TAP | IFF_NO_PI | IFF_VNET_HDR | (shared ? IFF_MULTI_QUEUE : 0)) };
        _cleanup_close_ int fd = open("/dev/net/tun", O_RDWR | O_CLOEXEC | O_NONBLOCK);
        if (fd < 0)
                return error_errno(err, "cannot open /dev/net/tun");
        strncpy(request.ifr_name, name, sizeof(request.ifr_name) - 1);
        if (ioctl(fd, TUNSETIFF, &request) < 0)
                return errno == EINVAL ? error_set(err, -EINVAL, "tap device %s was made %s several queues", name,
                                                   shared ? "without" : "for")
                                       : error_errno(err, "cannot attach to tap device %s", name);
        int r = set_header(fd, err);
        return r < 0 ? r : TAKE_FD(fd);
}

int tap_device_take(int fd, struct error *err)
{
        struct ifreq request = { 0 };
        if (ioctl(fd, TUNGETIFF, &request) < 0)
                return error_errno(err, "descriptor %d is no tap device", fd);
        if ((request.ifr_flags & (IFF_TAP | IFF_NO_PI | IFF_VNET_HDR)) != (IFF_TAP | IFF_NO_PI | IFF_VNET_HDR))
                return error_set(err, -EINVAL, "descriptor %d is not a tap device with IFF_NO_PI and IFF_VNET_HDR", fd);
        if (fcntl(fd, F_SETFL, O_NONBLOCK) < 0 || fcntl(fd, F_SETFD, FD_CLOEXEC) < 0)
                return error_errno(err, "cannot use descriptor %d", fd);
        int r = set_header(fd, err);
        return r < 0 ? r : fd;
}

uint16_t tap_device_mtu(int fd)
{
        struct ifreq request = { 0 };
        _cleanup_close_ int socket_fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
        if (socket_fd < 0 || ioctl(fd, TUNGETIFF, &request) < 0 || ioctl(socket_fd, SIOCGIFMTU, &request) < 0 ||
            request.ifr_mtu < 68 || request.ifr_mtu > UINT16_MAX)
                return TAP_DEFAULT_MTU;
        return (uint16_t)request.ifr_mtu;
}

void tap_device_set_offloads(int fd, unsigned taken)
{
        static const struct {
                unsigned taken, tun;
        } map[] = { { NETWORK_GUEST_CHECKSUM, TUN_F_CSUM },
                    { NETWORK_GUEST_TSO4, TUN_F_TSO4 },
                    { NETWORK_GUEST_TSO6, TUN_F_TSO6 } };
        unsigned long offloads = 0;
        for (unsigned i = 0; i < ARRAY_SIZE(map); i++)
                offloads |= taken & map[i].taken ? map[i].tun : 0;
        /* Segmentation means nothing without checksums; the kernel would refuse all. */
        ioctl(fd, TUNSETOFFLOAD, offloads & TUN_F_CSUM ? offloads : 0);
}

void tap_device_use_queue(int fd, bool used)
{
        struct ifreq request = { .ifr_flags = used ? IFF_ATTACH_QUEUE : IFF_DETACH_QUEUE };
        (void)ioctl(fd, TUNSETQUEUE, &request); /* -EINVAL: it is as it was asked for */
}
