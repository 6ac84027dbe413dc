/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "machine/chip_state.h"

#include <errno.h>
#include <stddef.h>

#define CHIP_STATE_VERSION 1

/* ---- 8259A ---- */

static const size_t pic_bytes[] = {
        offsetof(struct pic_state, last_lines),   offsetof(struct pic_state, requested),
        offsetof(struct pic_state, masked),       offsetof(struct pic_state, in_service),
        offsetof(struct pic_state, priority_add), offsetof(struct pic_state, base),
        offsetof(struct pic_state, init_state),   offsetof(struct pic_state, level),
};

static const size_t pic_flags[] = {
        offsetof(struct pic_state, read_in_service),    offsetof(struct pic_state, poll),
        offsetof(struct pic_state, special_mask),       offsetof(struct pic_state, auto_end),
        offsetof(struct pic_state, rotate_on_auto_end), offsetof(struct pic_state, special_fully_nested),
        offsetof(struct pic_state, init_needs_4),
};

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

static void save_pic(const struct pic_state *pic, struct state_writer *writer)
{
        uint32_t flags = 0;
        for (unsigned i = 0; i < COUNT(pic_bytes); i++)
                state_bytes(writer, (const uint8_t *)pic + pic_bytes[i], 1);
        for (unsigned i = 0; i < COUNT(pic_flags); i++)
                flags |= *((const bool *)pic + pic_flags[i]) ? 1u << i : 0;
        state_u32(writer, flags);
}

static bool take_pic(struct pic_state *pic, struct state_reader *reader)
{
        for (unsigned i = 0; i < COUNT(pic_bytes); i++)
                state_take(reader, (uint8_t *)pic + pic_bytes[i], 1);
        uint32_t flags = state_take_u32(reader);
        for (unsigned i = 0; i < COUNT(pic_flags); i++)
                *((bool *)pic + pic_flags[i]) = flags & 1u << i;
        return !(flags >> COUNT(pic_flags)) && pic->priority_add < 8 && pic->init_state < 4;
}

/* ---- 82093AA ---- */

static void save_io_apic(const struct io_apic_state *io_apic, struct state_writer *writer)
{
        state_u64(writer, io_apic->base);
        state_u32(writer, io_apic->id | (uint32_t)io_apic->select << 8);
        state_u32(writer, io_apic->lines);
        for (unsigned i = 0; i < IO_APIC_LINES; i++)
                state_u64(writer, io_apic->redirection[i]);
}

static bool take_io_apic(struct io_apic_state *io_apic, struct state_reader *reader)
{
        io_apic->base = state_take_u64(reader);
        uint32_t word = state_take_u32(reader);
        io_apic->id = (uint8_t)word;
        io_apic->select = (uint8_t)(word >> 8);
        io_apic->lines = state_take_u32(reader);
        for (unsigned i = 0; i < IO_APIC_LINES; i++)
                io_apic->redirection[i] = state_take_u64(reader);
        return !(word >> 16) && !(io_apic->lines >> IO_APIC_LINES);
}

/* ---- 8254 ---- */

static void save_channel(const struct pit_channel_state *channel, struct state_writer *writer)
{
        const uint8_t bytes[] = {
                channel->count_latched, channel->status_latched, channel->status, channel->read_state,
                channel->write_state,   channel->write_latch,    channel->access, channel->mode,
                channel->bcd,           channel->gate,
        };
        state_u32(writer, channel->count);
        state_u32(writer, channel->latched_count);
        state_bytes(writer, bytes, sizeof(bytes));
        state_u64(writer, (uint64_t)channel->age);
}

static bool take_channel(struct pit_channel_state *channel, struct state_reader *reader)
{
        uint8_t bytes[10];
        channel->count = state_take_u32(reader);
        uint32_t latched = state_take_u32(reader);
        state_take(reader, bytes, sizeof(bytes));
        *channel = (struct pit_channel_state){
                .count = channel->count,
                .latched_count = (uint16_t)latched,
                .count_latched = bytes[0],
                .status_latched = bytes[1],
                .status = bytes[2],
                .read_state = bytes[3],
                .write_state = bytes[4],
                .write_latch = bytes[5],
                .access = bytes[6],
                .mode = bytes[7],
                .bcd = bytes[8],
                .gate = bytes[9],
                .age = (int64_t)state_take_u64(reader),
        };
        return channel->count <= 0x10000 && latched <= UINT16_MAX && channel->read_state < 5 &&
               channel->write_state < 5 && channel->access < 4 && channel->mode < 8;
}

/* ---- All of them ---- */

void chip_state_save(const struct chip_state *chips, struct state_writer *writer)
{
        state_begin(writer, "chips", CHIP_STATE_VERSION);
        save_pic(&chips->pics[0], writer);
        save_pic(&chips->pics[1], writer);
        save_io_apic(&chips->io_apic, writer);
        for (unsigned i = 0; i < PIT_CHANNELS; i++)
                save_channel(&chips->pit.channels[i], writer);
        state_u32(writer, chips->pit.speaker);
        state_u64(writer, chips->clock.guest);
        state_u64(writer, chips->clock.wall);
        state_end(writer);
}

int chip_state_restore(struct chip_state *chips, struct state_reader *reader)
{
        struct chip_state taken = { 0 };
        int r = state_open(reader, "chips", CHIP_STATE_VERSION);
        if (r < 0)
                return r;
        bool sound = take_pic(&taken.pics[0], reader);
        sound &= take_pic(&taken.pics[1], reader);
        sound &= take_io_apic(&taken.io_apic, reader);
        for (unsigned i = 0; i < PIT_CHANNELS; i++)
                sound &= take_channel(&taken.pit.channels[i], reader);
        taken.pit.speaker = state_take_u32(reader) & 1;
        taken.clock.guest = state_take_u64(reader);
        taken.clock.wall = state_take_u64(reader);
        r = state_close(reader);
        if (r < 0 || !sound)
                return -EINVAL;
        *chips = taken;
        return 0;
}
