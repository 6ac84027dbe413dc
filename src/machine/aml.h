/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Writes AML, the byte code of ACPI's definition blocks: ACPI Specification 6.4, chapter 20 (encoding), section 6.4
 * (resources).
 *
 * The bytes go into a buffer of the caller; what is opened is closed in turn. Running out of room, or nesting too
 * deep, is remembered in `failed`. Freestanding.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define AML_DEPTH_MAX 6

struct aml {
        uint8_t *data;
        size_t room, length;
        unsigned depth;
        size_t open[AML_DEPTH_MAX]; /* offsets of the lengths that aml_close() fills in */
        bool failed;
};

void aml_bytes(struct aml *aml, const void *bytes, size_t length);

/* Objects with a name of four letters, the first of them perhaps behind a root sign: "\\_SB_". */
void aml_open_scope(struct aml *aml, const char *name);
void aml_open_device(struct aml *aml, const char *name);
void aml_close(struct aml *aml);

/* Name (<name>, <value>) with an integer, a text, or an identifier such as "PNP0A08" in its compressed form. */
void aml_name_integer(struct aml *aml, const char *name, uint32_t value);
void aml_name_text(struct aml *aml, const char *name, const char *text);
void aml_name_eisa(struct aml *aml, const char *name, const char *identifier);
/* Name (<name>, Package () { <values> }), each at most 255. */
void aml_name_package(struct aml *aml, const char *name, const uint8_t *values, unsigned count);

/* Name (<name>, Package () { <low>, <high> }): a 64-bit number in halves. */
void aml_name_pair(struct aml *aml, const char *name, uint64_t value);
/* Method (<name>) { Notify (\\<scope>.<device>, <event>) }, with names of four letters. */
void aml_method_notify(struct aml *aml, const char *name, const char *scope, const char *device, uint8_t event);

/* Name (_CRS, ResourceTemplate () { ... }) around resources. */
void aml_open_resources(struct aml *aml);
void aml_close_resources(struct aml *aml);
void aml_ports(struct aml *aml, uint16_t start, uint8_t length);
void aml_interrupt(struct aml *aml, unsigned line); /* of the ISA bus: edge, active high */
void aml_memory(struct aml *aml, uint32_t start, uint32_t length);
/* What a bridge hands down. */
void aml_window_buses(struct aml *aml, uint16_t first, uint16_t last);
void aml_window_ports(struct aml *aml, uint16_t first, uint16_t last);
void aml_window_memory(struct aml *aml, uint32_t first, uint32_t last);
