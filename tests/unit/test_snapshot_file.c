/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <string.h>

#include "hosted/snapshot_file.h"
#include "machine/chip_state.h"
#include "machine/cpu_state.h"

static uint8_t bytes[65536];

/* A state file with settings, a processor and chips; returns its length. */
static size_t make(const struct snapshot_settings *settings, const struct cpu_state *cpu,
                   const struct chip_state *chips)
{
        struct state_writer writer = { .data = bytes, .room = sizeof(bytes), .length = SNAPSHOT_HEADER_SIZE };
        snapshot_settings_save(settings, &writer);
        cpu_state_save(cpu, &writer);
        chip_state_save(chips, &writer);
        struct snapshot_header header = { .id = { 1, 2, 3 }, .length = writer.length - SNAPSHOT_HEADER_SIZE };
        header.checksum = snapshot_checksum(bytes + SNAPSHOT_HEADER_SIZE, header.length);
        snapshot_header_save(&header, bytes);
        return writer.length;
}

static const struct snapshot_settings settings = { .memory = 64 << 20, .topology = { 1, 2, 2 }, .cpu = "baseline" };

static void fill(void *object, size_t size)
{
        for (size_t i = 0; i < size; i++)
                ((uint8_t *)object)[i] = (uint8_t)(i * 7 + 1);
}

static void make_cpu(struct cpu_state *cpu)
{
        *cpu = (struct cpu_state){ .rip = 0x1234, .msr_count = CPU_MSRS_MAX, .activity = CPU_HALTED, .has_apic = true };
        fill(cpu->registers, sizeof(cpu->registers));
        fill(cpu->xsave, sizeof(cpu->xsave));
        fill(cpu->apic, sizeof(cpu->apic));
        fill(cpu->debug, sizeof(cpu->debug));
        for (unsigned i = 0; i < CPU_MSRS_MAX; i++)
                cpu->msrs[i] = (struct cpu_msr){ i * 3, UINT64_MAX - i };
        cpu->segments[CPU_CS] = cpu_flat_segment(8, true);
        cpu->events = (struct cpu_events){ .interrupt_injected = true, .interrupt_vector = 0x31, .nmi_masked = true };
}

static void test_what_was_saved_is_read_again(void **state)
{
        static struct cpu_state cpu, cpu_again;
        struct chip_state chips = { .clock = { 5, 6 } }, chips_again;
        struct snapshot_settings settings_again;
        struct snapshot_header header;
        struct state_reader reader;
        struct error err = { 0 };
        (void)state;
        make_cpu(&cpu);
        chips.io_apic.redirection[23] = 0x10000;
        chips.pics[1].in_service = 4;
        chips.pit.channels[2] = (struct pit_channel_state){ .count = 0x10000, .mode = 3, .age = -5 };
        size_t length = make(&settings, &cpu, &chips);

        assert_int_equal(snapshot_parse("file", bytes, length, &header, &settings_again, &reader, &err), 0);
        assert_memory_equal(&settings_again, &settings, sizeof(settings));
        assert_false(header.changes);
        assert_int_equal(cpu_state_restore(&cpu_again, &reader), 0);
        assert_memory_equal(cpu_again.xsave, cpu.xsave, sizeof(cpu.xsave));
        assert_memory_equal(cpu_again.apic, cpu.apic, sizeof(cpu.apic));
        assert_memory_equal(cpu_again.msrs, cpu.msrs, sizeof(cpu.msrs));
        assert_memory_equal(cpu_again.registers, cpu.registers, sizeof(cpu.registers));
        assert_true(cpu_again.has_apic && cpu_again.events.interrupt_injected && cpu_again.events.nmi_masked);
        assert_false(cpu_again.events.exception_pending);
        assert_int_equal(cpu_again.events.interrupt_vector, 0x31);
        assert_int_equal(cpu_again.segments[CPU_CS].attributes, cpu.segments[CPU_CS].attributes);
        assert_int_equal(chip_state_restore(&chips_again, &reader), 0);
        assert_int_equal(chips_again.io_apic.redirection[23], 0x10000);
        assert_int_equal(chips_again.pics[1].in_service, 4);
        assert_int_equal(chips_again.pit.channels[2].count, 0x10000);
        assert_int_equal(chips_again.pit.channels[2].age, -5);
        assert_int_equal(chips_again.clock.wall, 6);
        assert_int_equal(reader.at, reader.length);
}

static void test_a_file_that_is_cut_anywhere_is_refused(void **state)
{
        static struct cpu_state cpu;
        struct snapshot_settings again;
        struct snapshot_header header;
        struct state_reader reader;
        (void)state;
        size_t length = make(&settings, &cpu, &(struct chip_state){ .clock = { 1, 1 } });
        for (size_t cut = 0; cut < length; cut++) {
                struct error err = { 0 };
                assert_true(snapshot_parse("file", bytes, cut, &header, &again, &reader, &err) < 0);
                assert_int_not_equal(err.code, 0);
        }
}

static void test_a_processor_that_none_can_be_is_refused_and_the_old_one_kept(void **state)
{
        static struct cpu_state cpu, kept;
        (void)state;
        make_cpu(&cpu);
        kept.rip = 77;
        cpu.activity = CPU_ACTIVITIES;
        struct state_writer writer = { .data = bytes, .room = sizeof(bytes) };
        cpu_state_save(&cpu, &writer);
        struct state_reader reader = { .data = bytes, .length = writer.length };
        assert_int_equal(cpu_state_restore(&kept, &reader), -EINVAL);
        assert_int_equal(kept.rip, 77);
}

static void test_settings_of_no_machine_are_refused(void **state)
{
        static struct cpu_state cpu;
        struct snapshot_settings wrong[] = { settings, settings, settings, settings }, again;
        struct snapshot_header header;
        struct state_reader reader;
        (void)state;
        wrong[0].topology.threads = 0;
        wrong[1].topology.sockets = 0x40000000;
        wrong[2].memory = UINT64_MAX;
        memset(wrong[3].cpu, 'x', sizeof(wrong[3].cpu));
        for (unsigned i = 0; i < 4; i++) {
                struct error err = { 0 };
                size_t length = make(&wrong[i], &cpu, &(struct chip_state){ .clock = { 1, 1 } });
                assert_int_equal(snapshot_parse("file", bytes, length, &header, &again, &reader, &err), -EINVAL);
                assert_non_null(strstr(err.text, "settings"));
        }
}

static void test_memory_of_another_state_is_refused(void **state)
{
        static uint8_t page[SNAPSHOT_TRAILER];
        struct snapshot_header header = { .id = { 1 } }, other = { .id = { 2 } };
        struct error err = { 0 };
        (void)state;
        snapshot_trailer_save(&header, 4096, page);
        assert_int_equal(snapshot_check_trailer("memory", page, &header, 4096, &err), 0);
        assert_int_equal(snapshot_check_trailer("memory", page, &other, 4096, &err), -EINVAL);
        assert_int_equal(snapshot_check_trailer("memory", page, &header, 8192, &err), -EINVAL);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_what_was_saved_is_read_again),
                cmocka_unit_test(test_a_file_that_is_cut_anywhere_is_refused),
                cmocka_unit_test(test_a_processor_that_none_can_be_is_refused_and_the_old_one_kept),
                cmocka_unit_test(test_settings_of_no_machine_are_refused),
                cmocka_unit_test(test_memory_of_another_state_is_refused),
        };
        return cmocka_run_group_tests(tests, NULL, NULL);
}
