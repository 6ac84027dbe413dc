/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "machine/machine.h"

#include "virtio_driver.h"

static void out(uint16_t port, uint8_t value)
{
        machine_port(&driver.machine, port, 1, true, &value, 1);
}

static uint8_t in(uint16_t port)
{
        uint8_t value = 0;
        machine_port(&driver.machine, port, 1, false, &value, 1);
        return value;
}

static void test_there_is_no_keyboard_controller_but_its_reset(void **state)
{
        (void)state;
        driver_open(NULL);
        for (unsigned i = 0; i < 20; i++) {
                assert_int_equal(in(0x64), 1); /* never busy, never empty */
                in(0x60);
        }
        out(0x64, 0x20);
        assert_int_equal(driver.end, MACHINE_RUNS);
        out(0x64, 0xfe);
        assert_int_equal(driver.end, MACHINE_RESET);
}

static void test_a_debug_exit_ends_the_machine(void **state)
{
        (void)state;
        driver_open(NULL);
        out(0xf4, 3);
        assert_int_equal(driver.end, MACHINE_DEBUG_EXIT);
}

static void test_an_unclaimed_port_reads_ones(void **state)
{
        (void)state;
        driver_open(NULL);
        assert_int_equal(in(0x1234), 0xff);
}

static void test_a_string_of_bytes_reaches_one_port(void **state)
{
        (void)state;
        driver_open(NULL);
        uint8_t bytes[] = { 0x12, 0x34 };
        machine_port(&driver.machine, 0x70, 1, true, bytes, 2); /* outsb: the last index stays */
        out(0x71, 0x77);
        out(0x70, 0x12);
        assert_int_not_equal(in(0x71), 0x77);
        out(0x70, 0x34);
        assert_int_equal(in(0x71), 0x77);
}

static void test_an_access_of_three_bytes_is_taken_apart(void **state)
{
        (void)state;
        driver_open(NULL);
        uint8_t bytes[3] = { 0 };
        machine_mmio(&driver.machine, gpa(PCI_ECAM_START), 3, false, bytes);
        assert_int_equal(bytes[0] | bytes[1] << 8 | bytes[2] << 16, 0x081b36);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_there_is_no_keyboard_controller_but_its_reset),
                cmocka_unit_test(test_a_debug_exit_ends_the_machine),
                cmocka_unit_test(test_an_unclaimed_port_reads_ones),
                cmocka_unit_test(test_a_string_of_bytes_reaches_one_port),
                cmocka_unit_test(test_an_access_of_three_bytes_is_taken_apart),
        };
        return cmocka_run_group_tests(tests, NULL, NULL);
}
