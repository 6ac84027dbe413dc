/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "machine/serial.h"

#include <errno.h>

/* PC16550D data sheet, section 8.0, table II: registers by offset. */
enum {
        REGISTER_DATA = 0,                     /* divisor latch low while DLAB */
        REGISTER_INTERRUPT_ENABLE = 1,         /* divisor latch high while DLAB */
        REGISTER_INTERRUPT_IDENTIFICATION = 2, /* FIFO control when written */
        REGISTER_LINE_CONTROL = 3,
        REGISTER_MODEM_CONTROL = 4,
        REGISTER_LINE_STATUS = 5,
        REGISTER_MODEM_STATUS = 6,
        REGISTER_SCRATCH = 7,
};

enum {
        ENABLE_RECEIVED = 0x01,
        ENABLE_TRANSMITTER = 0x02,
        ENABLE_LINE_STATUS = 0x04,
        ENABLE_MASK = 0x0f,

        IDENTIFY_NONE = 0x01,
        IDENTIFY_TRANSMITTER = 0x02,
        IDENTIFY_RECEIVED = 0x04,
        IDENTIFY_LINE_STATUS = 0x06,
        IDENTIFY_FIFO_ON = 0xc0,

        FIFO_ENABLE = 0x01,
        FIFO_CLEAR_RECEIVER = 0x02,

        LINE_DLAB = 0x80,

        MODEM_DTR = 0x01,
        MODEM_RTS = 0x02,
        MODEM_OUT1 = 0x04,
        MODEM_OUT2 = 0x08, /* gates the interrupt on a PC */
        MODEM_LOOPBACK = 0x10,
        MODEM_MASK = 0x1f,

        STATUS_DATA_READY = 0x01,
        STATUS_OVERRUN = 0x02,
        STATUS_TRANSMITTER_EMPTY = 0x60, /* holding register and shift register */

        MODEM_STATUS_CTS = 0x10,
        MODEM_STATUS_DSR = 0x20,
        MODEM_STATUS_RI = 0x40,
        MODEM_STATUS_DCD = 0x80,
};

void serial_init(struct serial *serial, const struct serial_backend *backend)
{
        /* 8 data bits, no parity, one stop bit; 9600 baud of a 1.8432 MHz crystal */
        *serial = (struct serial){ .backend = *backend, .line_control = 0x03, .divisor = { 12, 0 } };
}

/* Data sheet table III: the cause of the highest priority. */
static uint8_t interrupt_cause(const struct serial *serial)
{
        if ((serial->interrupt_enable & ENABLE_LINE_STATUS) && serial->line_errors)
                return IDENTIFY_LINE_STATUS;
        if ((serial->interrupt_enable & ENABLE_RECEIVED) && serial->count)
                return IDENTIFY_RECEIVED;
        if ((serial->interrupt_enable & ENABLE_TRANSMITTER) && serial->transmitter_pending)
                return IDENTIFY_TRANSMITTER;
        return IDENTIFY_NONE;
}

static void update_interrupt(struct serial *serial)
{
        bool raised = interrupt_cause(serial) != IDENTIFY_NONE && (serial->modem_control & MODEM_OUT2);
        if (raised == serial->raised)
                return;
        serial->raised = raised;
        serial->backend.interrupt(serial->backend.owner, raised);
}

size_t serial_room(const struct serial *serial)
{
        return SERIAL_FIFO - serial->count;
}

static void put(struct serial *serial, uint8_t byte)
{
        if (serial->count == SERIAL_FIFO) {
                serial->line_errors |= STATUS_OVERRUN;
                return;
        }
        serial->fifo[(serial->head + serial->count++) % SERIAL_FIFO] = byte;
}

void serial_receive(struct serial *serial, const uint8_t *bytes, size_t length)
{
        /* In loopback the line is cut off: data sheet section 8.8. */
        if (serial->modem_control & MODEM_LOOPBACK)
                return;
        for (size_t i = 0; i < length; i++)
                put(serial, bytes[i]);
        update_interrupt(serial);
}

static uint8_t take(struct serial *serial)
{
        if (!serial->count)
                return 0;
        uint8_t byte = serial->fifo[serial->head];
        serial->head = (serial->head + 1) % SERIAL_FIFO;
        serial->count--;
        if (!serial->count && serial->backend.room)
                serial->backend.room(serial->backend.owner);
        return byte;
}

static uint8_t modem_status(const struct serial *serial)
{
        if (!(serial->modem_control & MODEM_LOOPBACK))
                return MODEM_STATUS_CTS | MODEM_STATUS_DSR | MODEM_STATUS_DCD;
        return (uint8_t)((serial->modem_control & MODEM_RTS ? MODEM_STATUS_CTS : 0) |
                         (serial->modem_control & MODEM_DTR ? MODEM_STATUS_DSR : 0) |
                         (serial->modem_control & MODEM_OUT1 ? MODEM_STATUS_RI : 0) |
                         (serial->modem_control & MODEM_OUT2 ? MODEM_STATUS_DCD : 0));
}

static uint8_t read_register(struct serial *serial, uint64_t offset)
{
        bool latch = serial->line_control & LINE_DLAB;
        uint8_t value;
        switch (offset) {
        case REGISTER_DATA: return latch ? serial->divisor[0] : take(serial);
        case REGISTER_INTERRUPT_ENABLE: return latch ? serial->divisor[1] : serial->interrupt_enable;
        case REGISTER_INTERRUPT_IDENTIFICATION:
                value = interrupt_cause(serial);
                if (value == IDENTIFY_TRANSMITTER)
                        serial->transmitter_pending = false;
                return (uint8_t)(value | (serial->fifo_control & FIFO_ENABLE ? IDENTIFY_FIFO_ON : 0));
        case REGISTER_LINE_CONTROL: return serial->line_control;
        case REGISTER_MODEM_CONTROL: return serial->modem_control;
        case REGISTER_LINE_STATUS:
                value = (uint8_t)(STATUS_TRANSMITTER_EMPTY | serial->line_errors |
                                  (serial->count ? STATUS_DATA_READY : 0));
                serial->line_errors = 0;
                return value;
        case REGISTER_MODEM_STATUS: return modem_status(serial);
        default: return serial->scratch;
        }
}

static void write_data(struct serial *serial, uint8_t value)
{
        if (serial->modem_control & MODEM_LOOPBACK)
                put(serial, value);
        else
                serial->backend.send(serial->backend.owner, &value, 1);
        serial->transmitter_pending = true;
}

static void write_register(struct serial *serial, uint64_t offset, uint8_t value)
{
        bool latch = serial->line_control & LINE_DLAB;
        switch (offset) {
        case REGISTER_DATA:
                if (latch)
                        serial->divisor[0] = value;
                else
                        write_data(serial, value);
                break;
        case REGISTER_INTERRUPT_ENABLE:
                if (latch) {
                        serial->divisor[1] = value;
                        break;
                }
                /* Enabling the transmitter's interrupt raises it at once when the transmitter is empty. */
                if (value & ~serial->interrupt_enable & ENABLE_TRANSMITTER)
                        serial->transmitter_pending = true;
                serial->interrupt_enable = value & ENABLE_MASK;
                break;
        case REGISTER_INTERRUPT_IDENTIFICATION:
                if ((value ^ serial->fifo_control) & FIFO_ENABLE || value & FIFO_CLEAR_RECEIVER)
                        serial->head = serial->count = 0;
                serial->fifo_control = value & ~FIFO_CLEAR_RECEIVER;
                break;
        case REGISTER_LINE_CONTROL: serial->line_control = value; break;
        case REGISTER_MODEM_CONTROL: serial->modem_control = value & MODEM_MASK; break;
        case REGISTER_SCRATCH: serial->scratch = value; break;
        default: /* the two status registers are read-only */ break;
        }
}

static uint64_t serial_read(void *device, uint64_t offset, unsigned size)
{
        struct serial *serial = device;
        uint64_t value = 0;
        for (unsigned i = 0; i < size; i++)
                value |= (uint64_t)read_register(serial, offset + i) << (8 * i);
        update_interrupt(serial);
        return value;
}

static void serial_write(void *device, uint64_t offset, unsigned size, uint64_t value)
{
        struct serial *serial = device;
        for (unsigned i = 0; i < size; i++)
                write_register(serial, offset + i, (uint8_t)(value >> (8 * i)));
        update_interrupt(serial);
}

const struct bus_operations serial_operations = { "serial", serial_read, serial_write };

#define SERIAL_STATE_VERSION 1

void serial_save(const struct serial *serial, struct state_writer *writer)
{
        state_begin(writer, "serial", SERIAL_STATE_VERSION);
        const uint8_t registers[] = { serial->interrupt_enable, serial->fifo_control, serial->line_control,
                                      serial->modem_control,    serial->scratch,      serial->divisor[0],
                                      serial->divisor[1],       serial->line_errors,  serial->transmitter_pending };
        state_bytes(writer, registers, sizeof(registers));
        state_u32(writer, serial->count);
        for (unsigned i = 0; i < serial->count; i++)
                state_bytes(writer, &serial->fifo[(serial->head + i) % SERIAL_FIFO], 1);
        state_end(writer);
}

int serial_restore(struct serial *serial, struct state_reader *reader)
{
        uint8_t registers[9], fifo[SERIAL_FIFO];
        int r = state_open(reader, "serial", SERIAL_STATE_VERSION);
        if (r < 0)
                return r;
        state_take(reader, registers, sizeof(registers));
        uint32_t count = state_take_u32(reader);
        if (count > SERIAL_FIFO)
                return -EINVAL;
        state_take(reader, fifo, count);
        r = state_close(reader);
        if (r < 0)
                return r;

        struct serial restored = {
                .backend = serial->backend,
                .interrupt_enable = registers[0] & ENABLE_MASK,
                .fifo_control = registers[1],
                .line_control = registers[2],
                .modem_control = registers[3] & MODEM_MASK,
                .scratch = registers[4],
                .divisor = { registers[5], registers[6] },
                .line_errors = registers[7] & STATUS_OVERRUN,
                .transmitter_pending = registers[8],
                .raised = serial->raised,
                .count = count,
        };
        __builtin_memcpy(restored.fifo, fifo, count);
        *serial = restored;
        update_interrupt(serial);
        return 0;
}
