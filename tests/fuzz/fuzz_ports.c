/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The machine's fixed devices under a hostile guest: serial port, CMOS clock, ACPI's registers, keyboard controller, PCI
 * configuration space by both ways; input from the console and presses of the power button in between. What was saved
 * is taken again; what the fuzzer made of it may be refused.
 */
#include "machine/virtio/entropy.h"

#include "fuzz_device.h"

static struct virtio_entropy entropy;

static int fill(void *owner, void *bytes, size_t length)
{
        (void)owner;
        memset(bytes, 0x5a, length);
        return 0;
}

static void port(struct fuzz_input *input)
{
        static const uint16_t bases[] = { 0x3f8, 0x70, POWER_PORT, 0x60, PCI_PORTS_START, 0x80, 0xf4, 0 };
        uint64_t what = fuzz_take(input, 1);
        uint16_t at = (uint16_t)(bases[what & 7] + (bases[what & 7] ? fuzz_take(input, 1) % 16 : fuzz_take(input, 2)));
        unsigned size = 1u << (what >> 3 & 3) % 3, count = what & 128 ? 4 : 1;
        uint8_t bytes[16];
        for (unsigned i = 0; i < size * count; i++)
                bytes[i] = (uint8_t)fuzz_take(input, 1);
        machine_port(&fuzz_guest.machine, at, size, what & 32, bytes, count);
}

/* Configuration space of every slot, by ports and by ECAM, whole and in pieces. */
static void configuration(struct fuzz_input *input)
{
        uint64_t what = fuzz_take(input, 1), at = fuzz_take(input, 2), value = fuzz_take(input, 4);
        unsigned size = 1u << (what & 3) % 3;
        uint32_t address = 0x80000000u | (uint32_t)at;
        if (what & 4) {
                fuzz_mmio(PCI_ECAM_START + at * 16, size, what & 8, value);
                return;
        }
        machine_port(&fuzz_guest.machine, PCI_PORTS_START, 4, true, (uint8_t *)&address, 1);
        machine_port(&fuzz_guest.machine, (uint16_t)(PCI_PORTS_START + 4 + (what >> 4 & 3)), size, what & 8,
                     (uint8_t *)&value, 1);
}

static void console(struct fuzz_input *input)
{
        uint8_t bytes[32];
        size_t length = fuzz_take(input, 1) % sizeof(bytes);
        memset(bytes, 'x', sizeof(bytes));
        if (serial_room(&fuzz_guest.machine.serial) > SERIAL_FIFO)
                abort();
        serial_receive(&fuzz_guest.machine.serial, bytes, length);
}

static void saved_state(struct fuzz_input *input)
{
        static uint8_t saved[FUZZ_STATE];
        struct state_writer writer = { .data = saved, .room = sizeof(saved) };
        serial_save(&fuzz_guest.machine.serial, &writer);
        power_save(&fuzz_guest.machine.power, &writer);
        bool changed = fuzz_take(input, 1) & 1;
        if (changed)
                saved[fuzz_take(input, 2) % writer.length] = (uint8_t)fuzz_take(input, 1);
        struct state_reader reader = { .data = saved, .length = writer.length };
        int r = serial_restore(&fuzz_guest.machine.serial, &reader);
        if (!r)
                r = power_restore(&fuzz_guest.machine.power, &reader);
        if (r < 0 && !changed)
                abort();
}

static void event(struct fuzz_input *input)
{
        switch (fuzz_take(input, 1) % 8) {
        case 0: power_press(&fuzz_guest.machine.power); break;
        case 1: saved_state(input); break;
        case 2: console(input); break;
        case 3:
        case 4: configuration(input); break;
        default: port(input); break;
        }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
        virtio_entropy_init(&entropy, &(struct entropy_backend){ .fill = fill });
        fuzz_device(&entropy.device, event, data, size);
        return 0;
}
