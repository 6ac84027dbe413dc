/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "machine/boot_firmware.h"

enum { RAM = 32 << 20, ROM = 0x40000, VARIABLES = 0x2000, REQUEST = 0x1000, ANSWER = 0x2000 };

struct fixture {
        struct machine machine;
        struct firmware firmware;
        uint8_t *ram, *rom, *variables;
        struct cpu_state entry;
};

static void ignore_line(void *context, unsigned line, bool raised)
{
        (void)context;
        (void)line;
        (void)raised;
}

static int64_t no_time(void *context)
{
        (void)context;
        return 0;
}

static struct fixture *start(bool uefi)
{
        struct fixture *f = calloc(1, sizeof(*f));
        const struct machine_host host = { .interrupt_line = ignore_line, .wall_clock = no_time };
        static const struct topology topology = { 1, 3, 1 };
        static const struct boot boot = { .command_line = "" };
        f->ram = aligned_alloc(4096, RAM);
        f->rom = aligned_alloc(4096, ROM);
        f->variables = aligned_alloc(4096, VARIABLES);
        memset(f->ram, 0, RAM);
        for (unsigned i = 0; i < ROM; i++)
                f->rom[i] = (uint8_t)(i >> 8);
        memset(f->variables, 0xff, VARIABLES);
        if (uefi)
                memcpy(f->rom + 40, (const uint8_t[]){ 0x5f, 0x46, 0x56, 0x48 }, 4); /* _FVH */
        const struct firmware_settings settings = { .rom = f->rom,
                                                    .rom_length = ROM,
                                                    .variables = f->variables,
                                                    .variables_length = VARIABLES,
                                                    .topology = &topology,
                                                    .boot = &boot };
        const char *reason;
        assert_int_equal(machine_init(&f->machine, &host), 0);
        assert_int_equal(guest_memory_add(&f->machine.memory, gpa(0), RAM, f->ram, GUEST_RAM), 0);
        assert_int_equal(boot_firmware(&f->firmware, &f->machine, &settings, &f->entry, &reason), 0);
        return f;
}

static void finish(struct fixture *f)
{
        free(f->ram);
        free(f->rom);
        free(f->variables);
        free(f);
}

static uint32_t port(struct fixture *f, uint16_t number, unsigned size, bool write, uint32_t value)
{
        uint8_t bytes[4];
        memcpy(bytes, &value, sizeof(bytes));
        machine_port(&f->machine, number, size, write, bytes, 1);
        memcpy(&value, bytes, sizeof(value));
        return value;
}

static void big(uint8_t *bytes, uint64_t value, unsigned size)
{
        for (unsigned i = 0; i < size; i++)
                bytes[i] = (uint8_t)(value >> (8 * (size - 1 - i)));
}

/* Returns the control word that the device left. */
static uint32_t request(struct fixture *f, uint32_t control, uint32_t length, uint64_t address)
{
        uint8_t bytes[16];
        big(bytes, control, 4);
        big(bytes + 4, length, 4);
        big(bytes + 8, address, 8);
        memcpy(f->ram + REQUEST, bytes, sizeof(bytes));
        port(f, 0x514, 4, true, 0);
        port(f, 0x518, 4, true, __builtin_bswap32(REQUEST));
        return (uint32_t)f->ram[REQUEST] << 24 | f->ram[REQUEST + 3];
}

static void flash_write(struct fixture *f, uint64_t offset, uint8_t value)
{
        machine_mmio(&f->machine, gpa((1ULL << 32) - ROM - VARIABLES + offset), 1, true, &value);
}

static void test_the_first_instruction_is_in_the_rom_and_its_end_below_1_mib(void **state)
{
        (void)state;
        struct fixture *f = start(false);
        uint64_t first = f->entry.segments[CPU_CS].base + f->entry.rip;
        assert_ptr_equal(guest_memory_span(&f->machine.memory, gpa(first), 16, false), f->rom + ROM - 16);
        assert_null(guest_memory_span(&f->machine.memory, gpa(first), 16, true));
        assert_memory_equal(f->ram + 0xe0000, f->rom + ROM - 0x20000, 0x20000);
        finish(f);
}

static void test_items_are_read_byte_by_byte_and_zeros_behind_them(void **state)
{
        (void)state;
        struct fixture *f = start(false);
        port(f, 0x510, 2, true, FW_CFG_SIGNATURE);
        const char expected[] = { 'Q', 'E', 'M', 'U', 0, 0 };
        for (unsigned i = 0; i < sizeof(expected); i++)
                assert_int_equal(port(f, 0x511, 1, false, 0) & 0xff, expected[i]);
        port(f, 0x510, 2, true, FW_CFG_CPUS);
        assert_int_equal(port(f, 0x511, 1, false, 0) & 0xff, 3);
        finish(f);
}

static void test_a_request_in_memory_is_answered_in_memory(void **state)
{
        (void)state;
        struct fixture *f = start(false);
        memset(f->ram + ANSWER, 0x55, 16);
        assert_int_equal(request(f, FW_CFG_SIGNATURE << 16 | 8 | 2, 6, ANSWER), 0);
        assert_memory_equal(f->ram + ANSWER, "QEMU\0\0\x55", 7);
        assert_int_equal(request(f, FW_CFG_SIGNATURE << 16 | 8 | 4, 2, 0), 0);
        assert_int_equal(request(f, 2, 2, ANSWER), 0);
        assert_memory_equal(f->ram + ANSWER, "MU", 2);
        finish(f);
}

static void test_a_request_that_leaves_memory_or_writes_is_an_error(void **state)
{
        (void)state;
        struct fixture *f = start(false);
        assert_int_equal(request(f, FW_CFG_SIGNATURE << 16 | 8 | 2, 4, RAM - 2), 1);
        assert_int_equal(request(f, FW_CFG_SIGNATURE << 16 | 8 | 2, UINT32_MAX, ANSWER), 1);
        assert_int_equal(request(f, FW_CFG_SIGNATURE << 16 | 8 | 16, 4, ANSWER), 1);
        assert_int_equal(request(f, FW_CFG_SIGNATURE << 16 | 8 | 2, 4, 0xfffff000), 1); /* the ROM */
        finish(f);
}

static void test_the_flash_is_told_from_a_rom_and_keeps_what_is_programmed(void **state)
{
        (void)state;
        struct fixture *f = start(true);
        flash_write(f, 100, 0x50); /* clear the status, and read it */
        assert_int_equal(f->variables[100], 0xff);
        flash_write(f, 100, 0x70);
        assert_int_equal(f->variables[100], 0);
        flash_write(f, 100, 0xff);
        assert_int_equal(f->variables[100], 0xff);
        flash_write(f, 100, 0x10);
        flash_write(f, 100, 0x3c);
        assert_int_equal(f->variables[100], 0x3c);
        flash_write(f, 4096, 0x10);
        flash_write(f, 4096, 0);
        flash_write(f, 7, 0x20);
        flash_write(f, 7, 0xd0);
        assert_int_equal(f->variables[100], 0xff); /* erased with its block, and that block alone */
        assert_int_equal(f->variables[4096], 0);
        finish(f);
}

static void test_uefi_finds_a_q35_and_moves_its_ecam(void **state)
{
        (void)state;
        struct fixture *f = start(true);
        uint8_t word[4];
        port(f, 0xcf8, 4, true, 0x80000000);
        assert_int_equal(port(f, 0xcfc, 4, false, 0), 0x29c08086);
        port(f, 0xcf8, 4, true, 0x80000000 | 31 << 11);
        assert_int_equal(port(f, 0xcfc, 4, false, 0), 0x29188086);
        port(f, 0xcf8, 4, true, 0x80000060);
        port(f, 0xcfc, 4, true, (uint32_t)CHIPSET_Q35_ECAM | 1);
        machine_mmio(&f->machine, gpa(CHIPSET_Q35_ECAM), 4, false, word);
        assert_memory_equal(word, "\x86\x80\xc0\x29", 4);
        machine_mmio(&f->machine, gpa(PCI_ECAM_START), 4, false, word);
        assert_memory_equal(word, "\xff\xff\xff\xff", 4);
        finish(f);
}

static void test_a_bios_finds_an_82441fx(void **state)
{
        (void)state;
        struct fixture *f = start(false);
        port(f, 0xcf8, 4, true, 0x80000000);
        assert_int_equal(port(f, 0xcfc, 4, false, 0), 0x12378086);
        finish(f);
}

static void test_the_linked_tables_point_into_their_file(void **state)
{
        (void)state;
        struct fixture *f = start(false);
        uint64_t list;
        memcpy(&list, f->firmware.root + 24, sizeof(list));
        assert_true(list < f->firmware.acpi_length);
        assert_memory_equal(f->firmware.acpi + list, "XSDT", 4);
        uint64_t table;
        memcpy(&table, f->firmware.acpi + list + 36, sizeof(table));
        assert_memory_equal(f->firmware.acpi + table, "FACP", 4);
        uint32_t dsdt;
        memcpy(&dsdt, f->firmware.acpi + table + 40, sizeof(dsdt));
        assert_memory_equal(f->firmware.acpi + dsdt, "DSDT", 4);
        finish(f);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_the_first_instruction_is_in_the_rom_and_its_end_below_1_mib),
                cmocka_unit_test(test_items_are_read_byte_by_byte_and_zeros_behind_them),
                cmocka_unit_test(test_a_request_in_memory_is_answered_in_memory),
                cmocka_unit_test(test_a_request_that_leaves_memory_or_writes_is_an_error),
                cmocka_unit_test(test_the_flash_is_told_from_a_rom_and_keeps_what_is_programmed),
                cmocka_unit_test(test_uefi_finds_a_q35_and_moves_its_ecam),
                cmocka_unit_test(test_a_bios_finds_an_82441fx),
                cmocka_unit_test(test_the_linked_tables_point_into_their_file),
        };
        return cmocka_run_group_tests(tests, NULL, NULL);
}
