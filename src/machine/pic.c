/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "machine/pic.h"

enum {
        CASCADE = 2, /* line of the first that the second is behind */
        NONE = 8,    /* no line; also the priority of none */

        AWAITS_ICW2 = 1, /* init_state */
        AWAITS_ICW3 = 2,
        AWAITS_ICW4 = 3,

        ICW1 = 0x10,
        ICW1_NEEDS_ICW4 = 0x01,
        ICW4_AUTO_END = 0x02,
        ICW4_SPECIAL_FULLY_NESTED = 0x10,
        OCW3 = 0x08,
        OCW3_READ = 0x02,
        OCW3_READ_IN_SERVICE = 0x01,
        OCW3_POLL = 0x04,
        OCW3_SET_SPECIAL_MASK = 0x40,
        OCW3_SPECIAL_MASK = 0x20,
        POLL_PENDING = 0x80,
};

/* Of the lines in the mask the one that comes first, as its distance from the line of highest priority. */
static unsigned priority_of(const struct pic_state *pic, uint8_t lines)
{
        unsigned distance = 0;
        while (distance < NONE && !(lines >> ((distance + pic->priority_add) & 7) & 1))
                distance++;
        return distance;
}

static unsigned line_at(const struct pic_state *pic, unsigned distance)
{
        return (distance + pic->priority_add) & 7;
}

/* The line that asks for the processor now, or NONE: not masked, and before all that are in service. */
static unsigned asking(const struct pic_state *pic, bool first)
{
        uint8_t in_service = pic->in_service;
        unsigned wanted = priority_of(pic, pic->requested & (uint8_t)~pic->masked);
        if (pic->special_mask)
                in_service &= (uint8_t)~pic->masked;
        /* The second's own order is kept there; the first lets its line through again. */
        if (pic->special_fully_nested && first)
                in_service &= (uint8_t) ~(1 << CASCADE);
        return wanted < priority_of(pic, in_service) ? line_at(pic, wanted) : NONE;
}

static void update(struct pic_pair *pair)
{
        struct pic_state *first = &pair->pics[0].state;
        bool second = asking(&pair->pics[1].state, false) != NONE;
        first->requested = (uint8_t)((first->requested & ~(1 << CASCADE)) | second << CASCADE);
        bool raised = asking(first, true) != NONE;
        if (raised == pair->raised)
                return;
        pair->raised = raised;
        pair->output(pair->owner, raised);
}

void pic_init(struct pic_pair *pair, void *owner, void (*output)(void *owner, bool raised))
{
        *pair = (struct pic_pair){ .owner = owner, .output = output };
        pair->pics[0].pair = pair->pics[1].pair = pair;
}

void pic_line(struct pic_pair *pair, unsigned line, bool raised)
{
        if (line > 15 || line == CASCADE)
                return;
        struct pic_state *pic = &pair->pics[line >> 3].state;
        uint8_t bit = (uint8_t)(1 << (line & 7));
        if (pic->level & bit)
                pic->requested = (uint8_t)(raised ? pic->requested | bit : pic->requested & ~bit);
        else if (raised && !(pic->last_lines & bit))
                pic->requested |= bit;
        pic->last_lines = (uint8_t)(raised ? pic->last_lines | bit : pic->last_lines & ~bit);
        update(pair);
}

static void acknowledge(struct pic_state *pic, unsigned line)
{
        uint8_t bit = (uint8_t)(1 << line);
        if (!pic->auto_end)
                pic->in_service |= bit;
        else if (pic->rotate_on_auto_end)
                pic->priority_add = (uint8_t)((line + 1) & 7);
        /* A level asks until it is gone. */
        if (!(pic->level & bit))
                pic->requested &= (uint8_t)~bit;
}

/* A line that is gone by now was line 7: data sheet, "Edge and level triggered modes". */
static uint8_t take_from(struct pic_state *pic, bool first, unsigned *line)
{
        *line = asking(pic, first);
        if (*line != NONE)
                acknowledge(pic, *line);
        return (uint8_t)(pic->base + (*line == NONE ? 7 : *line));
}

uint8_t pic_take(struct pic_pair *pair)
{
        unsigned line;
        uint8_t vector = take_from(&pair->pics[0].state, true, &line);
        if (line == CASCADE)
                vector = take_from(&pair->pics[1].state, false, &line);
        update(pair);
        return vector;
}

void pic_set(struct pic_pair *pair, const struct pic_state states[2])
{
        pair->pics[0].state = states[0];
        pair->pics[1].state = states[1];
        update(pair);
}

/* ---- Registers ---- */

static void start_initialization(struct pic_state *pic, uint8_t value)
{
        uint8_t lines = pic->last_lines, level = pic->level;
        *pic = (struct pic_state){ .last_lines = lines,
                                   .level = level,
                                   .requested = lines & level,
                                   .init_state = AWAITS_ICW2,
                                   .init_needs_4 = value & ICW1_NEEDS_ICW4 };
}

static void initialize(struct pic_state *pic, uint8_t value)
{
        switch (pic->init_state) {
        case AWAITS_ICW2:
                pic->base = value & 0xf8;
                pic->init_state = AWAITS_ICW3;
                break;
        case AWAITS_ICW3: /* who is behind whom is fixed on a PC */
                pic->init_state = pic->init_needs_4 ? AWAITS_ICW4 : 0;
                break;
        default:
                pic->auto_end = value & ICW4_AUTO_END;
                pic->special_fully_nested = value & ICW4_SPECIAL_FULLY_NESTED;
                pic->init_state = 0;
        }
}

/* OCW2: data sheet, figure 8; bits 7 to 5 rotate, specific, end of interrupt. */
static void end_of_interrupt(struct pic_state *pic, uint8_t value)
{
        bool rotate = value & 0x80, specific = value & 0x40, end = value & 0x20;
        unsigned line = value & 7;
        if (!specific && !end) {
                pic->rotate_on_auto_end = rotate;
                return;
        }
        if (!specific) {
                unsigned distance = priority_of(pic, pic->in_service);
                if (distance == NONE)
                        return;
                line = line_at(pic, distance);
        }
        if (end)
                pic->in_service &= (uint8_t) ~(1 << line);
        if (rotate)
                pic->priority_add = (uint8_t)((line + 1) & 7);
}

static void command(struct pic_state *pic, uint8_t value)
{
        if (value & ICW1) {
                start_initialization(pic, value);
        } else if (value & OCW3) {
                pic->poll = value & OCW3_POLL;
                if (value & OCW3_READ)
                        pic->read_in_service = value & OCW3_READ_IN_SERVICE;
                if (value & OCW3_SET_SPECIAL_MASK)
                        pic->special_mask = value & OCW3_SPECIAL_MASK;
        } else {
                end_of_interrupt(pic, value);
        }
}

static void pic_write(void *device, uint64_t offset, unsigned size, uint64_t value)
{
        struct pic *pic = device;
        (void)size;
        if (!offset)
                command(&pic->state, (uint8_t)value);
        else if (pic->state.init_state)
                initialize(&pic->state, (uint8_t)value);
        else
                pic->state.masked = (uint8_t)value;
        update(pic->pair);
}

static uint64_t pic_read(void *device, uint64_t offset, unsigned size)
{
        struct pic *pic = device;
        struct pic_state *state = &pic->state;
        (void)size;
        if (state->poll) {
                unsigned line;
                state->poll = false;
                take_from(state, pic == &pic->pair->pics[0], &line);
                update(pic->pair);
                return line == NONE ? 0 : POLL_PENDING | line;
        }
        if (offset)
                return state->masked;
        return state->read_in_service ? state->in_service : state->requested;
}

/* Lines 0 to 2, 8 and 13 are the PC's own and edges. */
static const uint8_t may_be_level[2] = { 0xf8, 0xde };

static void level_write(void *device, uint64_t offset, unsigned size, uint64_t value)
{
        struct pic_pair *pair = device;
        for (unsigned i = 0; i < size && offset + i < 2; i++)
                pair->pics[offset + i].state.level = (uint8_t)(value >> 8 * i) & may_be_level[offset + i];
}

static uint64_t level_read(void *device, uint64_t offset, unsigned size)
{
        const struct pic_pair *pair = device;
        uint64_t value = 0;
        for (unsigned i = 0; i < size && offset + i < 2; i++)
                value |= (uint64_t)pair->pics[offset + i].state.level << 8 * i;
        return value;
}

const struct bus_operations pic_operations = { "pic", pic_read, pic_write };
const struct bus_operations pic_level_operations = { "pic levels", level_read, level_write };
