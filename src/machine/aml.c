/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "machine/aml.h"

/* ACPI 6.4, section 20.3. */
enum {
        OP_NAME = 0x08,
        OP_BYTE = 0x0a,
        OP_WORD = 0x0b,
        OP_DWORD = 0x0c,
        OP_STRING = 0x0d,
        OP_SCOPE = 0x10,
        OP_BUFFER = 0x11,
        OP_PACKAGE = 0x12,
        OP_METHOD = 0x14,
        OP_DUAL_NAME = 0x2e,
        OP_EXTENDED = 0x5b,
        OP_DEVICE = 0x82, /* behind OP_EXTENDED */
        OP_NOTIFY = 0x86,

        LENGTH_SIZE = 3, /* a package length of 20 bits: section 20.2.4 */
};

static void put(struct aml *aml, uint64_t value, unsigned size)
{
        for (unsigned i = 0; i < size; i++) {
                if (aml->length == aml->room) {
                        aml->failed = true;
                        return;
                }
                aml->data[aml->length++] = (uint8_t)(value >> (8 * i));
        }
}

void aml_bytes(struct aml *aml, const void *bytes, size_t length)
{
        for (size_t i = 0; i < length; i++)
                put(aml, ((const uint8_t *)bytes)[i], 1);
}

static void put_text(struct aml *aml, const char *text)
{
        aml_bytes(aml, text, __builtin_strlen(text));
}

/* The length counts from its own first byte. */
static void open_length(struct aml *aml)
{
        if (aml->depth == AML_DEPTH_MAX) {
                aml->failed = true;
                return;
        }
        aml->open[aml->depth++] = aml->length;
        put(aml, 0, LENGTH_SIZE);
}

void aml_close(struct aml *aml)
{
        if (aml->failed || !aml->depth)
                return;
        size_t at = aml->open[--aml->depth], length = aml->length - at;
        aml->data[at] = (uint8_t)((LENGTH_SIZE - 1) << 6 | (length & 0xf));
        aml->data[at + 1] = (uint8_t)(length >> 4);
        aml->data[at + 2] = (uint8_t)(length >> 12);
}

void aml_open_scope(struct aml *aml, const char *name)
{
        put(aml, OP_SCOPE, 1);
        open_length(aml);
        put_text(aml, name);
}

void aml_open_device(struct aml *aml, const char *name)
{
        put(aml, OP_EXTENDED, 1);
        put(aml, OP_DEVICE, 1);
        open_length(aml);
        put_text(aml, name);
}

static void put_name(struct aml *aml, const char *name)
{
        put(aml, OP_NAME, 1);
        put_text(aml, name);
}

void aml_name_integer(struct aml *aml, const char *name, uint32_t value)
{
        put_name(aml, name);
        put(aml, OP_DWORD, 1);
        put(aml, value, 4);
}

void aml_name_text(struct aml *aml, const char *name, const char *text)
{
        put_name(aml, name);
        put(aml, OP_STRING, 1);
        put_text(aml, text);
        put(aml, 0, 1);
}

/* Section 19.6.37: three letters of five bits and four hexadecimal digits, the highest byte first. */
void aml_name_eisa(struct aml *aml, const char *name, const char *identifier)
{
        uint32_t value = 0;
        for (unsigned i = 0; i < 3; i++)
                value = value << 5 | ((uint32_t)(identifier[i] - 'A' + 1) & 0x1f);
        for (unsigned i = 3; i < 7; i++) {
                char digit = identifier[i];
                value = value << 4 | (uint32_t)(digit <= '9' ? digit - '0' : digit - 'A' + 10);
        }
        aml_name_integer(aml, name, __builtin_bswap32(value));
}

void aml_name_package(struct aml *aml, const char *name, const uint8_t *values, unsigned count)
{
        put_name(aml, name);
        put(aml, OP_PACKAGE, 1);
        open_length(aml);
        put(aml, count, 1);
        for (unsigned i = 0; i < count; i++) {
                put(aml, OP_BYTE, 1);
                put(aml, values[i], 1);
        }
        aml_close(aml);
}

void aml_name_pair(struct aml *aml, const char *name, uint64_t value)
{
        put_name(aml, name);
        put(aml, OP_PACKAGE, 1);
        open_length(aml);
        put(aml, 2, 1);
        for (unsigned i = 0; i < 2; i++) {
                put(aml, OP_DWORD, 1);
                put(aml, value >> (32 * i), 4);
        }
        aml_close(aml);
}

void aml_method_notify(struct aml *aml, const char *name, const char *scope, const char *device, uint8_t event)
{
        put(aml, OP_METHOD, 1);
        open_length(aml);
        put_text(aml, name);
        put(aml, 0, 1); /* no arguments, not serialized */
        put(aml, OP_NOTIFY, 1);
        put_text(aml, "\\");
        put(aml, OP_DUAL_NAME, 1);
        put_text(aml, scope);
        put_text(aml, device);
        put(aml, OP_BYTE, 1);
        put(aml, event, 1);
        aml_close(aml);
}

/* ---- Resources: section 6.4 ---- */

void aml_open_resources(struct aml *aml)
{
        put_name(aml, "_CRS");
        put(aml, OP_BUFFER, 1);
        open_length(aml);
        put(aml, OP_WORD, 1);
        put(aml, 0, 2); /* the buffer's size, filled in at its end */
}

void aml_close_resources(struct aml *aml)
{
        static const uint8_t end_tag[] = { 0x79, 0 }; /* with no checksum */
        aml_bytes(aml, end_tag, sizeof(end_tag));
        if (aml->failed || !aml->depth)
                return;
        size_t size_at = aml->open[aml->depth - 1] + LENGTH_SIZE + 1;
        size_t size = aml->length - size_at - 2;
        aml->data[size_at] = (uint8_t)size;
        aml->data[size_at + 1] = (uint8_t)(size >> 8);
        aml_close(aml);
}

void aml_ports(struct aml *aml, uint16_t start, uint8_t length)
{
        put(aml, 0x47, 1); /* I/O port descriptor */
        put(aml, 1, 1);    /* decodes 16 bits */
        put(aml, start, 2);
        put(aml, start, 2);
        put(aml, 1, 1);
        put(aml, length, 1);
}

void aml_interrupt(struct aml *aml, unsigned line)
{
        put(aml, 0x22, 1); /* IRQ descriptor without flags */
        put(aml, 1u << line, 2);
}

void aml_memory(struct aml *aml, uint32_t start, uint32_t length)
{
        put(aml, 0x86, 1); /* 32-bit fixed memory range */
        put(aml, 9, 2);
        put(aml, 1, 1); /* writable */
        put(aml, start, 4);
        put(aml, length, 4);
}

/* Address space descriptor of 16 or 32 bits: section 6.4.3.5. */
static void window(struct aml *aml, uint8_t tag, unsigned size, uint8_t type, uint8_t specific, uint32_t first,
                   uint32_t last)
{
        put(aml, tag, 1);
        put(aml, 3 + 5 * size, 2);
        put(aml, type, 1);
        put(aml, 0x0c, 1); /* produced, both ends fixed, decoded positively */
        put(aml, specific, 1);
        put(aml, 0, size); /* granularity */
        put(aml, first, size);
        put(aml, last, size);
        put(aml, 0, size); /* no translation */
        put(aml, (uint64_t)last - first + 1, size);
}

void aml_window_buses(struct aml *aml, uint16_t first, uint16_t last)
{
        window(aml, 0x88, 2, 2, 0, first, last);
}

void aml_window_ports(struct aml *aml, uint16_t first, uint16_t last)
{
        window(aml, 0x88, 2, 1, 3 /* the whole range */, first, last);
}

void aml_window_memory(struct aml *aml, uint32_t first, uint32_t last)
{
        window(aml, 0x87, 4, 0, 1 /* writable, not cacheable */, first, last);
}
