/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <inttypes.h>
#include <stdio.h>

#include "hosted/disk.h"
#include "hosted/memory_return.h"
#include "hosted/tap.h"
#include "hosted/vmm_private.h"

static void print_bus(const char *kind, const struct bus *bus)
{
        for (unsigned i = 0; i < bus->count; i++) {
                const struct bus_range *range = &bus->ranges[i];
                if (range->reads || range->writes)
                        fprintf(stderr, "%s 0x%-4" PRIx64 " %-18s %" PRIu64 " reads, %" PRIu64 " writes\n", kind,
                                range->start, range->operations->name, range->reads, range->writes);
        }
        fprintf(stderr, "%s unclaimed: %" PRIu64 "\n", kind, bus->unclaimed);
}

void statistics_print(const struct vmm *vmm)
{
        static const char *const names[ENGINE_EXITS] = { "port", "mmio", "halt", "shutdown", "kicked", "failed" };
        for (unsigned i = 0; i < ENGINE_EXITS; i++) {
                uint64_t count = 0;
                for (unsigned j = 0; j < vmm->processor_count; j++)
                        count += vmm->processors[j].exits[i];
                if (count)
                        fprintf(stderr, "exits %-10s %" PRIu64 "\n", names[i], count);
        }
        print_bus("port", &vmm->machine.ports);
        print_bus("memory", &vmm->machine.mmio);
        for (unsigned i = 0; i < vmm->disk_count; i++)
                disk_print_statistics(vmm->disks[i]);
        for (unsigned i = 0; i < vmm->tap_count; i++)
                tap_print_statistics(vmm->taps[i]);
        if (vmm->memory)
                memory_return_print_statistics(vmm->memory);
}
