/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The state file of a snapshot that a stranger wrote, as far as no engine is needed: header, settings, processors,
 * chips, and the devices that every machine has. The checksum is made right first, or nothing would be behind it.
 */
#include <string.h>

#include "hosted/snapshot_file.h"
#include "machine/chip_state.h"
#include "machine/cpu_state.h"
#include "machine/machine_state.h"

#include "fuzz_device.h"

/* Records one after the other, until one is refused. */
static void read_records(struct state_reader *reader, unsigned cpus)
{
        static struct cpu_state cpu;
        struct chip_state chips;
        struct machine_misfit misfit;
        for (unsigned i = 0; i < cpus; i++)
                if (cpu_state_restore(&cpu, reader) < 0)
                        return;
        if (!chip_state_restore(&chips, reader))
                (void)machine_restore(&fuzz_guest.machine, reader, &misfit);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
        static uint8_t bytes[1 << 16];
        static const struct machine_host host = {
                .console_send = fuzz_console,
                .console_room = fuzz_room,
                .interrupt_line = fuzz_line,
                .message_interrupt = fuzz_message,
                .log = fuzz_log,
                .wall_clock = fuzz_wall_clock,
                .clock = fuzz_clock,
                .end = fuzz_end,
        };
        struct snapshot_header header;
        struct snapshot_settings settings;
        struct state_reader reader;
        struct error err = { 0 };
        (void)fuzz_device;
        size = size < sizeof(bytes) ? size : sizeof(bytes);
        memcpy(bytes, data, size);
        if (size > SNAPSHOT_HEADER_SIZE && !(data[size - 1] & 1)) {
                uint64_t length = size - SNAPSHOT_HEADER_SIZE;
                uint64_t checksum = snapshot_checksum(bytes + SNAPSHOT_HEADER_SIZE, length);
                memcpy(bytes + 48, &length, sizeof(length));
                memcpy(bytes + 56, &checksum, sizeof(checksum));
        }
        if (machine_init(&fuzz_guest.machine, &host) < 0)
                abort();
        if (!snapshot_parse("fuzz", bytes, size, &header, &settings, &reader, &err))
                read_records(&reader, topology_cpus(&settings.topology));
        return 0;
}
