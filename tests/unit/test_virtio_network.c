/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "machine/virtio/network.h"

#include "virtio_driver.h"

enum { HEADER = VIRTIO_NETWORK_HEADER, BUFFER = DRIVER_DATA, BUFFER_SIZE = 1024 };

static const uint64_t MERGEABLE = 1 << 15, MULTI_QUEUE = 1 << 17 | 1 << 22;

/* A wire with at most one frame on it. */
static struct {
        struct virtio_network network;
        struct virtio_network_pair places[4];
        uint8_t sent[4096], coming[8192];
        size_t sent_length, coming_length;
        unsigned frames, offloads;
        bool wanted;
        unsigned last_pair, pairs, used_pairs; /* pairs: of the card, 0 for one */
} wire;

static void on_send(void *owner, unsigned pair, const struct virtqueue_part *parts, unsigned count)
{
        (void)owner;
        wire.last_pair = pair;
        wire.frames++;
        wire.sent_length = 0;
        for (unsigned i = 0; i < count; i++) {
                memcpy(wire.sent + wire.sent_length, parts[i].host, parts[i].length);
                wire.sent_length += parts[i].length;
        }
}

static size_t on_receive(void *owner, unsigned pair, uint8_t *frame, size_t room)
{
        (void)owner;
        (void)pair;
        size_t length = wire.coming_length;
        assert_true(length <= room);
        memcpy(frame, wire.coming, length);
        wire.coming_length = 0;
        return length;
}

static void on_offloads(void *owner, unsigned taken)
{
        (void)owner;
        wire.offloads = taken;
}

static void on_pairs(void *owner, unsigned pairs)
{
        (void)owner;
        wire.used_pairs = pairs;
}

static void on_want(void *owner, unsigned pair, bool wanted)
{
        (void)owner;
        (void)pair;
        wire.wanted = wanted;
}

static void set_up(bool offloads, uint64_t features)
{
        unsigned pairs = wire.pairs;
        memset(&wire, 0, sizeof(wire));
        wire.pairs = pairs;
        const struct network_backend backend = { .offloads = offloads,
                                                 .address = { 2, 0, 0, 0, 0, 9 },
                                                 .mtu = 1400,
                                                 .pairs = wire.pairs ? wire.pairs : 1,
                                                 .use_pairs = on_pairs,
                                                 .send = on_send,
                                                 .receive = on_receive,
                                                 .set_offloads = on_offloads,
                                                 .want_frames = on_want };
        virtio_network_init(&wire.network, &backend, wire.places);
        driver_open(&wire.network.device);
        assert_int_equal(driver_start(features, pairs ? 2 * pairs + 1 : 2), 15);
}

static void come(size_t length)
{
        for (size_t i = 0; i < length; i++)
                wire.coming[i] = (uint8_t)(i * 7);
        wire.coming_length = length;
        virtio_network_receive(&wire.network, 0);
}

static void offer_buffers(unsigned count)
{
        for (unsigned i = 0; i < count; i++)
                driver_offer(0, &(struct driver_part){ BUFFER + driver.offered[0] * BUFFER_SIZE, BUFFER_SIZE, true },
                             1);
        driver_notify(0);
}

static void test_a_sent_frame_keeps_its_header_where_the_back_end_knows_it(void **state)
{
        (void)state;
        set_up(true, 0);
        const struct driver_part parts[] = { { BUFFER, HEADER, false }, { BUFFER + 100, 60, false } };
        driver.ram[BUFFER] = 1;
        driver.ram[BUFFER + 100] = 0x77;
        driver_send(1, parts, 2);
        assert_int_equal(wire.sent_length, HEADER + 60);
        assert_int_equal(wire.sent[0], 1);
        assert_int_equal(wire.sent[HEADER], 0x77);
        assert_int_equal(driver_used(1), 1);
}

static void test_a_sent_frame_loses_its_header_where_the_back_end_does_not(void **state)
{
        (void)state;
        set_up(false, 0);
        driver.ram[BUFFER + HEADER] = 0x66;
        driver_send(1, &(struct driver_part){ BUFFER, HEADER + 60, false }, 1);
        assert_int_equal(wire.sent_length, 60);
        assert_int_equal(wire.sent[0], 0x66);
        assert_false(driver_features() & 1); /* and no checksum is left to it */
}

static void test_a_frame_of_nothing_but_its_header_is_dropped(void **state)
{
        (void)state;
        set_up(false, 0);
        driver_send(1, &(struct driver_part){ BUFFER, HEADER, false }, 1);
        assert_int_equal(wire.frames, 0);
        assert_int_equal(driver_used(1), 1);
        assert_false(driver_needs_reset());
}

static void test_a_large_frame_is_spread_over_buffers_that_appear_at_once(void **state)
{
        (void)state;
        set_up(true, MERGEABLE);
        offer_buffers(4);
        come(2500);
        assert_int_equal(driver_used(0), 3);
        assert_int_equal(driver.ram[BUFFER + 10], 3); /* num_buffers */
        assert_memory_equal(driver.ram + BUFFER + HEADER, wire.coming + HEADER, 2500 - HEADER);
        assert_int_equal(driver_used_length(0), 2500 - 2 * BUFFER_SIZE);
}

static void test_a_frame_waits_until_there_are_buffers_enough(void **state)
{
        (void)state;
        set_up(true, MERGEABLE);
        offer_buffers(2);
        come(2500);
        assert_int_equal(driver_used(0), 0);
        assert_false(wire.wanted); /* the next ones wait in front of the device */
        offer_buffers(1);
        assert_int_equal(driver_used(0), 3);
        assert_true(wire.wanted);
        assert_memory_equal(driver.ram + BUFFER + HEADER, wire.coming + HEADER, 2500 - HEADER);
}

static void test_a_frame_too_large_for_a_driver_without_mergeable_buffers_is_dropped(void **state)
{
        (void)state;
        set_up(true, 0);
        offer_buffers(2);
        come(2500);
        assert_int_equal(driver_used(0), 0);
        come(500);
        assert_int_equal(driver_used(0), 1);
        assert_int_equal(driver_used_length(0), 500);
        assert_int_equal(wire.network.dropped, 1);
}

static void test_a_buffer_without_room_for_the_header_breaks_the_device(void **state)
{
        (void)state;
        set_up(true, MERGEABLE);
        driver_offer(0, &(struct driver_part){ BUFFER, 11, true }, 1);
        come(500);
        assert_true(driver_needs_reset());
}

static void test_offloads_follow_the_features(void **state)
{
        (void)state;
        set_up(true, NETWORK_GUEST_CHECKSUM | NETWORK_GUEST_TSO4);
        assert_int_equal(wire.offloads, NETWORK_GUEST_CHECKSUM | NETWORK_GUEST_TSO4);
        driver_common(COMMON_STATUS, 1, 0);
        assert_false(wire.wanted);
}

static void test_the_configuration_tells_address_and_mtu(void **state)
{
        (void)state;
        set_up(true, 0);
        assert_int_equal(driver_read(driver.registers + REGISTERS_DEVICE, 1), 2);
        assert_int_equal(driver_read(driver.registers + REGISTERS_DEVICE + 5, 1), 9);
        assert_int_equal(driver_read(driver.registers + REGISTERS_DEVICE + 10, 2), 1400);
}

static uint8_t set_pairs(uint8_t class, uint16_t pairs)
{
        const struct driver_part parts[] = { { BUFFER, 2, false },
                                             { BUFFER + 16, 2, false },
                                             { BUFFER + 32, 1, true } };
        driver.ram[BUFFER] = class;
        driver.ram[BUFFER + 1] = 0;
        memcpy(driver.ram + BUFFER + 16, &pairs, 2);
        driver.ram[BUFFER + 32] = 0xee;
        driver_send(4, parts, 3);
        return driver.ram[BUFFER + 32];
}

static void test_the_driver_says_how_many_pairs_of_queues_it_uses(void **state)
{
        const struct driver_part frame = { BUFFER, HEADER + 60, false };
        (void)state;
        wire.pairs = 2;
        set_up(true, MULTI_QUEUE);
        assert_int_equal(wire.used_pairs, 1);
        driver_send(3, &frame, 1); /* of a pair that is not in use */
        assert_int_equal(wire.frames, 0);
        assert_int_equal(set_pairs(4, 2), 0);
        assert_int_equal(wire.used_pairs, 2);
        driver_notify(3);
        assert_int_equal(wire.frames, 1);
        assert_int_equal(wire.last_pair, 1);
        assert_int_equal(set_pairs(4, 3), 1); /* more than there are, none, another class */
        assert_int_equal(set_pairs(4, 0), 1);
        assert_int_equal(set_pairs(1, 1), 1);
        assert_int_equal(wire.used_pairs, 2);
        wire.pairs = 0;
}

static void test_a_card_with_one_pair_offers_no_control_queue(void **state)
{
        (void)state;
        set_up(true, 0);
        assert_false(driver_features() & MULTI_QUEUE);
}

static void test_a_cable_that_is_pulled_shows_in_the_status(void **state)
{
        (void)state;
        set_up(true, 0);
        assert_int_equal(driver_read(driver.registers + REGISTERS_DEVICE + 6, 2), 1);
        virtio_network_set_link(&wire.network, true);
        assert_int_equal(driver_read(driver.registers + REGISTERS_DEVICE + 6, 2), 0);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_a_sent_frame_keeps_its_header_where_the_back_end_knows_it),
                cmocka_unit_test(test_a_sent_frame_loses_its_header_where_the_back_end_does_not),
                cmocka_unit_test(test_a_frame_of_nothing_but_its_header_is_dropped),
                cmocka_unit_test(test_a_large_frame_is_spread_over_buffers_that_appear_at_once),
                cmocka_unit_test(test_a_frame_waits_until_there_are_buffers_enough),
                cmocka_unit_test(test_a_frame_too_large_for_a_driver_without_mergeable_buffers_is_dropped),
                cmocka_unit_test(test_a_buffer_without_room_for_the_header_breaks_the_device),
                cmocka_unit_test(test_offloads_follow_the_features),
                cmocka_unit_test(test_the_configuration_tells_address_and_mtu),
                cmocka_unit_test(test_the_driver_says_how_many_pairs_of_queues_it_uses),
                cmocka_unit_test(test_a_card_with_one_pair_offers_no_control_queue),
                cmocka_unit_test(test_a_cable_that_is_pulled_shows_in_the_status),
        };
        return cmocka_run_group_tests(tests, NULL, NULL);
}
