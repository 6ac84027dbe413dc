/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "machine/generation.h"

#include "machine/acpi.h"

int generation_start(struct machine *machine, const uint8_t generation[GENERATION_SIZE])
{
        return guest_memory_write(&machine->memory, gpa(ACPI_GENERATION), generation, GENERATION_SIZE);
}

int generation_renew(struct machine *machine, const uint8_t generation[GENERATION_SIZE])
{
        int r = generation_start(machine, generation);
        if (!r)
                power_raise(&machine->power, POWER_EVENT_GENERATION);
        return r;
}
