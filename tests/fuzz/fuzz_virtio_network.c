/* SPDX-License-Identifier: GPL-2.0-or-later */
/* A virtio network device under a hostile driver, with frames of all sizes coming in. */
#include "machine/virtio/network.h"

#include "fuzz_device.h"

static struct virtio_network network;
static struct virtio_network_pair places[4];
static size_t coming; /* bytes of the next frame, 0: none */
static unsigned sum;

static void send_frame(void *owner, unsigned pair, const struct virtqueue_part *parts, unsigned count)
{
        (void)owner;
        (void)pair;
        for (unsigned i = 0; i < count; i++)
                for (uint32_t j = 0; j < parts[i].length; j++)
                        sum += parts[i].host[j]; /* all of it must be readable */
}

static size_t receive_frame(void *owner, unsigned pair, uint8_t *frame, size_t room)
{
        (void)owner;
        (void)pair;
        size_t length = coming < room ? coming : room;
        memset(frame, 0x5a, length);
        coming = 0;
        return length;
}

static void set_offloads(void *owner, unsigned taken)
{
        (void)owner;
        sum += taken;
}

static void want_frames(void *owner, unsigned pair, bool wanted)
{
        (void)owner;
        (void)pair;
        sum += wanted;
}

static void use_pairs(void *owner, unsigned pairs)
{
        (void)owner;
        if (!pairs || pairs > 4)
                abort();
}

static void event(struct fuzz_input *input)
{
        coming = 13 + fuzz_take(input, 2);
        virtio_network_receive(&network, (unsigned)fuzz_take(input, 1) % 4);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
        const struct network_backend backend = {
                .offloads = size && data[0] & 1,
                .address = { 2, 0, 0, 0, 0, 1 },
                .mtu = 1500,
                .pairs = size && data[0] & 2 ? 4 : 1,
                .use_pairs = use_pairs,
                .send = send_frame,
                .receive = receive_frame,
                .set_offloads = set_offloads,
                .want_frames = want_frames,
        };
        coming = 0;
        virtio_network_init(&network, &backend, places);
        fuzz_device(&network.device, event, data, size);
        return 0;
}
