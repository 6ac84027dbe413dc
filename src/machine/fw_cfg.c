/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "machine/fw_cfg.h"

#include <errno.h>

enum {
        /* offsets of the ports */
        SELECTOR = 0,
        DATA = 1,
        REQUEST_HIGH = 4,
        REQUEST_LOW = 8,

        FEATURE_PORTS = 1,
        FEATURE_DMA = 2,

        /* of a request's control word */
        CONTROL_ERROR = 1,
        CONTROL_READ = 2,
        CONTROL_SKIP = 4,
        CONTROL_SELECT = 8,
        CONTROL_WRITE = 16,

        DIRECTORY_ENTRY = 64, /* length, key, two bytes, name */
        ZEROS = 256,
};

static void put_big(uint8_t *bytes, uint64_t value, unsigned size)
{
        for (unsigned i = 0; i < size; i++)
                bytes[i] = (uint8_t)(value >> (8 * (size - 1 - i)));
}

static uint64_t get_big(const uint8_t *bytes, unsigned size)
{
        uint64_t value = 0;
        for (unsigned i = 0; i < size; i++)
                value = value << 8 | bytes[i];
        return value;
}

/* ---- Items ---- */

int fw_cfg_add(struct fw_cfg *fw_cfg, uint16_t key, const void *bytes, uint32_t length)
{
        if (fw_cfg->count == FW_CFG_ITEMS_MAX)
                return -ENOSPC;
        fw_cfg->items[fw_cfg->count++] = (struct fw_cfg_item){ .key = key, .bytes = bytes, .length = length };
        return 0;
}

int fw_cfg_add_number(struct fw_cfg *fw_cfg, uint16_t key, uint64_t value, unsigned size)
{
        int r = fw_cfg_add(fw_cfg, key, NULL, size);
        if (!r)
                __builtin_memcpy(fw_cfg->items[fw_cfg->count - 1].small, &value, sizeof(value));
        return r;
}

/* The directory's entry of the item that was added last. */
static int name_last(struct fw_cfg *fw_cfg, const char *name)
{
        const struct fw_cfg_item *item = &fw_cfg->items[fw_cfg->count - 1];
        size_t length = __builtin_strlen(name);
        uint8_t *entry = fw_cfg->directory + 4 + fw_cfg->files * (size_t)DIRECTORY_ENTRY;
        if (length >= FW_CFG_NAME)
                return -ENOSPC;
        put_big(entry, item->length, 4);
        put_big(entry + 4, item->key, 2);
        __builtin_memcpy(entry + 8, name, length + 1);
        put_big(fw_cfg->directory, ++fw_cfg->files, 4);
        return 0;
}

int fw_cfg_add_file(struct fw_cfg *fw_cfg, const char *name, const void *bytes, uint32_t length)
{
        int r = fw_cfg_add(fw_cfg, (uint16_t)(FW_CFG_FILE_FIRST + fw_cfg->files), bytes, length);
        return r < 0 ? r : name_last(fw_cfg, name);
}

int fw_cfg_add_file_number(struct fw_cfg *fw_cfg, const char *name, uint64_t value, unsigned size)
{
        int r = fw_cfg_add_number(fw_cfg, (uint16_t)(FW_CFG_FILE_FIRST + fw_cfg->files), value, size);
        return r < 0 ? r : name_last(fw_cfg, name);
}

void fw_cfg_init(struct fw_cfg *fw_cfg, struct guest_memory *memory)
{
        *fw_cfg = (struct fw_cfg){ .memory = memory };
        fw_cfg_add(fw_cfg, FW_CFG_SIGNATURE, "QEMU", 4);
        fw_cfg_add_number(fw_cfg, FW_CFG_ID, FEATURE_PORTS | FEATURE_DMA, 4);
        fw_cfg_add(fw_cfg, FW_CFG_DIRECTORY, fw_cfg->directory, sizeof(fw_cfg->directory));
}

/* ---- Reading ---- */

static void select_item(struct fw_cfg *fw_cfg, uint16_t key)
{
        fw_cfg->selected = key;
        fw_cfg->offset = 0;
}

/* What is left of the selected item; behind its end, and of an item that there is not, zeros are read. */
static const uint8_t *rest(const struct fw_cfg *fw_cfg, uint32_t *length)
{
        for (unsigned i = 0; i < fw_cfg->count; i++) {
                const struct fw_cfg_item *item = &fw_cfg->items[i];
                if (item->key != fw_cfg->selected || fw_cfg->offset >= item->length)
                        continue;
                *length = item->length - fw_cfg->offset;
                return (item->bytes ? (const uint8_t *)item->bytes : item->small) + fw_cfg->offset;
        }
        *length = 0;
        return NULL;
}

static void advance(struct fw_cfg *fw_cfg, uint32_t length)
{
        if (__builtin_add_overflow(fw_cfg->offset, length, &fw_cfg->offset))
                fw_cfg->offset = UINT32_MAX;
}

static uint8_t next_byte(struct fw_cfg *fw_cfg)
{
        uint32_t length;
        const uint8_t *bytes = rest(fw_cfg, &length);
        advance(fw_cfg, 1);
        return bytes ? *bytes : 0;
}

static int write_zeros(struct guest_memory *memory, uint64_t at, uint32_t length)
{
        static const uint8_t zeros[ZEROS];
        while (length) {
                uint32_t part = length < ZEROS ? length : ZEROS;
                if (guest_memory_write(memory, gpa(at), zeros, part) < 0)
                        return -EFAULT;
                at += part;
                length -= part;
        }
        return 0;
}

static bool transfer(struct fw_cfg *fw_cfg, uint32_t control, uint64_t to, uint32_t length)
{
        uint32_t left;
        const uint8_t *bytes = rest(fw_cfg, &left);
        uint32_t part = left < length ? left : length;
        advance(fw_cfg, length);
        if (control & CONTROL_READ)
                return !(part && guest_memory_write(fw_cfg->memory, gpa(to), bytes, part) < 0) &&
                       !write_zeros(fw_cfg->memory, to + part, length - part);
        return (control & CONTROL_SKIP) || !(control & CONTROL_WRITE) || !length; /* nothing here may be written */
}

/* The request: control, length, address, all big-endian. Its control word becomes 0, or the error. */
static void serve_request(struct fw_cfg *fw_cfg)
{
        uint8_t request[16], answer[4];
        uint64_t at = fw_cfg->request;
        fw_cfg->request = 0;
        if (guest_memory_read(fw_cfg->memory, gpa(at), request, sizeof(request)) < 0)
                return;
        uint32_t control = (uint32_t)get_big(request, 4);
        if (control & CONTROL_SELECT)
                select_item(fw_cfg, (uint16_t)(control >> 16));
        bool done = transfer(fw_cfg, control, get_big(request + 8, 8), (uint32_t)get_big(request + 4, 4));
        put_big(answer, done ? 0 : CONTROL_ERROR, sizeof(answer));
        (void)guest_memory_write(fw_cfg->memory, gpa(at), answer, sizeof(answer));
}

/* ---- The ports ---- */

static uint64_t read_port(void *device, uint64_t offset, unsigned size)
{
        static const uint8_t signature[8] = "QEMU CFG";
        struct fw_cfg *fw_cfg = device;
        if (offset == DATA && size == 1)
                return next_byte(fw_cfg);
        uint64_t value = 0;
        for (unsigned i = 0; i < size && offset >= REQUEST_HIGH; i++)
                value |= (uint64_t)signature[(offset - REQUEST_HIGH + i) & 7] << (8 * i);
        return value;
}

static void write_port(void *device, uint64_t offset, unsigned size, uint64_t value)
{
        struct fw_cfg *fw_cfg = device;
        if (offset == SELECTOR && size == 2)
                select_item(fw_cfg, (uint16_t)value);
        if (offset == REQUEST_HIGH && size == 4)
                fw_cfg->request = (uint64_t)__builtin_bswap32((uint32_t)value) << 32;
        if (offset == REQUEST_LOW && size == 4) {
                fw_cfg->request |= __builtin_bswap32((uint32_t)value);
                serve_request(fw_cfg);
        }
}

const struct bus_operations fw_cfg_operations = { "fw_cfg", read_port, write_port };
