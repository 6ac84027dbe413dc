/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "machine/acpi.h"

#include <errno.h>

#include "machine/aml.h"
#include "machine/cmos.h"
#include "machine/pci.h"
#include "machine/power.h"
#include "machine/serial.h"

enum {
        SERIAL_PORT = 0x3f8,
        SERIAL_LINE = 4,
        CLOCK_LINE = 8,
        TIMER_LINE_OF_IO_APIC = 2, /* a PC wires the timer, line 0, to the IOAPIC's third input */

        ACPI_APIC_ALL = 0xff,      /* no number of one APIC: section 5.2.12.4 */
        GENERATION_CHANGED = 0x80, /* the notification that its specification names */

        TABLES_MAX = 16384,
};

/* Section 5.2.6. */
struct __attribute__((packed)) header {
        char signature[4];
        uint32_t length;
        uint8_t revision, checksum;
        char oem[6], table[8];
        uint32_t oem_revision;
        char creator[4];
        uint32_t creator_revision;
};

/* Section 5.2.5.3. */
struct __attribute__((packed)) root_pointer {
        char signature[8];
        uint8_t checksum;
        char oem[6];
        uint8_t revision;
        uint32_t rsdt, length;
        uint64_t xsdt;
        uint8_t extended_checksum, reserved[3];
};

/* Section 5.2.3.2. */
struct __attribute__((packed)) address {
        uint8_t space, width, offset, access;
        uint64_t at;
};

/* Section 5.2.9. */
struct __attribute__((packed)) fixed_description {
        struct header header;
        uint32_t facs, dsdt;
        uint8_t reserved, profile;
        uint16_t interrupt;
        uint32_t smi_command;
        uint8_t acpi_enable, acpi_disable, s4bios, pstate;
        uint32_t pm1a_event, pm1b_event, pm1a_control, pm1b_control, pm2_control, pm_timer, gpe0, gpe1;
        uint8_t pm1_event_length, pm1_control_length, pm2_control_length, pm_timer_length;
        uint8_t gpe0_length, gpe1_length, gpe1_base, cstate;
        uint16_t c2_latency, c3_latency, flush_size, flush_stride;
        uint8_t duty_offset, duty_width, day_alarm, month_alarm, century;
        uint16_t boot_architecture;
        uint8_t reserved2;
        uint32_t flags;
        struct address reset;
        uint8_t reset_value;
        uint16_t arm_boot;
        uint8_t minor;
        uint64_t x_facs, x_dsdt;
        struct address x_pm1a_event, x_pm1b_event, x_pm1a_control, x_pm1b_control, x_pm2_control, x_pm_timer, x_gpe0,
                x_gpe1;
        struct address sleep_control, sleep_status;
        uint64_t hypervisor;
};

_Static_assert(sizeof(struct fixed_description) == 276, "the size of revision 6");

enum {
        SPACE_PORTS = 1,
        ACCESS_BYTE = 1,
        ACCESS_WORD = 2,
        ACCESS_DWORD = 3,

        BOOT_LEGACY_DEVICES = 1 << 0, /* the serial port */
        BOOT_NO_VGA = 1 << 2,         /* and no keyboard controller: bit 1 is clear */

        FLAG_WBINVD = 1 << 0,
        FLAG_C1 = 1 << 2,
        FLAG_NO_SLEEP_BUTTON = 1 << 5,
        FLAG_RTC_NOT_FIXED = 1 << 6,
        FLAG_TIMER_32 = 1 << 8,
        FLAG_RESET = 1 << 10,

        NO_LATENCY_C2 = 101, /* more than section 5.2.9 allows: no such state */
        NO_LATENCY_C3 = 1001,
};

/* Tables one behind the other in a buffer that goes to ACPI_START as a whole. */
struct tables {
        uint8_t *bytes;
        size_t length;
};

static uint8_t checksum(const uint8_t *bytes, size_t length)
{
        uint8_t sum = 0;
        for (size_t i = 0; i < length; i++)
                sum = (uint8_t)(sum + bytes[i]);
        return (uint8_t)-sum;
}

/* Appends the table whose header is still to be filled in; returns its guest-physical address, or 0 without room. */
static uint32_t append(struct tables *tables, void *table, size_t length, const char *signature, uint8_t revision)
{
        struct header *header = table;
        size_t at = (tables->length + 15) & ~(size_t)15;
        if (at > TABLES_MAX || length > TABLES_MAX - at)
                return 0;
        *header = (struct header){
                .length = (uint32_t)length, .revision = revision, .oem_revision = 1, .creator_revision = 1
        };
        __builtin_memcpy(header->signature, signature, 4);
        __builtin_memcpy(header->oem, "ONGGI ", 6);
        __builtin_memcpy(header->table, "ONGGIVM ", 8);
        __builtin_memcpy(header->creator, "ONGG", 4);
        header->checksum = checksum(table, length);
        __builtin_memcpy(tables->bytes + at, table, length);
        tables->length = at + length;
        return (uint32_t)(ACPI_START + at);
}

/* ---- DSDT: the devices that no bus tells of ---- */

static void put_pci(struct aml *aml)
{
        aml_open_device(aml, "PCI0");
        aml_name_eisa(aml, "_HID", "PNP0A08");
        aml_name_eisa(aml, "_CID", "PNP0A03");
        aml_name_integer(aml, "_BBN", 0);
        aml_name_integer(aml, "_UID", 0);
        aml_open_resources(aml);
        aml_window_buses(aml, 0, 0);
        aml_ports(aml, PCI_PORTS_START, PCI_PORTS_LENGTH);
        aml_window_ports(aml, 0x1000, 0xffff);
        aml_window_memory(aml, (uint32_t)PCI_WINDOW_START, (uint32_t)(PCI_WINDOW_END - 1));
        aml_close_resources(aml);
        aml_close(aml);
}

static void put_isa_device(struct aml *aml, const char *name, const char *identifier, uint16_t ports, uint8_t length,
                           unsigned line)
{
        aml_open_device(aml, name);
        aml_name_eisa(aml, "_HID", identifier);
        aml_name_integer(aml, "_UID", 0);
        aml_open_resources(aml);
        aml_ports(aml, ports, length);
        aml_interrupt(aml, line);
        aml_close_resources(aml);
        aml_close(aml);
}

/*
 * Systems use ECAM only where this device says that nothing else is there: PCI Firmware Specification, section 4.1.2.
 */
static void put_board(struct aml *aml)
{
        aml_open_device(aml, "MBRD");
        aml_name_eisa(aml, "_HID", "PNP0C02");
        aml_name_integer(aml, "_UID", 0);
        aml_open_resources(aml);
        aml_memory(aml, (uint32_t)PCI_ECAM_START, (uint32_t)PCI_ECAM_LENGTH);
        aml_ports(aml, POWER_PORT, POWER_PORTS);
        aml_close_resources(aml);
        aml_close(aml);
}

static void put_processor(struct aml *aml, unsigned number)
{
        static const char digits[] = "0123456789ABCDEF";
        const char name[] = { 'C', '0', digits[number >> 4], digits[number & 15], 0 };
        aml_open_device(aml, name);
        aml_name_text(aml, "_HID", "ACPI0007");
        aml_name_integer(aml, "_UID", number);
        aml_close(aml);
}

/* Tells a guest that it is another than it was: Microsoft, "Virtual Machine Generation ID". */
static void put_generation(struct aml *aml)
{
        aml_open_device(aml, "VGEN");
        aml_name_text(aml, "_HID", "VMGENCTR");
        aml_name_text(aml, "_CID", "VM_Gen_Counter");
        aml_name_text(aml, "_DDN", "VM_Gen_Counter");
        aml_name_pair(aml, "ADDR", ACPI_GENERATION);
        aml_close(aml);
}

static uint32_t append_dsdt(struct tables *tables, unsigned cpus, uint8_t *work)
{
        struct aml aml = { .data = work, .room = TABLES_MAX, .length = sizeof(struct header) };
        static const uint8_t s5[] = { POWER_SLEEP_OFF, 0 };
        aml_name_package(&aml, "_S5_", s5, sizeof(s5));
        aml_open_scope(&aml, "\\_SB_");
        put_pci(&aml);
        put_board(&aml);
        put_isa_device(&aml, "COM1", "PNP0501", SERIAL_PORT, SERIAL_PORTS, SERIAL_LINE);
        put_isa_device(&aml, "RTC0", "PNP0B00", CMOS_PORT, CMOS_PORTS, CLOCK_LINE);
        put_generation(&aml);
        for (unsigned i = 0; i < cpus; i++)
                put_processor(&aml, i);
        aml_close(&aml);
        /* Level-triggered event 0: section 5.6.4.1. */
        aml_open_scope(&aml, "\\_GPE");
        aml_method_notify(&aml, "_L00", "_SB_", "VGEN", GENERATION_CHANGED);
        aml_close(&aml);
        return aml.failed ? 0 : append(tables, work, aml.length, "DSDT", 2);
}

/* ---- The other tables ---- */

static struct address port(uint32_t at, uint8_t width, uint8_t access)
{
        return (struct address){ .space = SPACE_PORTS, .width = width, .access = access, .at = at };
}

static uint32_t append_fadt(struct tables *tables, uint32_t dsdt)
{
        struct fixed_description table = {
                .dsdt = dsdt,
                .x_dsdt = dsdt,
                .interrupt = POWER_LINE,
                .pm1a_event = POWER_PORT + POWER_EVENT,
                .pm1a_control = POWER_PORT + POWER_CONTROL,
                .pm_timer = POWER_PORT + POWER_TIMER,
                .gpe0 = POWER_PORT + POWER_EVENTS,
                .pm1_event_length = 4,
                .pm1_control_length = 2,
                .pm_timer_length = 4,
                .gpe0_length = 2, /* status and enable */
                .c2_latency = NO_LATENCY_C2,
                .c3_latency = NO_LATENCY_C3,
                .century = 0x32,
                .boot_architecture = BOOT_LEGACY_DEVICES | BOOT_NO_VGA,
                .flags = FLAG_WBINVD | FLAG_C1 | FLAG_NO_SLEEP_BUTTON | FLAG_RTC_NOT_FIXED | FLAG_TIMER_32 | FLAG_RESET,
                .reset = port(POWER_PORT + POWER_RESET, 8, ACCESS_BYTE),
                .reset_value = POWER_RESET_VALUE,
                .minor = 4,
                .x_pm1a_event = port(POWER_PORT + POWER_EVENT, 32, ACCESS_WORD),
                .x_pm1a_control = port(POWER_PORT + POWER_CONTROL, 16, ACCESS_WORD),
                .x_pm_timer = port(POWER_PORT + POWER_TIMER, 32, ACCESS_DWORD),
                .x_gpe0 = port(POWER_PORT + POWER_EVENTS, 16, ACCESS_BYTE),
        };
        return append(tables, &table, sizeof(table), "FACP", 6);
}

/* Section 5.2.12: which processors and interrupt controllers there are. */
static uint32_t append_madt(struct tables *tables, const struct topology *topology, uint8_t *work)
{
        enum { ENTRY_LOCAL_APIC = 0, ENTRY_IO_APIC = 1, ENTRY_OVERRIDE = 2, ENTRY_NMI = 4 };
        static const struct {
                uint8_t length, bytes[12];
        } fixed[] = {
                { 8, { 0, 0, 0xe0, 0xfe, 1, 0, 0, 0 } }, /* local APICs at 0xfee00000; a PC's 8259s are there too */
                { 12, { ENTRY_IO_APIC, 12, 0, 0, 0, 0, 0xc0, 0xfe, 0, 0, 0, 0 } }, /* at 0xfec00000, from line 0 */
                { 10, { ENTRY_OVERRIDE, 10, 0, 0, TIMER_LINE_OF_IO_APIC, 0, 0, 0, 0, 0 } },  /* as ISA: edge, high */
                { 10, { ENTRY_OVERRIDE, 10, 0, POWER_LINE, POWER_LINE, 0, 0, 0, 0x0d, 0 } }, /* level, high */
                { 6, { ENTRY_NMI, 6, 0xff, 0, 0, 1 } }, /* of all processors: LINT1 */
        };
        size_t length = sizeof(struct header);
        for (unsigned i = 0; i < sizeof(fixed) / sizeof(fixed[0]); i++) {
                __builtin_memcpy(work + length, fixed[i].bytes, fixed[i].length);
                length += fixed[i].length;
        }
        for (unsigned i = 0; i < topology_cpus(topology); i++) {
                uint8_t apic_id = (uint8_t)topology_apic_id(topology, i);
                const uint8_t entry[] = { ENTRY_LOCAL_APIC, 8, (uint8_t)i, apic_id, 1 /* enabled */, 0, 0, 0 };
                __builtin_memcpy(work + length, entry, sizeof(entry));
                length += sizeof(entry);
        }
        return append(tables, work, length, "APIC", 5);
}

static uint32_t append_mcfg(struct tables *tables)
{
        struct __attribute__((packed)) {
                struct header header;
                uint64_t reserved, base;
                uint16_t segment;
                uint8_t first_bus, last_bus;
                uint32_t reserved2;
        } table = { .base = PCI_ECAM_START };
        return append(tables, &table, sizeof(table), "MCFG", 1);
}

static uint32_t append_xsdt(struct tables *tables, const uint32_t *listed, unsigned count)
{
        struct __attribute__((packed)) {
                struct header header;
                uint64_t tables[4];
        } table = { 0 };
        for (unsigned i = 0; i < count; i++)
                table.tables[i] = listed[i];
        return append(tables, &table, sizeof(struct header) + count * sizeof(uint64_t), "XSDT", 1);
}

int acpi_write(struct guest_memory *memory, const struct topology *topology)
{
        unsigned cpus = topology_cpus(topology);
        uint8_t bytes[TABLES_MAX], work[TABLES_MAX];
        struct tables tables = { .bytes = bytes, .length = sizeof(struct root_pointer) };
        if (!cpus || cpus > ACPI_CPUS_MAX || topology_apic_id(topology, cpus - 1) >= ACPI_APIC_ALL)
                return -EINVAL;
        __builtin_memset(bytes, 0, sizeof(bytes));

        uint32_t dsdt = append_dsdt(&tables, cpus, work);
        const uint32_t listed[] = { append_fadt(&tables, dsdt), append_madt(&tables, topology, work),
                                    append_mcfg(&tables) };
        uint32_t xsdt = append_xsdt(&tables, listed, 3);
        if (!dsdt || !listed[0] || !listed[1] || !listed[2] || !xsdt)
                return -ENOSPC;

        struct root_pointer root = { .revision = 2, .length = sizeof(root), .xsdt = xsdt };
        __builtin_memcpy(root.signature, "RSD PTR ", 8);
        __builtin_memcpy(root.oem, "ONGGI ", 6);
        root.checksum = checksum((const uint8_t *)&root, 20); /* the part of revision 0 */
        root.extended_checksum = checksum((const uint8_t *)&root, sizeof(root));
        __builtin_memcpy(bytes, &root, sizeof(root));
        return guest_memory_write(memory, gpa(ACPI_START), bytes, tables.length);
}
