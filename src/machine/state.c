/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "machine/state.h"

#include <errno.h>

#define HEADER_SIZE (STATE_NAME_SIZE + 8)

void state_bytes(struct state_writer *writer, const void *bytes, size_t length)
{
        if (writer->length <= writer->room && length <= writer->room - writer->length)
                __builtin_memcpy(writer->data + writer->length, bytes, length);
        writer->length += length;
}

void state_u32(struct state_writer *writer, uint32_t value)
{
        uint8_t bytes[4];
        for (unsigned i = 0; i < sizeof(bytes); i++)
                bytes[i] = (uint8_t)(value >> (8 * i));
        state_bytes(writer, bytes, sizeof(bytes));
}

void state_u64(struct state_writer *writer, uint64_t value)
{
        state_u32(writer, (uint32_t)value);
        state_u32(writer, (uint32_t)(value >> 32));
}

void state_begin(struct state_writer *writer, const char *name, uint32_t version)
{
        char padded[STATE_NAME_SIZE] = { 0 };
        for (unsigned i = 0; i < STATE_NAME_SIZE - 1 && name[i]; i++)
                padded[i] = name[i];
        state_bytes(writer, padded, sizeof(padded));
        state_u32(writer, version);
        state_u32(writer, 0);
        writer->body = writer->length;
}

void state_end(struct state_writer *writer)
{
        struct state_writer length_field = { writer->data, writer->room, writer->body - 4, 0 };
        state_u32(&length_field, (uint32_t)(writer->length - writer->body));
        writer->body = 0;
}

void state_take(struct state_reader *reader, void *bytes, size_t length)
{
        if (reader->failed || length > reader->end - reader->at) {
                reader->failed = true;
                __builtin_memset(bytes, 0, length);
                return;
        }
        __builtin_memcpy(bytes, reader->data + reader->at, length);
        reader->at += length;
}

uint32_t state_take_u32(struct state_reader *reader)
{
        uint8_t bytes[4];
        state_take(reader, bytes, sizeof(bytes));
        return bytes[0] | (uint32_t)bytes[1] << 8 | (uint32_t)bytes[2] << 16 | (uint32_t)bytes[3] << 24;
}

uint64_t state_take_u64(struct state_reader *reader)
{
        uint64_t low = state_take_u32(reader);
        return low | (uint64_t)state_take_u32(reader) << 32;
}

static bool names_equal(const char *stored, const char *name)
{
        for (unsigned i = 0; i < STATE_NAME_SIZE; i++) {
                if (stored[i] != name[i])
                        return false;
                if (!name[i])
                        return true;
        }
        return false;
}

int state_open(struct state_reader *reader, const char *name, uint32_t newest)
{
        char stored[STATE_NAME_SIZE];
        if (reader->length - reader->at < HEADER_SIZE)
                return -EINVAL;
        reader->end = reader->at + HEADER_SIZE;
        reader->failed = false;
        state_take(reader, stored, sizeof(stored));
        uint32_t version = state_take_u32(reader);
        uint32_t length = state_take_u32(reader);
        if (!names_equal(stored, name) || !version || version > INT32_MAX || length > reader->length - reader->at)
                return -EINVAL;
        if (version > newest)
                return -ENOTSUP;
        reader->end = reader->at + length;
        return (int)version;
}

int state_close(struct state_reader *reader)
{
        return reader->failed || reader->at != reader->end ? -EINVAL : 0;
}
