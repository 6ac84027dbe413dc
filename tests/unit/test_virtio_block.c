/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "machine/virtio/block.h"

#include <errno.h>

#include "virtio_driver.h"

enum {
        SECTORS = 64,
        HEADER = DRIVER_DATA,
        BUFFER = DRIVER_DATA + 0x1000,
        STATUS = DRIVER_DATA + 0x8000,
        UNTOUCHED = 0xee
};

/* A back end in memory that answers at once, or keeps what it gets. */
struct store {
        struct virtio_block block;
        struct virtio_block_slot slots[2];
        unsigned char bytes[SECTORS * 512];
        bool keep;
        int result;
        unsigned submitted, drained;
        struct block_request *kept[4], last;
};

static struct store store;

static void on_submit(void *owner, struct virtio_block *block, struct block_request *request)
{
        struct store *to = owner;
        uint64_t at = request->offset;
        to->last = *request;
        if (to->keep) {
                to->kept[to->submitted++] = request;
                return;
        }
        to->submitted++;
        for (unsigned i = 0; i < request->part_count; i++) {
                const struct virtqueue_part *part = &request->parts[i];
                if (request->operation == BLOCK_READ)
                        memcpy(part->host, to->bytes + at, part->length);
                else
                        memcpy(to->bytes + at, part->host, part->length);
                at += part->length;
        }
        virtio_block_complete(block, request, to->result);
}

static void on_drain(void *owner)
{
        ((struct store *)owner)->drained++;
}

static void open_disk(bool read_only, unsigned queues)
{
        memset(&store, 0, sizeof(store));
        const struct block_backend backend = { .owner = &store,
                                               .size = sizeof(store.bytes),
                                               .read_only = read_only,
                                               .can_discard = true,
                                               .submit = on_submit,
                                               .drain = on_drain };
        virtio_block_init(&store.block, &backend, "onggi-disk", queues, store.slots, 2);
        driver_open(&store.block.device);
        assert_int_equal(driver_start(1 << 9, queues), 15);
}

static uint8_t request(uint32_t type, uint64_t sector, uint32_t length, bool writable)
{
        const struct driver_part parts[] = { { HEADER, 16, false }, { BUFFER, length, writable }, { STATUS, 1, true } };
        const struct driver_part bare[] = { parts[0], parts[2] };
        memset(driver.ram + HEADER, 0, 16);
        memcpy(driver.ram + HEADER, &type, 4);
        memcpy(driver.ram + HEADER + 8, &sector, 8);
        driver.ram[STATUS] = UNTOUCHED;
        driver_send(0, length ? parts : bare, length ? 3 : 2);
        return driver.ram[STATUS];
}

static void test_what_was_written_is_read_back(void **state)
{
        (void)state;
        open_disk(false, 1);
        memset(driver.ram + BUFFER, 0x5a, 1024);
        assert_int_equal(request(1, 3, 1024, false), 0);
        assert_int_equal(store.bytes[3 * 512], 0x5a);
        assert_int_equal(store.bytes[5 * 512], 0);
        memset(driver.ram + BUFFER, 0, 1024);
        assert_int_equal(request(0, 3, 1024, true), 0);
        assert_int_equal(driver.ram[BUFFER + 1023], 0x5a);
        assert_int_equal(driver_used_length(0), 1025);
        assert_int_equal(driver_used(0), 2);
}

static void test_a_header_may_share_its_buffer_with_data(void **state)
{
        (void)state;
        open_disk(false, 1);
        const struct driver_part parts[] = { { HEADER, 16 + 512, false }, { STATUS, 1, true } };
        memset(driver.ram + HEADER, 0, 16);
        driver.ram[HEADER] = 1;
        memset(driver.ram + HEADER + 16, 0x77, 512);
        driver_send(0, parts, 2);
        assert_int_equal(driver.ram[STATUS], 0);
        assert_int_equal(store.bytes[511], 0x77);
}

static void test_data_and_status_may_share_a_buffer(void **state)
{
        (void)state;
        open_disk(false, 1);
        const struct driver_part parts[] = { { HEADER, 16, false }, { BUFFER, 513, true } };
        memset(store.bytes, 0x33, 512);
        memset(driver.ram + HEADER, 0, 16);
        driver.ram[BUFFER + 512] = UNTOUCHED;
        driver_send(0, parts, 2);
        assert_int_equal(driver.ram[BUFFER + 511], 0x33);
        assert_int_equal(driver.ram[BUFFER + 512], 0);
}

static void test_requests_beyond_the_disk_fail(void **state)
{
        (void)state;
        open_disk(false, 1);
        assert_int_equal(request(0, SECTORS, 512, true), 1);
        assert_int_equal(request(0, SECTORS - 1, 1024, true), 1);
        assert_int_equal(request(0, UINT64_MAX, 512, true), 1);
        assert_int_equal(request(0, 0, 100, true), 1);
        assert_int_equal(store.submitted, 0);
        assert_false(driver_needs_reset());
}

static void test_a_read_only_disk_is_not_written(void **state)
{
        (void)state;
        open_disk(true, 1);
        assert_true(driver_features() & 1 << 5);
        assert_int_equal(request(1, 0, 512, false), 1);
        assert_int_equal(request(13, 0, 16, false), 1);
        assert_int_equal(store.submitted, 0);
}

static void test_an_unknown_request_is_unsupported(void **state)
{
        (void)state;
        open_disk(false, 1);
        assert_int_equal(request(99, 0, 512, true), 2);
}

static void test_the_serial_is_told(void **state)
{
        (void)state;
        open_disk(false, 1);
        assert_int_equal(request(8, 0, 20, true), 0);
        assert_string_equal((char *)driver.ram + BUFFER, "onggi-disk");
        assert_int_equal(driver_used_length(0), 21);
}

static void test_a_range_is_checked_and_handed_on(void **state)
{
        (void)state;
        open_disk(false, 1);
        const struct {
                uint64_t sector;
                uint32_t sectors, flags;
        } good = { 4, 8, 1 }, beyond = { SECTORS - 1, 2, 0 };
        memcpy(driver.ram + BUFFER, &good, 16);
        assert_int_equal(request(13, 0, 16, false), 0);
        assert_int_equal(store.last.operation, BLOCK_WRITE_ZEROES);
        assert_int_equal(store.last.offset, 4 * 512);
        assert_int_equal(store.last.length, 8 * 512);
        assert_true(store.last.may_unmap);
        assert_int_equal(request(11, 0, 16, false), 2); /* a discard has no flags */
        memcpy(driver.ram + BUFFER, &beyond, 16);
        assert_int_equal(request(11, 0, 16, false), 1);
        assert_int_equal(request(11, 0, 15, false), 2);
}

static void test_a_failed_back_end_is_an_input_output_error(void **state)
{
        (void)state;
        open_disk(false, 1);
        store.result = -EIO;
        assert_int_equal(request(4, 0, 0, false), 1);
}

static void test_writes_are_durable_for_a_driver_that_knows_no_flush(void **state)
{
        (void)state;
        open_disk(false, 1);
        request(1, 0, 512, false);
        assert_false(store.last.durable);
        driver_start(0, 1);
        request(1, 0, 512, false);
        assert_true(store.last.durable);
}

static void test_more_requests_than_places_wait_for_one(void **state)
{
        (void)state;
        open_disk(false, 1);
        store.keep = true;
        for (unsigned i = 0; i < 3; i++)
                request(4, 0, 0, false);
        assert_int_equal(store.submitted, 2);
        virtio_block_complete(&store.block, store.kept[0], 0);
        assert_int_equal(store.submitted, 3);
        virtio_block_complete(&store.block, store.kept[1], 0);
        virtio_block_complete(&store.block, store.kept[2], 0);
        assert_int_equal(driver_used(0), 3);
}

static void test_a_reset_drops_what_is_under_way(void **state)
{
        (void)state;
        open_disk(false, 1);
        store.keep = true;
        request(4, 0, 0, false);
        unsigned before = store.drained;
        driver_common(COMMON_STATUS, 1, 0);
        assert_int_equal(store.drained, before + 1);
        assert_int_equal(driver_start(1 << 9, 1), 15);
        store.keep = false;
        assert_int_equal(request(4, 0, 0, false), 0);
}

static void test_a_request_without_status_breaks_the_device_and_no_more(void **state)
{
        (void)state;
        open_disk(false, 1);
        const struct driver_part parts[] = { { HEADER, 16, false } };
        driver_send(0, parts, 1);
        assert_true(driver_needs_reset());
        assert_int_equal(driver.complaints, 1);
        assert_int_equal(driver_start(1 << 9, 1), 15);
        assert_int_equal(request(4, 0, 0, false), 0);
}

static void test_each_queue_answers_its_own_requests(void **state)
{
        (void)state;
        open_disk(false, 3);
        assert_true(driver_features() & 1 << 12);
        assert_int_equal(driver_read(driver.registers + REGISTERS_DEVICE + 34, 2), 3);
        const struct driver_part parts[] = { { HEADER, 16, false }, { STATUS, 1, true } };
        memset(driver.ram + HEADER, 0, 16);
        driver.ram[HEADER] = 4;
        driver_send(2, parts, 2);
        assert_int_equal(driver_used(0), 0);
        assert_int_equal(driver_used(2), 1);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_what_was_written_is_read_back),
                cmocka_unit_test(test_a_header_may_share_its_buffer_with_data),
                cmocka_unit_test(test_data_and_status_may_share_a_buffer),
                cmocka_unit_test(test_requests_beyond_the_disk_fail),
                cmocka_unit_test(test_a_read_only_disk_is_not_written),
                cmocka_unit_test(test_an_unknown_request_is_unsupported),
                cmocka_unit_test(test_the_serial_is_told),
                cmocka_unit_test(test_a_range_is_checked_and_handed_on),
                cmocka_unit_test(test_a_failed_back_end_is_an_input_output_error),
                cmocka_unit_test(test_writes_are_durable_for_a_driver_that_knows_no_flush),
                cmocka_unit_test(test_more_requests_than_places_wait_for_one),
                cmocka_unit_test(test_a_reset_drops_what_is_under_way),
                cmocka_unit_test(test_a_request_without_status_breaks_the_device_and_no_more),
                cmocka_unit_test(test_each_queue_answers_its_own_requests),
        };
        return cmocka_run_group_tests(tests, NULL, NULL);
}
