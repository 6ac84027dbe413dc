/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "machine/pci.h"

#include "machine/virtio/block.h"
#include "virtio_driver.h"

enum { COMMAND = 0x04, BAR_REGISTERS = 0x10, BAR_TABLE = 0x14, CAPABILITIES = 0x34, MEMORY = 2 };

static struct virtio_block block;
static struct virtio_block_slot slots[1];

static void on_submit(void *owner, struct virtio_block *device, struct block_request *request)
{
        (void)owner;
        virtio_block_complete(device, request, 0);
}

static void on_drain(void *owner)
{
        (void)owner;
}

static void set_up(void)
{
        const struct block_backend backend = { .size = 512 * 1000, .submit = on_submit, .drain = on_drain };
        virtio_block_init(&block, &backend, "", 1, slots, 1);
        driver_open(&block.device);
}

/* Offset of the capability with this id (and, for virtio's, this type), 0 for none. */
static unsigned capability(uint8_t id, uint8_t type)
{
        unsigned at = driver_config_read(1, CAPABILITIES, 1);
        while (at && !(driver_config_read(1, at, 1) == id && (id != 9 || driver_config_read(1, at + 3, 1) == type)))
                at = driver_config_read(1, at + 1, 1);
        return at;
}

static void port_write(uint16_t port, unsigned size, uint32_t value)
{
        machine_port(&driver.machine, port, size, true, (uint8_t *)&value, 1);
}

static uint32_t port_read(uint16_t port, unsigned size)
{
        uint32_t value = 0;
        machine_port(&driver.machine, port, size, false, (uint8_t *)&value, 1);
        return value;
}

static void test_both_ways_to_configuration_space_show_the_same(void **state)
{
        (void)state;
        set_up();
        port_write(0xcf8, 4, 0x80000000 | 1 << 11);
        assert_int_equal(port_read(0xcfc, 4), 0x10421af4);
        assert_int_equal(port_read(0xcfe, 2), 0x1042);
        assert_int_equal(driver_config_read(1, 0, 4), 0x10421af4);
        assert_int_equal(driver_config_read(0, 8, 4) >> 16, 0x0600); /* slot 0: the host bridge */
}

static void test_an_empty_slot_reads_ones(void **state)
{
        (void)state;
        set_up();
        assert_int_equal(driver_config_read(5, 0, 4), 0xffffffff);
        assert_int_equal(driver_read(PCI_ECAM_START + 32768 + 4096, 4), 0xffffffff); /* a second function */
        port_write(0xcf8, 4, 0x80000000 | 1 << 16);
        assert_int_equal(port_read(0xcfc, 4), 0xffffffff); /* a second bus */
}

static void test_a_bar_tells_its_size(void **state)
{
        (void)state;
        set_up();
        driver_config_write(1, COMMAND, 2, 0);
        driver_config_write(1, BAR_REGISTERS, 4, 0xffffffff);
        assert_int_equal(driver_config_read(1, BAR_REGISTERS, 4), 0xffffc000);
        assert_int_equal(driver_config_read(1, 0x18, 4), 0);
}

static void test_registers_follow_their_bar(void **state)
{
        (void)state;
        set_up();
        driver_config_write(1, BAR_REGISTERS, 4, 0xd0000000);
        assert_int_equal(driver_read(0xd0000000 + 0x12, 2), 1); /* the number of queues */
        assert_int_equal(driver_read(driver.registers + 0x12, 2), 0xffff);
        driver_config_write(1, COMMAND, 2, 0);
        assert_int_equal(driver_read(0xd0000000 + 0x12, 2), 0xffff);
}

static void test_a_bar_over_another_device_shows_nothing_until_it_is_moved_away(void **state)
{
        (void)state;
        set_up();
        driver_config_write(1, BAR_REGISTERS, 4, (uint32_t)PCI_ECAM_START);
        assert_int_equal(driver_config_read(1, 0, 4), 0x10421af4);
        driver_config_write(1, BAR_REGISTERS, 4, 0xd0000000);
        assert_int_equal(driver_read(0xd0000000 + 0x12, 2), 1);
}

static void test_what_is_read_only_stays(void **state)
{
        (void)state;
        set_up();
        driver_config_write(1, 0, 4, 0);
        driver_config_write(1, CAPABILITIES, 1, 0);
        assert_int_equal(driver_config_read(1, 0, 4), 0x10421af4);
        assert_int_not_equal(driver_config_read(1, CAPABILITIES, 1), 0);
}

static void set_vector(unsigned number, uint64_t address, uint32_t data, bool masked)
{
        uint64_t table = (driver_config_read(1, BAR_TABLE, 4) & ~15u) + number * 16;
        driver_write(table, 8, address);
        driver_write(table + 8, 4, data);
        driver_write(table + 12, 4, masked);
}

static void test_interrupts_are_messages_once_they_are_enabled(void **state)
{
        (void)state;
        set_up();
        set_vector(1, 0xfee00000, 0x41, false);
        pci_interrupt(&driver.transport.pci, 1);
        assert_int_equal(driver.messages, 0);
        driver_config_write(1, capability(0x11, 0) + 2, 2, 0x8000);
        assert_int_equal(driver.messages, 0); /* what came before is forgotten */
        pci_interrupt(&driver.transport.pci, 1);
        assert_int_equal(driver.messages, 1);
        assert_int_equal(driver.last_address, 0xfee00000);
        assert_int_equal(driver.last_data, 0x41);
        pci_interrupt(&driver.transport.pci, 0xffff);
        assert_int_equal(driver.messages, 1);
}

static void test_a_masked_message_waits(void **state)
{
        (void)state;
        set_up();
        uint64_t table = driver_config_read(1, BAR_TABLE, 4) & ~15u;
        set_vector(1, 0xfee00000, 0x41, true);
        driver_config_write(1, capability(0x11, 0) + 2, 2, 0x8000);
        pci_interrupt(&driver.transport.pci, 1);
        assert_int_equal(driver.messages, 0);
        assert_int_equal(driver_read(table + 2048, 8), 2); /* its pending bit */
        driver_write(table + 16 + 12, 4, 0);
        assert_int_equal(driver.messages, 1);
        assert_int_equal(driver_read(table + 2048, 8), 0);
        driver_config_write(1, capability(0x11, 0) + 2, 2, 0xc000);
        pci_interrupt(&driver.transport.pci, 1);
        assert_int_equal(driver.messages, 1);
        driver_config_write(1, capability(0x11, 0) + 2, 2, 0x8000);
        assert_int_equal(driver.messages, 2);
}

static void test_registers_are_reached_through_configuration_space(void **state)
{
        (void)state;
        set_up();
        unsigned at = capability(9, 5);
        assert_int_not_equal(at, 0);
        driver_config_write(1, at + 8, 4, 0x12); /* offset */
        driver_config_write(1, at + 12, 4, 2);   /* length */
        assert_int_equal(driver_config_read(1, at + 16, 2), 1);
        driver_config_write(1, at + 8, 4, COMMON_STATUS);
        driver_config_write(1, at + 12, 4, 1);
        driver_config_write(1, at + 16, 1, 3);
        assert_int_equal(driver_read(driver.registers + COMMON_STATUS, 1), 3);
        driver_config_write(1, at + 8, 4, 0xfffffff0); /* leads nowhere */
        driver_config_write(1, at + 16, 1, 0);
        assert_int_equal(driver_read(driver.registers + COMMON_STATUS, 1), 3);
}

static void test_features_that_were_not_offered_are_refused(void **state)
{
        (void)state;
        set_up();
        assert_int_equal(driver_start(1ULL << 40, 1) & 12, 0);
        assert_int_equal(driver_start(0, 1) & 12, 12);
}

static void test_a_queue_outside_memory_breaks_the_device(void **state)
{
        (void)state;
        set_up();
        driver_common(COMMON_STATUS, 1, 3);
        driver_common(COMMON_GUEST_SELECT, 4, 1);
        driver_common(COMMON_GUEST_FEATURE, 4, 1);
        driver_common(COMMON_STATUS, 1, 11);
        driver_common(COMMON_QUEUE_DESCRIPTORS, 8, DRIVER_RAM - 16);
        driver_common(COMMON_QUEUE_ENABLE, 2, 1);
        assert_true(driver_needs_reset());
}

static void test_a_saved_device_goes_on_where_it_was(void **state)
{
        (void)state;
        static uint8_t saved[16384];
        set_up();
        driver_start(0, 1);
        set_vector(0, 0xfee01000, 0x55, true);
        struct state_writer writer = { .data = saved, .room = sizeof(saved) };
        virtio_pci_save(&driver.transport, &writer);
        assert_true(writer.length < sizeof(saved));

        set_up();
        driver_config_write(1, COMMAND, 2, 0);
        struct state_reader reader = { .data = saved, .length = writer.length };
        assert_int_equal(virtio_pci_restore(&driver.transport, &reader), 0);
        assert_int_equal(driver_read(driver.registers + COMMON_STATUS, 1), 15);
        assert_int_equal(driver_read((driver_config_read(1, BAR_TABLE, 4) & ~15u), 8), 0xfee01000);

        block.backend.size = 512; /* another disk */
        reader = (struct state_reader){ .data = saved, .length = writer.length };
        assert_int_not_equal(virtio_pci_restore(&driver.transport, &reader), 0);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_both_ways_to_configuration_space_show_the_same),
                cmocka_unit_test(test_an_empty_slot_reads_ones),
                cmocka_unit_test(test_a_bar_tells_its_size),
                cmocka_unit_test(test_registers_follow_their_bar),
                cmocka_unit_test(test_a_bar_over_another_device_shows_nothing_until_it_is_moved_away),
                cmocka_unit_test(test_what_is_read_only_stays),
                cmocka_unit_test(test_interrupts_are_messages_once_they_are_enabled),
                cmocka_unit_test(test_a_masked_message_waits),
                cmocka_unit_test(test_registers_are_reached_through_configuration_space),
                cmocka_unit_test(test_features_that_were_not_offered_are_refused),
                cmocka_unit_test(test_a_queue_outside_memory_breaks_the_device),
                cmocka_unit_test(test_a_saved_device_goes_on_where_it_was),
        };
        return cmocka_run_group_tests(tests, NULL, NULL);
}
