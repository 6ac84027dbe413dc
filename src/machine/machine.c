/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "machine/machine.h"

enum {
        PORT_KEYBOARD_DATA = 0x60,
        PORT_KEYBOARD_COMMAND = 0x64,
        PORT_POST = 0x80,
        PORT_DEBUG_EXIT = 0xf4,
        PORT_SERIAL = 0x3f8,

        KEYBOARD_COMMAND_RESET = 0xfe, /* pulse the processor's reset line: Intel 8042 data sheet */
};

/* ---- Keyboard controller: there is no keyboard, but kernels reset the machine through it ---- */

/* Status: there is something to read; bit 1, "busy", is never set. */
enum { KEYBOARD_FULL = 1, KEYBOARD_BYTES = 64 };

/*
 * Full for longer than any kernel believes: one that empties the buffer first sees after a few bytes that there is no
 * controller, where an empty one would keep it waiting half a second for an answer to its first command. Systems that
 * empty it to the last byte find the end too.
 */
static uint64_t keyboard_status_read(void *device, uint64_t offset, unsigned size)
{
        const struct machine *machine = device;
        (void)offset;
        (void)size;
        return machine->keyboard_reads < KEYBOARD_BYTES ? KEYBOARD_FULL : 0;
}

static uint64_t keyboard_data_read(void *device, uint64_t offset, unsigned size)
{
        struct machine *machine = device;
        (void)offset;
        (void)size;
        machine->keyboard_reads += machine->keyboard_reads < KEYBOARD_BYTES;
        return 0;
}

static void keyboard_data_write(void *device, uint64_t offset, unsigned size, uint64_t value)
{
        (void)device;
        (void)offset;
        (void)size;
        (void)value;
}

static void keyboard_command_write(void *device, uint64_t offset, unsigned size, uint64_t value)
{
        struct machine *machine = device;
        (void)offset;
        (void)size;
        if ((value & 0xff) == KEYBOARD_COMMAND_RESET)
                machine->host.end(machine->host.context, MACHINE_RESET, 0);
}

static const struct bus_operations keyboard_data_operations = { "keyboard data", keyboard_data_read,
                                                                keyboard_data_write };
static const struct bus_operations keyboard_command_operations = { "keyboard command", keyboard_status_read,
                                                                   keyboard_command_write };

/* ---- POST code: kernels write there to pass time ---- */

static uint64_t post_read(void *device, uint64_t offset, unsigned size)
{
        (void)device;
        (void)offset;
        (void)size;
        return UINT64_MAX;
}

static void post_write(void *device, uint64_t offset, unsigned size, uint64_t value)
{
        (void)device;
        (void)offset;
        (void)size;
        (void)value;
}

static const struct bus_operations post_operations = { "post", post_read, post_write };

/* ---- Debug exit ---- */

static void debug_exit_write(void *device, uint64_t offset, unsigned size, uint64_t value)
{
        struct machine *machine = device;
        (void)offset;
        (void)size;
        machine->host.end(machine->host.context, MACHINE_DEBUG_EXIT, (unsigned)value & 0xff);
}

static const struct bus_operations debug_exit_operations = { "debug-exit", post_read, debug_exit_write };

/* ---- Serial: between the port and the host ---- */

static void serial_send(void *owner, const uint8_t *bytes, size_t length)
{
        struct machine *machine = owner;
        machine->host.console_send(machine->host.context, bytes, length);
}

static void serial_interrupt(void *owner, bool raised)
{
        struct machine *machine = owner;
        machine->host.interrupt_line(machine->host.context, MACHINE_SERIAL_LINE, raised);
}

static void serial_has_room(void *owner)
{
        struct machine *machine = owner;
        machine->host.console_room(machine->host.context);
}

/* ---- ACPI's fixed hardware ---- */

static uint64_t power_clock(void *owner)
{
        struct machine *machine = owner;
        return machine->host.clock(machine->host.context);
}

static void power_interrupt(void *owner, bool raised)
{
        struct machine *machine = owner;
        machine->host.interrupt_line(machine->host.context, POWER_LINE, raised);
}

static void power_off(void *owner)
{
        struct machine *machine = owner;
        machine->host.end(machine->host.context, MACHINE_OFF, 0);
}

static void power_reset(void *owner)
{
        struct machine *machine = owner;
        machine->host.end(machine->host.context, MACHINE_RESET, 0);
}

/* ---- PCI ---- */

static void pci_message(void *owner, uint64_t address, uint32_t data)
{
        struct machine *machine = owner;
        machine->host.message_interrupt(machine->host.context, address, data);
}

static int add_pci(struct machine *machine)
{
        static const struct pci_identity bridge = {
                .vendor = 0x1b36, /* Red Hat's host bridge without registers, known to every system */
                .device = 0x0008,
                .class = 0x060000, /* bridge, host */
        };
        int r = pci_bus_init(&machine->pci, &machine->ports, &machine->mmio, pci_message, machine);
        if (r < 0)
                return r;
        r = pci_add(&machine->pci, &machine->host_bridge, &bridge);
        return r < 0 ? r : 0;
}

int machine_add_virtio(struct machine *machine, struct virtio_transport *transport, struct virtio_device *device)
{
        const struct virtio_transport_owner owner = {
                .owner = machine->host.context,
                .log = machine->host.log,
                .doorbell = machine->host.doorbell,
        };
        int r = virtio_pci_init(transport, device, &machine->pci, &machine->memory, &owner);
        if (r < 0)
                return r;
        machine->virtio[machine->virtio_count++] = transport; /* each has a slot of the bus */
        return 0;
}

int machine_init(struct machine *machine, const struct machine_host *host)
{
        *machine = (struct machine){ .host = *host };
        serial_init(&machine->serial,
                    &(struct serial_backend){ machine, serial_send, serial_interrupt, serial_has_room });
        power_init(&machine->power,
                   &(struct power_backend){ machine, power_clock, power_interrupt, power_off, power_reset });
        cmos_init(&machine->cmos, host->wall_clock, host->context);

        const struct {
                uint64_t start, length;
                const struct bus_operations *operations;
                void *device;
        } devices[] = {
                { PORT_KEYBOARD_DATA, 1, &keyboard_data_operations, machine },
                { PORT_KEYBOARD_COMMAND, 1, &keyboard_command_operations, machine },
                { CMOS_PORT, CMOS_PORTS, &cmos_operations, &machine->cmos },
                { PORT_POST, 1, &post_operations, machine },
                { PORT_DEBUG_EXIT, 1, &debug_exit_operations, machine },
                { PORT_SERIAL, SERIAL_PORTS, &serial_operations, &machine->serial },
                { POWER_PORT, POWER_PORTS, &power_operations, &machine->power },
        };
        for (unsigned i = 0; i < sizeof(devices) / sizeof(devices[0]); i++) {
                int r = bus_claim(&machine->ports, devices[i].start, devices[i].length, devices[i].operations,
                                  devices[i].device);
                if (r < 0)
                        return r;
        }
        return add_pci(machine);
}

static void access(struct bus *bus, uint64_t at, unsigned size, bool write, uint8_t *data)
{
        uint64_t value = 0;
        if (write) {
                __builtin_memcpy(&value, data, size);
                bus_write(bus, at, size, value);
        } else {
                value = bus_read(bus, at, size);
                __builtin_memcpy(data, &value, size);
        }
}

void machine_port(struct machine *machine, uint16_t port, unsigned size, bool write, uint8_t *data, unsigned count)
{
        for (unsigned i = 0; i < count; i++)
                access(&machine->ports, port, size, write, data + i * size);
}

void machine_mmio(struct machine *machine, gpa_t at, unsigned size, bool write, uint8_t *data)
{
        /* An engine may report an access of 1 to 8 bytes; devices see powers of two. */
        while (size) {
                unsigned part = size >= 8 ? 8 : size >= 4 ? 4 : size >= 2 ? 2 : 1;
                access(&machine->mmio, at.at, part, write, data);
                at.at += part;
                data += part;
                size -= part;
        }
}
