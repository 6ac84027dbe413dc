/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A driver for the tests of virtio devices: a machine of 1 MiB with one device, set up through its registers as a
 * guest does it.
 *
 * driver_start() negotiates and lays out split rings; driver_send() offers one request, whose answer is in the used
 * ring when the device has pushed it. One machine at a time.
 */
#pragma once

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "machine/machine.h"

enum {
        DRIVER_RAM = 0x100000,
        DRIVER_QUEUE_SIZE = 16,
        /* of queue n at DRIVER_RINGS + n * 0x4000: descriptors, then the driver's, then the device's */
        DRIVER_RINGS = 0x10000,
        DRIVER_DATA = 0x80000,

        COMMON_FEATURE_SELECT = 0x00,
        COMMON_FEATURE = 0x04,
        COMMON_GUEST_SELECT = 0x08,
        COMMON_GUEST_FEATURE = 0x0c,
        COMMON_STATUS = 0x14,
        COMMON_QUEUE_SELECT = 0x16,
        COMMON_QUEUE_SIZE = 0x18,
        COMMON_QUEUE_VECTOR = 0x1a,
        COMMON_QUEUE_ENABLE = 0x1c,
        COMMON_QUEUE_DESCRIPTORS = 0x20,
        COMMON_QUEUE_DRIVER = 0x28,
        COMMON_QUEUE_DEVICE = 0x30,
        REGISTERS_DEVICE = 0x2000,
        REGISTERS_NOTIFY = 0x3000,
        STATUS_NEEDS_RESET = 64,
};

struct driver {
        unsigned char ram[DRIVER_RAM] __attribute__((aligned(4096)));
        struct machine machine;
        struct virtio_transport transport;
        uint64_t registers, messages, last_address;
        uint32_t last_data;
        unsigned complaints;
        bool line;
        unsigned end;
        uint16_t offered[8], descriptor[8];
};

static struct driver driver;

static inline void driver_message(void *context, uint64_t address, uint32_t data)
{
        (void)context;
        driver.messages++;
        driver.last_address = address;
        driver.last_data = data;
}

static inline void driver_log(void *context, const char *device, const char *why)
{
        (void)context;
        (void)device;
        (void)why;
        driver.complaints++;
}

static inline void driver_send_console(void *context, const uint8_t *bytes, size_t length)
{
        (void)context;
        (void)bytes;
        (void)length;
}

static inline void driver_room(void *context)
{
        (void)context;
}

static inline void driver_line(void *context, unsigned line, bool raised)
{
        (void)context;
        (void)line;
        driver.line = raised;
}

static inline int64_t driver_wall_clock(void *context)
{
        (void)context;
        return 0;
}

static inline uint64_t driver_clock(void *context)
{
        (void)context;
        return 1000000000;
}

static inline void driver_end(void *context, enum machine_end end, unsigned code)
{
        (void)context;
        (void)code;
        driver.end = end;
}

static inline uint64_t driver_read(uint64_t at, unsigned size)
{
        uint64_t value = 0;
        machine_mmio(&driver.machine, gpa(at), size, false, (uint8_t *)&value);
        return value;
}

static inline void driver_write(uint64_t at, unsigned size, uint64_t value)
{
        machine_mmio(&driver.machine, gpa(at), size, true, (uint8_t *)&value);
}

static inline uint32_t driver_config_read(unsigned slot, unsigned at, unsigned size)
{
        return (uint32_t)driver_read(PCI_ECAM_START + slot * 32768 + at, size);
}

static inline void driver_config_write(unsigned slot, unsigned at, unsigned size, uint32_t value)
{
        driver_write(PCI_ECAM_START + slot * 32768 + at, size, value);
}

/* A machine, with `device` in slot 1 unless it is NULL, whose memory BARs answer. */
static inline void driver_open(struct virtio_device *device)
{
        const struct machine_host host = {
                .context = &driver,
                .console_send = driver_send_console,
                .console_room = driver_room,
                .interrupt_line = driver_line,
                .message_interrupt = driver_message,
                .log = driver_log,
                .wall_clock = driver_wall_clock,
                .clock = driver_clock,
                .end = driver_end,
        };
        memset(&driver, 0, sizeof(driver));
        assert_int_equal(machine_init(&driver.machine, &host), 0);
        assert_int_equal(guest_memory_add(&driver.machine.memory, gpa(0), DRIVER_RAM, driver.ram, GUEST_RAM), 0);
        if (!device)
                return;
        assert_int_equal(machine_add_virtio(&driver.machine, &driver.transport, device), 0);
        driver_config_write(1, 0x04, 2, 6); /* memory, bus master */
        driver.registers = driver_config_read(1, 0x10, 4) & ~15u;
}

static inline void driver_common(unsigned offset, unsigned size, uint64_t value)
{
        driver_write(driver.registers + offset, size, value);
}

static inline uint64_t driver_features(void)
{
        driver_common(COMMON_FEATURE_SELECT, 4, 0);
        uint64_t features = driver_read(driver.registers + COMMON_FEATURE, 4);
        driver_common(COMMON_FEATURE_SELECT, 4, 1);
        return features | driver_read(driver.registers + COMMON_FEATURE, 4) << 32;
}

static inline uint64_t driver_rings(unsigned queue)
{
        return DRIVER_RINGS + queue * 0x4000;
}

/* Negotiates version 1 and `features`, makes `queues` queues ready, sets DRIVER_OK. Returns the status. */
static inline uint64_t driver_start(uint64_t features, unsigned queues)
{
        features |= 1ULL << 32;
        driver_common(COMMON_STATUS, 1, 0);
        driver_common(COMMON_STATUS, 1, 3);
        for (unsigned i = 0; i < 2; i++) {
                driver_common(COMMON_GUEST_SELECT, 4, i);
                driver_common(COMMON_GUEST_FEATURE, 4, (uint32_t)(features >> (32 * i)));
        }
        driver_common(COMMON_STATUS, 1, 11);
        memset(driver.offered, 0, sizeof(driver.offered));
        memset(driver.descriptor, 0, sizeof(driver.descriptor));
        for (unsigned i = 0; i < queues; i++) {
                memset(driver.ram + driver_rings(i), 0, 0x4000);
                driver_common(COMMON_QUEUE_SELECT, 2, i);
                driver_common(COMMON_QUEUE_SIZE, 2, DRIVER_QUEUE_SIZE);
                driver_common(COMMON_QUEUE_DESCRIPTORS, 8, driver_rings(i));
                driver_common(COMMON_QUEUE_DRIVER, 8, driver_rings(i) + 0x1000);
                driver_common(COMMON_QUEUE_DEVICE, 8, driver_rings(i) + 0x2000);
                driver_common(COMMON_QUEUE_ENABLE, 2, 1);
        }
        driver_common(COMMON_STATUS, 1, 15);
        return driver_read(driver.registers + COMMON_STATUS, 1);
}

struct driver_part {
        uint64_t at;
        uint32_t length;
        bool writable;
};

static inline void driver_notify(unsigned queue)
{
        driver_write(driver.registers + REGISTERS_NOTIFY + queue * 4, 2, queue);
}

/* Puts a request of `count` parts onto a queue, without telling the device. */
static inline void driver_offer(unsigned queue, const struct driver_part *parts, unsigned count)
{
        uint64_t rings = driver_rings(queue);
        uint16_t head = driver.descriptor[queue];
        for (unsigned i = 0; i < count; i++) {
                uint16_t index = driver.descriptor[queue]++ % DRIVER_QUEUE_SIZE;
                unsigned char *descriptor = driver.ram + rings + index * 16;
                uint16_t flags = (uint16_t)((i + 1 < count ? 1 : 0) | (parts[i].writable ? 2 : 0));
                uint16_t next = driver.descriptor[queue] % DRIVER_QUEUE_SIZE;
                memcpy(descriptor, &parts[i].at, 8);
                memcpy(descriptor + 8, &parts[i].length, 4);
                memcpy(descriptor + 12, &flags, 2);
                memcpy(descriptor + 14, &next, 2);
        }
        head %= DRIVER_QUEUE_SIZE;
        memcpy(driver.ram + rings + 0x1000 + 4 + driver.offered[queue]++ % DRIVER_QUEUE_SIZE * 2, &head, 2);
        memcpy(driver.ram + rings + 0x1000 + 2, &driver.offered[queue], 2);
}

static inline void driver_send(unsigned queue, const struct driver_part *parts, unsigned count)
{
        driver_offer(queue, parts, count);
        driver_notify(queue);
}

static inline uint16_t driver_used(unsigned queue)
{
        uint16_t used;
        memcpy(&used, driver.ram + driver_rings(queue) + 0x2000 + 2, 2);
        return used;
}

/* Bytes that the device says it wrote for the last answered request. */
static inline uint32_t driver_used_length(unsigned queue)
{
        uint32_t length;
        uint16_t last = (uint16_t)(driver_used(queue) - 1) % DRIVER_QUEUE_SIZE;
        memcpy(&length, driver.ram + driver_rings(queue) + 0x2000 + 4 + last * 8 + 4, 4);
        return length;
}

static inline bool driver_needs_reset(void)
{
        return driver_read(driver.registers + COMMON_STATUS, 1) & STATUS_NEEDS_RESET;
}
