/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "machine/serial.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

struct line {
        struct serial serial;
        char sent[64];
        size_t length;
        bool raised;
        unsigned room_calls;
};

static void on_send(void *owner, const uint8_t *bytes, size_t length)
{
        struct line *line = owner;
        memcpy(line->sent + line->length, bytes, length);
        line->length += length;
}

static void on_interrupt(void *owner, bool raised)
{
        ((struct line *)owner)->raised = raised;
}

static void on_room(void *owner)
{
        ((struct line *)owner)->room_calls++;
}

static void set_up(struct line *line)
{
        memset(line, 0, sizeof(*line));
        serial_init(&line->serial, &(struct serial_backend){ line, on_send, on_interrupt, on_room });
}

static uint8_t in(struct line *line, unsigned offset)
{
        return (uint8_t)serial_operations.read(&line->serial, offset, 1);
}

static void out(struct line *line, unsigned offset, uint8_t value)
{
        serial_operations.write(&line->serial, offset, 1, value);
}

static void test_what_the_guest_writes_is_sent(void **state)
{
        (void)state;
        struct line line;
        set_up(&line);
        out(&line, 3, 0x83); /* DLAB: the next byte is a divisor and no data */
        out(&line, 0, 1);
        assert_int_equal(in(&line, 0), 1);
        out(&line, 3, 0x03);
        out(&line, 0, 'o');
        out(&line, 0, 'k');
        assert_int_equal(line.length, 2);
        assert_memory_equal(line.sent, "ok", 2);
        assert_int_equal(in(&line, 5), 0x60);
}

static void test_the_receiver_interrupts_until_it_is_empty(void **state)
{
        (void)state;
        struct line line;
        set_up(&line);
        out(&line, 1, 0x01);
        serial_receive(&line.serial, (const uint8_t *)"ab", 2);
        assert_false(line.raised); /* OUT2 gates the line */
        out(&line, 4, 0x08);
        assert_true(line.raised);
        assert_int_equal(in(&line, 2), 0x04);
        assert_int_equal(in(&line, 0), 'a');
        assert_true(line.raised);
        assert_int_equal(in(&line, 0), 'b');
        assert_false(line.raised);
        assert_int_equal(line.room_calls, 1);
        assert_int_equal(in(&line, 2), 0x01);
        assert_int_equal(in(&line, 0), 0);
}

static void test_the_transmitter_interrupts_once_for_each_emptying(void **state)
{
        (void)state;
        struct line line;
        set_up(&line);
        out(&line, 4, 0x08);
        out(&line, 1, 0x02);
        assert_true(line.raised);
        assert_int_equal(in(&line, 2), 0x02); /* reading the cause takes it away */
        assert_false(line.raised);
        out(&line, 0, 'x');
        assert_true(line.raised);
        out(&line, 1, 0);
        assert_false(line.raised);
}

static void test_bytes_beyond_the_fifo_are_an_overrun(void **state)
{
        (void)state;
        struct line line;
        set_up(&line);
        out(&line, 2, 0x01);
        uint8_t bytes[SERIAL_FIFO + 1];
        memset(bytes, 'x', sizeof(bytes));
        assert_int_equal(serial_room(&line.serial), SERIAL_FIFO);
        serial_receive(&line.serial, bytes, sizeof(bytes));
        assert_int_equal(serial_room(&line.serial), 0);
        assert_int_equal(in(&line, 5), 0x63);
        assert_int_equal(in(&line, 5), 0x61);
        out(&line, 2, 0x03); /* clears the receiver */
        assert_int_equal(in(&line, 5), 0x60);
}

static void test_loopback_returns_bytes_and_modem_lines(void **state)
{
        (void)state;
        struct line line;
        set_up(&line);
        assert_int_equal(in(&line, 6), 0xb0);
        out(&line, 4, 0x1a); /* loopback, OUT2, RTS: how drivers probe for the chip */
        assert_int_equal(in(&line, 6), 0x90);
        out(&line, 0, 'q');
        serial_receive(&line.serial, (const uint8_t *)"z", 1);
        assert_int_equal(line.length, 0);
        assert_int_equal(in(&line, 0), 'q');
        assert_int_equal(in(&line, 0), 0);
}

static void test_its_state_survives_and_a_lie_is_refused(void **state)
{
        (void)state;
        struct line line, other;
        set_up(&line);
        out(&line, 7, 0x5a);
        out(&line, 4, 0x08);
        out(&line, 1, 0x01);
        serial_receive(&line.serial, (const uint8_t *)"abc", 3);
        in(&line, 0);

        uint8_t saved[256];
        struct state_writer writer = { .data = saved, .room = sizeof(saved) };
        serial_save(&line.serial, &writer);
        assert_true(writer.length < sizeof(saved));

        set_up(&other);
        struct state_reader reader = { .data = saved, .length = writer.length };
        assert_int_equal(serial_restore(&other.serial, &reader), 0);
        assert_int_equal(reader.at, writer.length);
        assert_true(other.raised);
        assert_int_equal(in(&other, 7), 0x5a);
        assert_int_equal(in(&other, 0), 'b');
        assert_int_equal(in(&other, 0), 'c');

        /* every cut, and a count beyond the FIFO, leave the port as it was */
        for (size_t length = 0; length < writer.length; length++) {
                reader = (struct state_reader){ .data = saved, .length = length };
                assert_int_equal(serial_restore(&other.serial, &reader), -EINVAL);
        }
        saved[STATE_NAME_SIZE + 8 + 9] = 200;
        reader = (struct state_reader){ .data = saved, .length = writer.length };
        assert_int_equal(serial_restore(&other.serial, &reader), -EINVAL);
        assert_int_equal(in(&other, 7), 0x5a);
        saved[STATE_NAME_SIZE] = 2;
        reader = (struct state_reader){ .data = saved, .length = writer.length };
        assert_int_equal(serial_restore(&other.serial, &reader), -ENOTSUP);
}

static void test_random_accesses_stay_inside(void **state)
{
        (void)state;
        struct line line;
        set_up(&line);
        uint32_t random = 1;
        for (int i = 0; i < 100000; i++) {
                random = random * 1664525 + 1013904223;
                unsigned size = 1u << (random >> 30), offset = (random >> 8) & 7;
                if (offset + size > SERIAL_PORTS)
                        size = 1;
                line.length = 0;
                if (random & 1)
                        serial_operations.write(&line.serial, offset, size, random >> 12);
                else
                        serial_operations.read(&line.serial, offset, size);
                if (random & 2)
                        serial_receive(&line.serial, (const uint8_t *)"xyz", 3);
                assert_true(line.serial.count <= SERIAL_FIFO && line.serial.head < SERIAL_FIFO);
        }
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_what_the_guest_writes_is_sent),
                cmocka_unit_test(test_the_receiver_interrupts_until_it_is_empty),
                cmocka_unit_test(test_the_transmitter_interrupts_once_for_each_emptying),
                cmocka_unit_test(test_bytes_beyond_the_fifo_are_an_overrun),
                cmocka_unit_test(test_loopback_returns_bytes_and_modem_lines),
                cmocka_unit_test(test_its_state_survives_and_a_lie_is_refused),
                cmocka_unit_test(test_random_accesses_stay_inside),
        };
        return cmocka_run_group_tests(tests, NULL, NULL);
}
