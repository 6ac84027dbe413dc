/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "machine/virtio/queue.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

/* A driver that lays its rings out in 64 KiB of guest memory. */
enum { SIZE = 8, AT_DESCRIPTORS = 0x1000, AT_DRIVER = 0x2000, AT_DEVICE = 0x3000, AT_TABLE = 0x4000, AT_DATA = 0x8000 };
enum { NEXT = 1, WRITE = 2, INDIRECT = 4 };

struct driver {
        unsigned char ram[0x10000] __attribute__((aligned(4096)));
        struct guest_memory memory;
        struct virtqueue queue;
};

static struct driver driver;
static struct virtqueue_chain chain;

static void set_up(bool packed)
{
        memset(&driver, 0, sizeof(driver));
        assert_int_equal(guest_memory_add(&driver.memory, gpa(0), sizeof(driver.ram), driver.ram, GUEST_RAM), 0);
        virtqueue_init(&driver.queue, &driver.memory, 256);
        driver.queue.size = SIZE;
        driver.queue.packed = packed;
        driver.queue.indirect = true;
        driver.queue.descriptors = AT_DESCRIPTORS;
        driver.queue.driver = AT_DRIVER;
        driver.queue.device = AT_DEVICE;
        assert_int_equal(virtqueue_enable(&driver.queue), 0);
}

static void put16(uint64_t at, uint16_t value)
{
        memcpy(driver.ram + at, &value, 2);
}

static uint16_t get16(uint64_t at)
{
        uint16_t value;
        memcpy(&value, driver.ram + at, 2);
        return value;
}

/* `fourth` and `third` in the order of memory: split flags, next; packed id, flags. */
static void put_descriptor(uint64_t table, unsigned i, uint64_t address, uint32_t length, uint16_t third,
                           uint16_t fourth)
{
        unsigned char *at = driver.ram + table + i * 16;
        memcpy(at, &address, 8);
        memcpy(at + 8, &length, 4);
        memcpy(at + 12, &third, 2);
        memcpy(at + 14, &fourth, 2);
}

static void offer_split(uint16_t head)
{
        uint16_t index = get16(AT_DRIVER + 2);
        put16(AT_DRIVER + 4 + 2 * (index % SIZE), head);
        put16(AT_DRIVER + 2, (uint16_t)(index + 1));
}

static void test_a_split_request_goes_round(void **state)
{
        (void)state;
        set_up(false);
        assert_int_equal(virtqueue_pop(&driver.queue, &chain), 0);
        for (unsigned round = 0; round < 3 * SIZE; round++) {
                put_descriptor(AT_DESCRIPTORS, 3, AT_DATA, 4, NEXT, 5);
                put_descriptor(AT_DESCRIPTORS, 5, AT_DATA + 16, 2, NEXT | WRITE, 1);
                put_descriptor(AT_DESCRIPTORS, 1, AT_DATA + 32, 8, WRITE, 0);
                memcpy(driver.ram + AT_DATA, "ping", 4);
                offer_split(3);

                assert_int_equal(virtqueue_pop(&driver.queue, &chain), 1);
                assert_int_equal(chain.readable, 1);
                assert_int_equal(chain.writable, 2);
                assert_int_equal(virtqueue_readable_length(&chain), 4);
                assert_int_equal(virtqueue_writable_length(&chain), 10);
                char data[8] = { 0 };
                assert_int_equal(virtqueue_read(&chain, 1, data, sizeof(data)), 3);
                assert_string_equal(data, "ing");
                assert_int_equal(virtqueue_write(&driver.queue, &chain, 1, "abc", 3), 3);
                assert_memory_equal(driver.ram + AT_DATA + 17, "a", 1);
                assert_memory_equal(driver.ram + AT_DATA + 32, "bc", 2);

                virtqueue_push(&driver.queue, &chain, 4);
                uint32_t element[2];
                memcpy(element, driver.ram + AT_DEVICE + 4 + 8 * (round % SIZE), 8);
                assert_int_equal(element[0], 3);
                assert_int_equal(element[1], 4);
                assert_int_equal(get16(AT_DEVICE + 2), round + 1);
                assert_true(virtqueue_should_interrupt(&driver.queue));
                assert_false(virtqueue_should_interrupt(&driver.queue));
        }
}

static void test_an_indirect_table_is_followed_once(void **state)
{
        (void)state;
        set_up(false);
        put_descriptor(AT_DESCRIPTORS, 0, AT_TABLE, 32, INDIRECT, 0);
        put_descriptor(AT_TABLE, 0, AT_DATA, 1, NEXT, 1);
        put_descriptor(AT_TABLE, 1, AT_DATA + 8, 1, WRITE, 0);
        offer_split(0);
        assert_int_equal(virtqueue_pop(&driver.queue, &chain), 1);
        assert_int_equal(chain.readable + chain.writable, 2);

        put_descriptor(AT_TABLE, 1, AT_TABLE, 32, INDIRECT, 0);
        offer_split(0);
        assert_int_equal(virtqueue_pop(&driver.queue, &chain), -EPROTO);
        assert_int_equal(virtqueue_pop(&driver.queue, &chain), -EPROTO);
        virtqueue_reset(&driver.queue);
        assert_false(driver.queue.broken || driver.queue.ready);
}

static void test_pop_refuses_what_breaks_the_rules(void **state)
{
        (void)state;
        static const struct {
                const char *what;
                uint64_t address;
                uint32_t length;
                uint16_t flags, next, head;
        } cases[] = {
                { "a descriptor that links to itself", AT_DATA, 1, NEXT, 0, 0 },
                { "a link beyond the table", AT_DATA, 1, NEXT, SIZE, 0 },
                { "a head beyond the table", AT_DATA, 1, 0, 0, SIZE },
                { "a buffer beyond memory", 0xffff, 2, 0, 0, 0 },
                { "a buffer that wraps", UINT64_MAX, 2, 0, 0, 0 },
                { "a buffer of 4 GiB", AT_DATA, UINT32_MAX, 0, 0, 0 },
                { "an empty buffer", AT_DATA, 0, 0, 0, 0 },
                { "an indirect table with a link", AT_TABLE, 16, INDIRECT | NEXT, 1, 0 },
                { "an indirect table of broken length", AT_TABLE, 17, INDIRECT, 0, 0 },
                { "an empty indirect table", AT_TABLE, 0, INDIRECT, 0, 0 },
                { "an indirect table beyond memory", 0xfff8, 16, INDIRECT, 0, 0 },
        };
        for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
                set_up(false);
                put_descriptor(AT_DESCRIPTORS, 0, cases[i].address, cases[i].length, cases[i].flags, cases[i].next);
                offer_split(cases[i].head);
                if (virtqueue_pop(&driver.queue, &chain) != -EPROTO)
                        fail_msg("%s was accepted", cases[i].what);
        }
        /* a readable buffer behind a writable one */
        set_up(false);
        put_descriptor(AT_DESCRIPTORS, 0, AT_DATA, 1, NEXT | WRITE, 1);
        put_descriptor(AT_DESCRIPTORS, 1, AT_DATA, 1, 0, 0);
        offer_split(0);
        assert_int_equal(virtqueue_pop(&driver.queue, &chain), -EPROTO);
        /* more requests than the ring has places */
        set_up(false);
        put16(AT_DRIVER + 2, SIZE + 1);
        assert_int_equal(virtqueue_pop(&driver.queue, &chain), -EPROTO);
}

static void test_enable_refuses_rings_outside_memory(void **state)
{
        (void)state;
        static const struct {
                uint64_t descriptors, driver, device;
                uint16_t size;
        } cases[] = {
                { AT_DESCRIPTORS, AT_DRIVER, AT_DEVICE, 0 },
                { AT_DESCRIPTORS, AT_DRIVER, AT_DEVICE, 3 },
                { AT_DESCRIPTORS, AT_DRIVER, AT_DEVICE, 512 },
                { AT_DESCRIPTORS + 8, AT_DRIVER, AT_DEVICE, SIZE },
                { AT_DESCRIPTORS, AT_DRIVER + 1, AT_DEVICE, SIZE },
                { AT_DESCRIPTORS, AT_DRIVER, AT_DEVICE + 2, SIZE },
                { 0xffe0, AT_DRIVER, AT_DEVICE, SIZE },
                { AT_DESCRIPTORS, 0xfffe, AT_DEVICE, SIZE },
                { AT_DESCRIPTORS, AT_DRIVER, UINT64_MAX - 3, SIZE },
        };
        for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
                set_up(false);
                virtqueue_reset(&driver.queue);
                driver.queue.size = cases[i].size;
                driver.queue.descriptors = cases[i].descriptors;
                driver.queue.driver = cases[i].driver;
                driver.queue.device = cases[i].device;
                assert_int_equal(virtqueue_enable(&driver.queue), -EINVAL);
                assert_int_equal(virtqueue_pop(&driver.queue, &chain), 0);
        }
}

static void test_the_event_index_asks_for_one_interrupt_at_its_place(void **state)
{
        (void)state;
        set_up(false);
        driver.queue.event_index = true;
        put_descriptor(AT_DESCRIPTORS, 0, AT_DATA, 1, 0, 0);
        put16(AT_DRIVER + 4 + 2 * SIZE, 1); /* used_event: after the second */
        for (unsigned i = 0; i < 4; i++) {
                offer_split(0);
                assert_int_equal(virtqueue_pop(&driver.queue, &chain), 1);
                virtqueue_push(&driver.queue, &chain, 0);
                assert_int_equal(virtqueue_should_interrupt(&driver.queue), i == 1);
        }
        assert_false(virtqueue_wait(&driver.queue));
        assert_int_equal(get16(AT_DEVICE + 4 + 8 * SIZE), 4);
        offer_split(0);
        assert_true(virtqueue_wait(&driver.queue));
}

static void test_a_packed_ring_goes_round_with_its_wrap_counters(void **state)
{
        (void)state;
        set_up(true);
        unsigned at = 0;
        bool wrap = true;
        for (unsigned round = 0; round < 5 * SIZE; round++) {
                uint16_t mine = wrap ? 0x80 : 0x8000;
                assert_int_equal(virtqueue_pop(&driver.queue, &chain), 0);
                unsigned second = (at + 1) % SIZE;
                uint16_t next = second ? mine : mine ^ 0x8080;
                put_descriptor(AT_DESCRIPTORS, second, AT_DATA + 64, 4, (uint16_t)(round + 100), next | WRITE);
                put_descriptor(AT_DESCRIPTORS, at, AT_DATA, 4, 0, mine | NEXT);

                assert_int_equal(virtqueue_pop(&driver.queue, &chain), 1);
                assert_int_equal(chain.head, round + 100);
                assert_int_equal(chain.descriptors, 2);
                assert_int_equal(chain.readable, 1);
                assert_int_equal(chain.writable, 1);
                virtqueue_push(&driver.queue, &chain, 3);
                assert_int_equal(get16(AT_DESCRIPTORS + at * 16 + 14), wrap ? 0x8080 : 0);
                assert_int_equal(get16(AT_DESCRIPTORS + at * 16 + 12), round + 100);
                assert_true(virtqueue_should_interrupt(&driver.queue));
                at += 2;
                if (at >= SIZE) {
                        at -= SIZE;
                        wrap = !wrap;
                }
        }
        put16(AT_DRIVER + 2, 1); /* the driver wants no interrupts */
        put_descriptor(AT_DESCRIPTORS, at, AT_DATA, 4, 7, wrap ? 0x80 : 0x8000);
        assert_int_equal(virtqueue_pop(&driver.queue, &chain), 1);
        virtqueue_push(&driver.queue, &chain, 0);
        assert_false(virtqueue_should_interrupt(&driver.queue));
}

static void test_a_packed_chain_without_end_breaks_the_queue(void **state)
{
        (void)state;
        set_up(true);
        for (unsigned i = 0; i < SIZE; i++)
                put_descriptor(AT_DESCRIPTORS, i, AT_DATA, 1, 0, 0x80 | NEXT);
        assert_int_equal(virtqueue_pop(&driver.queue, &chain), -EPROTO);
}

static void test_random_rings_never_lead_outside(void **state)
{
        (void)state;
        uint64_t random = 88172645463325252ULL;
        for (int i = 0; i < 20000; i++) {
                set_up(i & 1);
                for (unsigned at = AT_DESCRIPTORS; at < AT_DATA; at += 2) {
                        random ^= random << 13;
                        random ^= random >> 7;
                        random ^= random << 17;
                        /* mostly small numbers, which lead further into the code */
                        put16(at, (uint16_t)(random & 1 ? random >> 48 & 0x800f : random >> 32));
                        if ((at & 0x3ff) == 0x3fe)
                                at += 0xc00;
                }
                for (int n = 0; n < 20 && virtqueue_pop(&driver.queue, &chain) == 1; n++) {
                        assert_true(chain.readable + chain.writable <= VIRTQUEUE_PARTS_MAX);
                        for (unsigned part = 0; part < chain.readable + chain.writable; part++) {
                                assert_true(chain.parts[part].host >= driver.ram);
                                assert_true(chain.parts[part].host + chain.parts[part].length <=
                                            driver.ram + sizeof(driver.ram));
                        }
                        virtqueue_push(&driver.queue, &chain, 1);
                        virtqueue_should_interrupt(&driver.queue);
                        virtqueue_wait(&driver.queue);
                }
        }
}

static void test_a_saved_queue_goes_on_where_it_was(void **state)
{
        (void)state;
        set_up(false);
        put_descriptor(AT_DESCRIPTORS, 0, AT_DATA, 1, 0, 0);
        offer_split(0);
        offer_split(0);
        assert_int_equal(virtqueue_pop(&driver.queue, &chain), 1);
        virtqueue_push(&driver.queue, &chain, 0);

        uint8_t saved[256];
        struct state_writer writer = { .data = saved, .room = sizeof(saved) };
        virtqueue_save(&driver.queue, &writer);
        struct virtqueue other;
        virtqueue_init(&other, &driver.memory, 256);
        struct state_reader reader = { .data = saved, .length = writer.length };
        assert_int_equal(virtqueue_restore(&other, &reader), 0);
        assert_int_equal(virtqueue_pop(&other, &chain), 1);
        assert_int_equal(virtqueue_pop(&other, &chain), 0);

        /* a saved ring that lies outside this guest's memory is refused */
        saved[STATE_NAME_SIZE + 8 + 8 + 7] = 0xff;
        reader = (struct state_reader){ .data = saved, .length = writer.length };
        assert_int_equal(virtqueue_restore(&other, &reader), -EINVAL);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_a_split_request_goes_round),
                cmocka_unit_test(test_an_indirect_table_is_followed_once),
                cmocka_unit_test(test_pop_refuses_what_breaks_the_rules),
                cmocka_unit_test(test_enable_refuses_rings_outside_memory),
                cmocka_unit_test(test_the_event_index_asks_for_one_interrupt_at_its_place),
                cmocka_unit_test(test_a_packed_ring_goes_round_with_its_wrap_counters),
                cmocka_unit_test(test_a_packed_chain_without_end_breaks_the_queue),
                cmocka_unit_test(test_random_rings_never_lead_outside),
                cmocka_unit_test(test_a_saved_queue_goes_on_where_it_was),
        };
        return cmocka_run_group_tests(tests, NULL, NULL);
}
