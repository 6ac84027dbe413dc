/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "hosted/tap.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <linux/if_tun.h>
#include <net/if.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/text.h"
#include "hosted/vmm_private.h"
#include "machine/virtio/network.h"

#define QUEUES      2
#define DEFAULT_MTU 1500

struct tap {
        struct vmm *vmm;
        struct event_source source;
        bool wanted; /* in the event loop, waiting for frames */
        struct virtio_transport transport;
        struct doorbell doorbells[QUEUES];
        struct virtio_network network;
};

/* ---- What the device asks for; the machine's lock is held ---- */

static void send_frame(void *owner, const struct virtqueue_part *parts, unsigned count)
{
        struct tap *tap = owner;
        struct iovec vector[VIRTQUEUE_PARTS_MAX];
        for (unsigned i = 0; i < count; i++)
                vector[i] = (struct iovec){ parts[i].host, parts[i].length };
        /* The kernel checks the header that the guest wrote. A full queue loses the frame, as a wire would. */
        (void)!writev(tap->source.fd, vector, (int)count);
}

static size_t receive_frame(void *owner, uint8_t *frame, size_t room)
{
        struct tap *tap = owner;
        ssize_t n = read(tap->source.fd, frame, room);
        return n > VIRTIO_NETWORK_HEADER ? (size_t)n : 0;
}

static void set_offloads(void *owner, unsigned taken)
{
        static const struct {
                unsigned taken, tun;
        } map[] = { { NETWORK_GUEST_CHECKSUM, TUN_F_CSUM },
                    { NETWORK_GUEST_TSO4, TUN_F_TSO4 },
                    { NETWORK_GUEST_TSO6, TUN_F_TSO6 } };
        struct tap *tap = owner;
        unsigned long offloads = 0;
        for (unsigned i = 0; i < ARRAY_SIZE(map); i++)
                offloads |= taken & map[i].taken ? map[i].tun : 0;
        /* Segmentation means nothing without checksums; the kernel would refuse all. */
        ioctl(tap->source.fd, TUNSETOFFLOAD, offloads & TUN_F_CSUM ? offloads : 0);
}

/* Called from any thread: epoll_ctl() may be used while another waits. */
static void want_frames(void *owner, bool wanted)
{
        struct tap *tap = owner;
        if (tap->wanted == wanted)
                return;
        tap->wanted = wanted;
        event_loop_change(&tap->vmm->loop, &tap->source, wanted ? EPOLLIN : 0);
}

static void frames_came(void *owner, uint32_t events)
{
        struct tap *tap = owner;
        if (events & (EPOLLERR | EPOLLHUP)) { /* the interface is gone: the cable is out for good */
                event_loop_remove(&tap->vmm->loop, &tap->source);
                return;
        }
        pthread_mutex_lock(&tap->vmm->lock);
        virtio_network_receive(&tap->network);
        pthread_mutex_unlock(&tap->vmm->lock);
}

/* ---- Making and ending it ---- */

static int open_interface(const struct tap_settings *settings, struct error *err)
{
        struct ifreq request = { .ifr_flags = IFF_TAP | IFF_NO_PI | IFF_VNET_HDR };
        _cleanup_close_ int fd = open("/dev/net/tun", O_RDWR | O_CLOEXEC | O_NONBLOCK);
        if (fd < 0)
                return error_errno(err, "cannot open /dev/net/tun");
        memcpy(request.ifr_name, settings->name, sizeof(request.ifr_name));
        if (ioctl(fd, TUNSETIFF, &request) < 0)
                return error_errno(err, "cannot attach to tap device %s", settings->name);
        return TAKE_FD(fd);
}

static int take_over(int fd, struct error *err)
{
        struct ifreq request = { 0 };
        if (ioctl(fd, TUNGETIFF, &request) < 0)
                return error_errno(err, "descriptor %d is no tap device", fd);
        if ((request.ifr_flags & (IFF_TAP | IFF_NO_PI | IFF_VNET_HDR)) != (IFF_TAP | IFF_NO_PI | IFF_VNET_HDR))
                return error_set(err, -EINVAL, "descriptor %d is not a tap device with IFF_NO_PI and IFF_VNET_HDR", fd);
        if (fcntl(fd, F_SETFL, O_NONBLOCK) < 0 || fcntl(fd, F_SETFD, FD_CLOEXEC) < 0)
                return error_errno(err, "cannot use descriptor %d", fd);
        return fd;
}

/* The MTU of the interface is the guest's too. */
static uint16_t mtu_of(int fd)
{
        struct ifreq request = { 0 };
        _cleanup_close_ int socket_fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
        if (socket_fd < 0 || ioctl(fd, TUNGETIFF, &request) < 0 || ioctl(socket_fd, SIOCGIFMTU, &request) < 0 ||
            request.ifr_mtu < 68 || request.ifr_mtu > UINT16_MAX)
                return DEFAULT_MTU;
        return (uint16_t)request.ifr_mtu;
}

void tap_close(struct tap *tap)
{
        doorbells_close(tap->doorbells, QUEUES);
        if (tap->source.fd >= 0)
                close(tap->source.fd);
        free(tap);
}

DEFINE_CLEANUP(tap, struct tap, tap_close)

int tap_open(struct vmm *vmm, const struct tap_settings *settings, struct tap **result, struct error *err)
{
        _cleanup_(tap) struct tap *tap = calloc(1, sizeof(*tap));
        if (!tap)
                return error_memory(err);
        tap->vmm = vmm;
        tap->doorbells[0].fd = tap->doorbells[1].fd = -1;
        int fd = settings->fd >= 0 ? take_over(settings->fd, err) : open_interface(settings, err);
        tap->source = (struct event_source){ .fd = fd, .ready = frames_came, .owner = tap };
        if (fd < 0)
                return fd;
        int header = VIRTIO_NETWORK_HEADER;
        if (ioctl(fd, TUNSETVNETHDRSZ, &header) < 0)
                return error_errno(err, "the tap device does not take virtio's header");

        struct network_backend backend = {
                .owner = tap,
                .offloads = true,
                .mtu = mtu_of(fd),
                .send = send_frame,
                .receive = receive_frame,
                .set_offloads = set_offloads,
                .want_frames = want_frames,
        };
        memcpy(backend.address, settings->address, sizeof(backend.address));
        virtio_network_init(&tap->network, &backend);
        int r = event_loop_add(&vmm->loop, &tap->source, 0);
        if (r < 0)
                return error_code(err, r, "cannot wait for frames");
        r = doorbells_open(vmm, &tap->transport, QUEUES, tap->doorbells, err);
        if (!r)
                r = doorbells_serve(vmm, tap->doorbells, QUEUES, err);
        if (r < 0)
                return r;
        r = machine_add_virtio(&vmm->machine, &tap->transport, &tap->network.device);
        if (r < 0)
                return error_code(err, r, "there is no place for a network card on the machine");
        *result = TAKE_PTR(tap);
        return 0;
}

void tap_print_statistics(const struct tap *tap)
{
        fprintf(stderr, "network: %" PRIu64 " frames sent, %" PRIu64 " received, %" PRIu64 " dropped\n",
                tap->network.sent, tap->network.received, tap->network.dropped);
}

/* ---- The option ---- */

static int parse_address(const char *text, uint8_t address[6])
{
        unsigned bytes[6];
        char rest;
        if (sscanf(text, "%2x:%2x:%2x:%2x:%2x:%2x%c", &bytes[0], &bytes[1], &bytes[2], &bytes[3], &bytes[4], &bytes[5],
                   &rest) != 6 ||
            (bytes[0] & 1))
                return -EINVAL;
        for (unsigned i = 0; i < 6; i++)
                address[i] = (uint8_t)bytes[i];
        return 0;
}

static int set_item(const char *item, struct tap_settings *settings, struct error *err)
{
        uint64_t fd;
        if (text_starts(item, "tap=")) {
                const char *name = item + strlen("tap=");
                if (!*name || strlen(name) >= sizeof(settings->name) || strchr(name, '/') || strchr(name, '%'))
                        return error_set(err, -EINVAL, "\"%s\" is no name of a network interface", name);
                TEXT_COPY(settings->name, name);
                return 0;
        }
        if (text_starts(item, "fd=") && !parse_u64(item + strlen("fd="), &fd) && fd <= INT32_MAX) {
                settings->fd = (int)fd;
                return 0;
        }
        if (text_starts(item, "address=")) {
                if (parse_address(item + strlen("address="), settings->address) < 0)
                        return error_set(err, -EINVAL, "\"%s\" is no Ethernet address of one card",
                                         item + strlen("address="));
                return 0;
        }
        return error_set(err, -EINVAL, "--network does not know \"%s\"; it takes tap=NAME or fd=N, and address=MAC",
                         item);
}

int tap_parse(const char *text, struct tap_settings *settings, struct error *err)
{
        *settings = (struct tap_settings){ .fd = -1 };
        if (getrandom(settings->address, sizeof(settings->address), 0) != sizeof(settings->address))
                return error_errno(err, "cannot make an address for a network card");
        settings->address[0] = (uint8_t)((settings->address[0] & 0xfc) | 2); /* one card's, locally administered */
        _cleanup_free_ char *copy = strdup(text);
        if (!copy)
                return error_memory(err);
        char *rest = copy;
        for (char *item; (item = strsep(&rest, ","));) {
                int r = set_item(item, settings, err);
                if (r < 0)
                        return r;
        }
        if (!settings->name[0] && settings->fd < 0)
                return error_set(err, -EINVAL, "--network needs tap=NAME or fd=N");
        return 0;
}
