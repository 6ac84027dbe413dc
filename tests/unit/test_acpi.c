/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "machine/acpi.h"

#include <errno.h>

#include "machine/aml.h"
#include "machine/power.h"
#include "virtio_driver.h"

static unsigned sum(const unsigned char *bytes, size_t length)
{
        unsigned total = 0;
        for (size_t i = 0; i < length; i++)
                total += bytes[i];
        return total & 0xff;
}

static uint32_t get32(uint64_t at)
{
        uint32_t value;
        memcpy(&value, driver.ram + at, 4);
        return value;
}

/* Address of a table that the extended root table lists, checked for its sum. */
static uint64_t table(const char *signature)
{
        uint64_t xsdt = get32(ACPI_START + 24);
        assert_int_equal(sum(driver.ram + xsdt, get32(xsdt + 4)), 0);
        for (uint64_t entry = xsdt + 36; entry < xsdt + get32(xsdt + 4); entry += 8)
                if (!memcmp(driver.ram + get32(entry), signature, 4)) {
                        assert_int_equal(sum(driver.ram + get32(entry), get32(get32(entry) + 4)), 0);
                        return get32(entry);
                }
        fail_msg("no table %s", signature);
        return 0;
}

static void test_every_table_is_found_and_sums_up(void **state)
{
        (void)state;
        driver_open(NULL);
        assert_int_equal(acpi_write(&driver.machine.memory, &(struct topology){ 1, 1, 1 }), 0);
        assert_memory_equal(driver.ram + ACPI_START, "RSD PTR ", 8);
        assert_int_equal(sum(driver.ram + ACPI_START, 20), 0);
        assert_int_equal(sum(driver.ram + ACPI_START, 36), 0);
        uint64_t fadt = table("FACP");
        assert_int_equal(get32(fadt + 4), 276);
        assert_memory_equal(driver.ram + get32(fadt + 40), "DSDT", 4);
        assert_int_equal(get32(table("MCFG") + 44), PCI_ECAM_START);
}

static void test_every_processor_is_listed(void **state)
{
        (void)state;
        driver_open(NULL);
        assert_int_equal(acpi_write(&driver.machine.memory, &(struct topology){ 1, ACPI_CPUS_MAX, 1 }), 0);
        uint64_t madt = table("APIC");
        unsigned found = 0;
        for (uint64_t entry = madt + 44; entry < madt + get32(madt + 4); entry += driver.ram[entry + 1])
                found += driver.ram[entry] == 0;
        assert_int_equal(found, ACPI_CPUS_MAX);
        assert_int_equal(acpi_write(&driver.machine.memory, &(struct topology){ 0, 1, 1 }), -EINVAL);
        assert_int_equal(acpi_write(&driver.machine.memory, &(struct topology){ 1, ACPI_CPUS_MAX + 1, 1 }), -EINVAL);
}

static void test_no_memory_is_no_place_for_tables(void **state)
{
        (void)state;
        struct guest_memory none = { 0 };
        assert_int_equal(acpi_write(&none, &(struct topology){ 1, 1, 1 }), -EFAULT);
}

static void test_an_aml_buffer_that_is_too_small_is_noticed(void **state)
{
        (void)state;
        uint8_t bytes[10];
        struct aml aml = { .data = bytes, .room = sizeof(bytes) };
        aml_open_device(&aml, "PCI0");
        aml_name_eisa(&aml, "_HID", "PNP0A08");
        aml_close(&aml);
        assert_true(aml.failed);
}

static void out(uint16_t port, unsigned size, uint32_t value)
{
        machine_port(&driver.machine, port, size, true, (uint8_t *)&value, 1);
}

static uint32_t in(uint16_t port, unsigned size)
{
        uint32_t value = 0;
        machine_port(&driver.machine, port, size, false, (uint8_t *)&value, 1);
        return value;
}

static void test_the_guest_switches_itself_off(void **state)
{
        (void)state;
        driver_open(NULL);
        out(POWER_PORT + POWER_CONTROL, 2, POWER_SLEEP_OFF << 10);
        assert_int_equal(driver.end, MACHINE_RUNS); /* not without SLP_EN */
        out(POWER_PORT + POWER_CONTROL, 2, 1 << 10 | 1 << 13);
        assert_int_equal(driver.end, MACHINE_RUNS); /* S1 is none of ours */
        out(POWER_PORT + POWER_CONTROL, 2, POWER_SLEEP_OFF << 10 | 1 << 13);
        assert_int_equal(driver.end, MACHINE_OFF);
}

static void test_the_guest_resets_itself(void **state)
{
        (void)state;
        driver_open(NULL);
        out(POWER_PORT + POWER_RESET, 1, 0);
        assert_int_equal(driver.end, MACHINE_RUNS);
        out(POWER_PORT + POWER_RESET, 1, POWER_RESET_VALUE);
        assert_int_equal(driver.end, MACHINE_RESET);
}

static void test_the_power_button_interrupts_until_it_is_acknowledged(void **state)
{
        (void)state;
        driver_open(NULL);
        power_press(&driver.machine.power);
        assert_false(driver.line); /* nobody asked for it yet */
        out(POWER_PORT + POWER_EVENT + 2, 2, 1 << 8);
        assert_true(driver.line);
        assert_int_equal(in(POWER_PORT + POWER_EVENT, 2), 1 << 8);
        out(POWER_PORT + POWER_EVENT, 2, 1 << 8);
        assert_false(driver.line);
        assert_int_equal(in(POWER_PORT + POWER_EVENT, 4), 1 << 24);
}

static void test_the_timer_runs_at_its_rate(void **state)
{
        (void)state;
        driver_open(NULL);
        assert_int_equal(in(POWER_PORT + POWER_TIMER, 4), 3579545); /* after one second */
        assert_int_equal(in(POWER_PORT + POWER_CONTROL, 2), 1);     /* ACPI mode, always */
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_every_table_is_found_and_sums_up),
                cmocka_unit_test(test_every_processor_is_listed),
                cmocka_unit_test(test_no_memory_is_no_place_for_tables),
                cmocka_unit_test(test_an_aml_buffer_that_is_too_small_is_noticed),
                cmocka_unit_test(test_the_guest_switches_itself_off),
                cmocka_unit_test(test_the_guest_resets_itself),
                cmocka_unit_test(test_the_power_button_interrupts_until_it_is_acknowledged),
                cmocka_unit_test(test_the_timer_runs_at_its_rate),
        };
        return cmocka_run_group_tests(tests, NULL, NULL);
}
