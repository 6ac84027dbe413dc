/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "hosted/snapshot_file.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>

#include "hosted/vmm.h"

#define VERSION          1
#define FLAG_CHANGES     1u
#define SETTINGS_VERSION 1

static const char state_magic[8] = { 'o', 'n', 'g', 'g', 'i', '-', 'v', 'm' };
static const char memory_magic[8] = { 'o', 'n', 'g', 'g', 'i', 'm', 'e', 'm' };

uint64_t snapshot_checksum(const uint8_t *bytes, size_t length)
{
        uint64_t hash = UINT64_C(0xcbf29ce484222325); /* Fowler, Noll, Vo: FNV-1a's offset and prime */
        for (size_t i = 0; i < length; i++)
                hash = (hash ^ bytes[i]) * UINT64_C(0x100000001b3);
        return hash;
}

void snapshot_header_save(const struct snapshot_header *header, uint8_t bytes[SNAPSHOT_HEADER_SIZE])
{
        struct state_writer writer = { .data = bytes, .room = SNAPSHOT_HEADER_SIZE };
        state_bytes(&writer, state_magic, sizeof(state_magic));
        state_u32(&writer, VERSION);
        state_u32(&writer, header->changes ? FLAG_CHANGES : 0);
        state_bytes(&writer, header->id, sizeof(header->id));
        state_bytes(&writer, header->base, sizeof(header->base));
        state_u64(&writer, header->length);
        state_u64(&writer, header->checksum);
}

void snapshot_trailer_save(const struct snapshot_header *header, uint64_t memory, uint8_t bytes[SNAPSHOT_TRAILER])
{
        struct state_writer writer = { .data = bytes, .room = SNAPSHOT_TRAILER };
        memset(bytes, 0, SNAPSHOT_TRAILER);
        state_bytes(&writer, memory_magic, sizeof(memory_magic));
        state_u32(&writer, VERSION);
        state_u32(&writer, 0);
        state_bytes(&writer, header->id, sizeof(header->id));
        state_u64(&writer, memory);
}

void snapshot_settings_save(const struct snapshot_settings *settings, struct state_writer *writer)
{
        state_begin(writer, "settings", SETTINGS_VERSION);
        state_u64(writer, settings->memory);
        state_u32(writer, settings->topology.sockets);
        state_u32(writer, settings->topology.cores);
        state_u32(writer, settings->topology.threads);
        state_bytes(writer, settings->cpu, sizeof(settings->cpu));
        state_end(writer);
}

static int take_settings(struct state_reader *reader, struct snapshot_settings *settings)
{
        int r = state_open(reader, "settings", SETTINGS_VERSION);
        if (r < 0)
                return r;
        *settings = (struct snapshot_settings){ .memory = state_take_u64(reader) };
        settings->topology.sockets = state_take_u32(reader);
        settings->topology.cores = state_take_u32(reader);
        settings->topology.threads = state_take_u32(reader);
        state_take(reader, settings->cpu, sizeof(settings->cpu));
        r = state_close(reader);
        const struct topology *topology = &settings->topology;
        bool sound = topology->sockets && topology->cores && topology->threads && topology->sockets <= VMM_CPUS_MAX &&
                     topology->cores <= VMM_CPUS_MAX && topology->threads <= VMM_CPUS_MAX &&
                     topology_cpus(topology) <= VMM_CPUS_MAX && settings->memory <= SNAPSHOT_MEMORY_MAX &&
                     !settings->cpu[sizeof(settings->cpu) - 1];
        return r < 0 || !sound ? -EINVAL : 0;
}

int snapshot_parse(const char *name, const uint8_t *bytes, size_t length, struct snapshot_header *header,
                   struct snapshot_settings *settings, struct state_reader *reader, struct error *err)
{
        uint8_t magic[sizeof(state_magic)];
        *reader = (struct state_reader){ .data = bytes, .length = length, .end = length };
        *header = (struct snapshot_header){ .changes = false };
        state_take(reader, magic, sizeof(magic));
        uint32_t version = state_take_u32(reader), flags = state_take_u32(reader);
        state_take(reader, header->id, sizeof(header->id));
        state_take(reader, header->base, sizeof(header->base));
        header->length = state_take_u64(reader);
        header->checksum = state_take_u64(reader);
        header->changes = flags & FLAG_CHANGES;
        if (reader->failed || memcmp(magic, state_magic, sizeof(magic)))
                return error_set(err, -EINVAL, "%s is not the state of a saved machine, or was not written to its end",
                                 name);
        if (version != VERSION || (flags & ~FLAG_CHANGES))
                return error_set(err, -ENOTSUP, "%s has version %" PRIu32 "; this onggi reads version %d", name,
                                 version, VERSION);
        if (header->length != length - SNAPSHOT_HEADER_SIZE)
                return error_set(err, -EINVAL, "%s is %zu bytes; it says that it has %" PRIu64, name, length,
                                 header->length + SNAPSHOT_HEADER_SIZE);
        if (snapshot_checksum(bytes + SNAPSHOT_HEADER_SIZE, length - SNAPSHOT_HEADER_SIZE) != header->checksum)
                return error_set(err, -EBADMSG, "%s is damaged: its checksum is another", name);
        int r = take_settings(reader, settings);
        return r < 0 ? error_set(err, r, "%s has settings that no machine has", name) : 0;
}

int snapshot_check_trailer(const char *name, const uint8_t bytes[SNAPSHOT_TRAILER],
                           const struct snapshot_header *header, uint64_t memory, struct error *err)
{
        uint8_t expected[SNAPSHOT_TRAILER];
        snapshot_trailer_save(header, memory, expected);
        if (memcmp(bytes, expected, SNAPSHOT_TRAILER) != 0)
                return error_set(err, -EINVAL, "%s is not the memory that belongs to the state beside it", name);
        return 0;
}
