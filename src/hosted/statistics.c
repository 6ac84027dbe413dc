/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "hosted/statistics.h"

#include <inttypes.h>
#include <stdio.h>

#include "hosted/disk.h"
#include "hosted/memory_return.h"
#include "hosted/restart.h"
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

static const char *const exit_names[ENGINE_EXITS] = {
        [ENGINE_EXIT_PORT] = "port",         [ENGINE_EXIT_MMIO] = "mmio",         [ENGINE_EXIT_HALT] = "halt",
        [ENGINE_EXIT_WINDOW] = "window",     [ENGINE_EXIT_PRIORITY] = "priority", [ENGINE_EXIT_MSR] = "msr",
        [ENGINE_EXIT_SHUTDOWN] = "shutdown", [ENGINE_EXIT_KICKED] = "kicked",     [ENGINE_EXIT_FAILED] = "failed",
};

static uint64_t exits_of(const struct vmm *vmm, unsigned kind)
{
        uint64_t count = 0;
        for (unsigned i = 0; i < vmm->processor_count; i++)
                count += vmm->processors[i].exits[kind];
        return count;
}

static void fill_bus(json_t *devices, const struct bus *bus)
{
        for (unsigned i = 0; i < bus->count; i++) {
                const struct bus_range *range = &bus->ranges[i];
                json_array_append_new(devices, json_pack("{s:s,s:I,s:I,s:I}", "name", range->operations->name, "at",
                                                         (json_int_t)range->start, "reads", (json_int_t)range->reads,
                                                         "writes", (json_int_t)range->writes));
        }
}

void statistics_fill(const struct vmm *vmm, json_t *object)
{
        json_t *exits = json_object(), *devices = json_array();
        for (unsigned i = 0; i < ENGINE_EXITS; i++)
                json_object_set_new(exits, exit_names[i], json_integer((json_int_t)exits_of(vmm, i)));
        fill_bus(devices, &vmm->machine.ports);
        fill_bus(devices, &vmm->machine.mmio);
        json_object_set_new(object, "exits", exits);
        json_object_set_new(object, "devices", devices);
        if (vmm->restart)
                json_object_set_new(object, "resets", json_integer((json_int_t)restart_count(vmm->restart)));
        json_object_set_new(object, "returned", json_integer((json_int_t)memory_return_bytes(vmm->memory)));
}

/* What the guest looked for and no engine has: seldom of meaning, and the first place to look when a guest is odd. */
static void print_msrs(const struct vmm *vmm)
{
        for (unsigned i = 0; i < vmm->processor_count; i++)
                for (unsigned j = 0; j < PROCESSOR_MSRS_COUNTED && vmm->processors[i].msrs[j].count; j++)
                        fprintf(stderr, "msr 0x%08" PRIx32 " of CPU %u is unknown: %" PRIu64 " accesses\n",
                                vmm->processors[i].msrs[j].index, i, vmm->processors[i].msrs[j].count);
}

void statistics_print(const struct vmm *vmm)
{
        for (unsigned i = 0; i < ENGINE_EXITS; i++)
                if (exits_of(vmm, i))
                        fprintf(stderr, "exits %-10s %" PRIu64 "\n", exit_names[i], exits_of(vmm, i));
        print_msrs(vmm);
        print_bus("port", &vmm->machine.ports);
        print_bus("memory", &vmm->machine.mmio);
        for (unsigned i = 0; i < vmm->disk_count; i++)
                disk_print_statistics(vmm->disks[i]);
        for (unsigned i = 0; i < vmm->tap_count; i++)
                tap_print_statistics(vmm->taps[i]);
        if (vmm->memory)
                fprintf(stderr, "balloon: %" PRIu64 " bytes given back\n", memory_return_bytes(vmm->memory));
}
