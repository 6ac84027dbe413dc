/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "machine/bus.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

struct recorder {
        uint64_t offset, value;
        unsigned size, calls;
};

static uint64_t record_read(void *device, uint64_t offset, unsigned size)
{
        struct recorder *recorder = device;
        recorder->offset = offset;
        recorder->size = size;
        recorder->calls++;
        return 0x1122334455667788;
}

static void record_write(void *device, uint64_t offset, unsigned size, uint64_t value)
{
        record_read(device, offset, size);
        ((struct recorder *)device)->value = value;
}

static const struct bus_operations operations = { "recorder", record_read, record_write };

static void test_an_access_reaches_its_device_with_its_offset(void **state)
{
        (void)state;
        struct bus bus = { 0 };
        struct recorder first = { 0 }, second = { 0 };
        assert_int_equal(bus_claim(&bus, 0x3f8, 8, &operations, &second), 0);
        assert_int_equal(bus_claim(&bus, 0x70, 2, &operations, &first), 0);
        bus_write(&bus, 0x3fd, 1, 0x5a);
        assert_int_equal(second.offset, 5);
        assert_int_equal(second.value, 0x5a);
        assert_int_equal(first.calls, 0);
        /* the device's answer is cut to the size of the access */
        assert_int_equal(bus_read(&bus, 0x70, 2), 0x7788);
        assert_int_equal(bus.unclaimed, 0);
}

static void test_what_no_device_claims_reads_all_ones(void **state)
{
        (void)state;
        struct bus bus = { 0 };
        struct recorder device = { 0 };
        assert_int_equal(bus_claim(&bus, 0x100, 4, &operations, &device), 0);
        static const struct {
                uint64_t at;
                unsigned size;
        } outside[] = { { 0xff, 1 }, { 0x104, 1 }, { 0xff, 2 }, { 0x103, 2 }, { 0x101, 4 }, { UINT64_MAX, 8 } };
        for (size_t i = 0; i < sizeof(outside) / sizeof(outside[0]); i++) {
                uint64_t ones = outside[i].size == 8 ? UINT64_MAX : (1ULL << (8 * outside[i].size)) - 1;
                assert_true(bus_read(&bus, outside[i].at, outside[i].size) == ones);
                bus_write(&bus, outside[i].at, outside[i].size, 0);
        }
        assert_int_equal(device.calls, 0);
        assert_int_equal(bus.unclaimed, 12);
}

static void test_ranges_do_not_overlap_and_can_be_given_up(void **state)
{
        (void)state;
        struct bus bus = { 0 };
        struct recorder device = { 0 };
        assert_int_equal(bus_claim(&bus, 0x100, 0x10, &operations, &device), 0);
        static const struct {
                uint64_t start, length;
                int code;
        } bad[] = {
                { 0x100, 0x10, -EEXIST },  { 0x10f, 1, -EEXIST }, { 0xff, 2, -EEXIST },
                { 0x80, 0x1000, -EEXIST }, { 0x200, 0, -EINVAL }, { UINT64_MAX, 2, -EINVAL },
        };
        for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
                assert_int_equal(bus_claim(&bus, bad[i].start, bad[i].length, &operations, &device), bad[i].code);
        assert_int_equal(bus_claim(&bus, 0x110, 1, &operations, &device), 0);
        assert_int_equal(bus_claim(&bus, 0xff, 1, &operations, &device), 0);
        bus_release(&bus, 0x101);
        bus_release(&bus, 0x100);
        assert_int_equal(bus.count, 2);
        assert_int_equal(bus_claim(&bus, 0x100, 0x10, &operations, &device), 0);
        for (uint64_t i = bus.count; i < BUS_RANGES_MAX; i++)
                assert_int_equal(bus_claim(&bus, 0x1000 + i, 1, &operations, &device), 0);
        assert_int_equal(bus_claim(&bus, 0x9000, 1, &operations, &device), -ENOSPC);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_an_access_reaches_its_device_with_its_offset),
                cmocka_unit_test(test_what_no_device_claims_reads_all_ones),
                cmocka_unit_test(test_ranges_do_not_overlap_and_can_be_given_up),
        };
        return cmocka_run_group_tests(tests, NULL, NULL);
}
