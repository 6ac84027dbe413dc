/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "machine/machine_state.h"

#include <errno.h>

#define MACHINE_STATE_VERSION 1

void machine_save(const struct machine *machine, struct state_writer *writer)
{
        state_begin(writer, "machine", MACHINE_STATE_VERSION);
        state_u32(writer, machine->pci.selected);
        state_u32(writer, machine->virtio_count);
        for (unsigned i = 0; i < machine->virtio_count; i++)
                state_u32(writer, machine->virtio[i]->device->operations->id);
        state_end(writer);
        pci_save(&machine->host_bridge, writer);
        serial_save(&machine->serial, writer);
        power_save(&machine->power, writer);
        cmos_save(&machine->cmos, writer);
        for (unsigned i = 0; i < machine->virtio_count; i++)
                virtio_pci_save(machine->virtio[i], writer);
}

/* The devices must be the same, in the same slots. */
static int match(struct machine *machine, struct state_reader *reader, struct machine_misfit *misfit)
{
        *misfit = (struct machine_misfit){ .device = "machine" };
        int r = state_open(reader, "machine", MACHINE_STATE_VERSION);
        if (r < 0)
                return r;
        uint32_t selected = state_take_u32(reader), count = state_take_u32(reader);
        for (unsigned i = 0; !reader->failed && (i < count || i < machine->virtio_count); i++) {
                unsigned here = i < machine->virtio_count ? machine->virtio[i]->device->operations->id : 0;
                unsigned saved = i < count ? state_take_u32(reader) : 0;
                if (saved == here)
                        continue;
                *misfit = (struct machine_misfit){ .device = "virtio", .number = i + 1, .saved = saved, .here = here };
                return -EINVAL;
        }
        r = state_close(reader);
        if (!r)
                machine->pci.selected = selected;
        return r;
}

static int failed(struct machine_misfit *misfit, const char *device, int r)
{
        *misfit = (struct machine_misfit){ .device = device };
        return r;
}

int machine_restore(struct machine *machine, struct state_reader *reader, struct machine_misfit *misfit)
{
        int r = match(machine, reader, misfit);
        if (r < 0)
                return r;
        r = pci_restore(&machine->host_bridge, reader);
        if (r < 0)
                return failed(misfit, "PCI", r);
        r = serial_restore(&machine->serial, reader);
        if (r < 0)
                return failed(misfit, "serial", r);
        r = power_restore(&machine->power, reader);
        if (r < 0)
                return failed(misfit, "power", r);
        r = cmos_restore(&machine->cmos, reader);
        if (r < 0)
                return failed(misfit, "clock", r);
        for (unsigned i = 0; i < machine->virtio_count; i++) {
                r = virtio_pci_restore(machine->virtio[i], reader);
                misfit->device = machine->virtio[i]->device->operations->name;
                misfit->number = i + 1;
                if (r < 0)
                        return r;
        }
        /* What the driver asked for while nobody looked; only when all are whole, for devices share the memory. */
        for (unsigned i = 0; i < machine->virtio_count; i++)
                for (unsigned j = 0; j < machine->virtio[i]->device->queue_count; j++)
                        if (machine->virtio[i]->device->queues[j].ready)
                                virtio_pci_notify(machine->virtio[i], j);
        return 0;
}

void machine_quiet(struct machine *machine)
{
        for (unsigned i = 0; i < machine->virtio_count; i++)
                machine->virtio[i]->device->operations->reset(machine->virtio[i]->device);
}

bool machine_is_busy(const struct machine *machine)
{
        for (unsigned i = 0; i < machine->virtio_count; i++) {
                const struct virtio_device *device = machine->virtio[i]->device;
                for (unsigned j = 0; j < device->queue_count; j++)
                        if (device->queues[j].ready && device->queues[j].next_available != device->queues[j].next_used)
                                return true;
        }
        return false;
}
