/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "machine/flash.h"

/* Data sheet 290580, table 3. */
enum {
        PROGRAM = 0x10,
        PROGRAM_ALSO = 0x40,
        ERASE = 0x20,
        ERASE_CONFIRM = 0xd0,
        CLEAR_STATUS = 0x50,
        READ_STATUS = 0x70,

        STATUS_READY = 0x80,
};

void flash_init(struct flash *flash, struct guest_memory *memory, gpa_t start, void *bytes, uint64_t length)
{
        *flash = (struct flash){ .memory = memory, .start = start, .bytes = bytes, .length = length };
}

static void show_array(struct flash *flash)
{
        if (flash->shows_status)
                flash->bytes[flash->status_at] = flash->hidden;
        flash->shows_status = false;
}

static void show_status(struct flash *flash, uint64_t at)
{
        flash->shows_status = true;
        flash->status_at = at;
        flash->hidden = flash->bytes[at];
        flash->bytes[at] = flash->status;
}

static void changed(struct flash *flash, uint64_t at, uint64_t length)
{
        flash->status = STATUS_READY;
        guest_memory_wrote(flash->memory, gpa(flash->start.at + at), length);
}

static void complete(struct flash *flash, uint8_t command, uint64_t at, uint8_t value)
{
        if (command != ERASE) {
                flash->bytes[at] &= value; /* programming clears bits; only erasing sets them */
                changed(flash, at, 1);
        } else if (value == ERASE_CONFIRM) {
                uint64_t block = at & ~(uint64_t)(FLASH_BLOCK - 1);
                __builtin_memset(flash->bytes + block, 0xff, FLASH_BLOCK);
                changed(flash, block, FLASH_BLOCK);
        }
}

static void write_flash(void *device, uint64_t offset, unsigned size, uint64_t value)
{
        struct flash *flash = device;
        uint8_t byte = (uint8_t)value, command = flash->command;
        if (size != 1)
                return;
        show_array(flash);
        flash->command = 0;
        if (command) {
                complete(flash, command, offset, byte);
                return;
        }
        switch (byte) {
        case PROGRAM:
        case PROGRAM_ALSO:
        case ERASE: flash->command = byte; break;
        case CLEAR_STATUS: flash->status = 0; break;
        case READ_STATUS: show_status(flash, offset); break;
        default: break;
        }
}

/* Reads are of memory and come here only from engines that have none. */
static uint64_t read_flash(void *device, uint64_t offset, unsigned size)
{
        const struct flash *flash = device;
        uint64_t value = 0;
        __builtin_memcpy(&value, flash->bytes + offset, size);
        return value;
}

const struct bus_operations flash_operations = { "flash", read_flash, write_flash };
