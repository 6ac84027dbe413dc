/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "machine/virtio/transport_pci.h"

#include <errno.h>

enum {
        VENDOR = 0x1af4, /* section 4.1.2 */
        DEVICE_BASE = 0x1040,
        CAPABILITY_VENDOR = 0x09,
        CAPABILITY_LENGTH = 16, /* struct virtio_pci_cap: section 4.1.4 */

        CFG_COMMON = 1,
        CFG_NOTIFY = 2,
        CFG_ISR = 3,
        CFG_DEVICE = 4,
        CFG_PORTAL = 5, /* VIRTIO_PCI_CAP_PCI_CFG */
        PORTAL_BAR = 4, /* fields of struct virtio_pci_cfg_cap: section 4.1.4.9 */
        PORTAL_OFFSET = 8,
        PORTAL_LENGTH = 12,
        PORTAL_DATA = 16,

        BAR_REGISTERS = 0,
        BAR_MSIX = 1,
        REGISTERS_LENGTH = 0x4000,
        AT_COMMON = 0x0000,
        AT_ISR = 0x1000,
        AT_DEVICE = 0x2000,
        AT_NOTIFY = 0x3000,
        PART_LENGTH = 0x1000,
        NOTIFY_MULTIPLIER = 4,

        NO_VECTOR = 0xffff,

        STATUS_FEATURES_OK = 8, /* section 2.1 */
        STATUS_DRIVER_OK = 4,
        STATUS_NEEDS_RESET = 64,

        ISR_QUEUE = 1,
        ISR_CONFIG = 2,
};

/* Section 6: what the transport and the queues bring to every device. */
#define FEATURE_INDIRECT      (1ULL << 28)
#define FEATURE_EVENT_INDEX   (1ULL << 29)
#define FEATURE_VERSION_1     (1ULL << 32)
#define FEATURE_PACKED        (1ULL << 34)
#define FEATURES_OF_TRANSPORT (FEATURE_INDIRECT | FEATURE_EVENT_INDEX | FEATURE_VERSION_1 | FEATURE_PACKED)

static uint64_t offered(const struct virtio_transport *transport)
{
        return transport->device->operations->features(transport->device) | FEATURES_OF_TRANSPORT;
}

/* ---- Interrupts ---- */

void virtio_signal_queue(struct virtio_device *device, unsigned index)
{
        struct virtio_transport *transport = device->transport;
        transport->isr |= ISR_QUEUE;
        pci_interrupt(&transport->pci, transport->queue_vectors[index]);
}

void virtio_interrupt_queue(struct virtio_device *device, unsigned index)
{
        if (virtqueue_should_interrupt(&device->queues[index]))
                virtio_signal_queue(device, index);
}

void virtio_interrupt_config(struct virtio_device *device)
{
        struct virtio_transport *transport = device->transport;
        if (!(transport->status & STATUS_DRIVER_OK))
                return;
        transport->config_generation++;
        transport->isr |= ISR_CONFIG;
        pci_interrupt(&transport->pci, transport->config_vector);
}

void virtio_break(struct virtio_device *device, const char *why)
{
        struct virtio_transport *transport = device->transport;
        if (transport->status & STATUS_NEEDS_RESET)
                return;
        transport->owner.log(transport->owner.owner, device->operations->name, why);
        transport->status |= STATUS_NEEDS_RESET;
        virtio_interrupt_config(device);
}

/* ---- Status and queues ---- */

static void reset(struct virtio_transport *transport)
{
        struct virtio_device *device = transport->device;
        device->operations->reset(device);
        for (unsigned i = 0; i < device->queue_count; i++) {
                virtqueue_reset(&device->queues[i]);
                transport->queue_vectors[i] = NO_VECTOR;
        }
        transport->status = transport->isr = 0;
        transport->driver_features = 0;
        transport->config_vector = NO_VECTOR;
        transport->queue_select = 0;
}

static void write_status(struct virtio_transport *transport, uint8_t value)
{
        struct virtio_device *device = transport->device;
        if (!value) {
                reset(transport);
                return;
        }
        /* Section 2.1.1: a driver only ever adds bits; FEATURES_OK stays off when it took what was not offered. */
        uint8_t added = value & (uint8_t)~transport->status & (uint8_t)~STATUS_NEEDS_RESET;
        bool sound =
                !(transport->driver_features & ~offered(transport)) && (transport->driver_features & FEATURE_VERSION_1);
        if ((added & STATUS_FEATURES_OK) && !sound)
                added &= (uint8_t)~STATUS_FEATURES_OK;
        if (!((transport->status | added) & STATUS_FEATURES_OK))
                added &= (uint8_t)~STATUS_DRIVER_OK;
        transport->status |= added;
        if ((added & STATUS_DRIVER_OK) && device->operations->start)
                device->operations->start(device, transport->driver_features);
}

static struct virtqueue *selected_queue(struct virtio_transport *transport)
{
        struct virtio_device *device = transport->device;
        return transport->queue_select < device->queue_count ? &device->queues[transport->queue_select] : NULL;
}

static void enable_queue(struct virtio_transport *transport, struct virtqueue *queue)
{
        /* The form of the rings follows from the features: they must be settled, section 3.1.1. */
        if (queue->ready || !(transport->status & STATUS_FEATURES_OK))
                return;
        queue->packed = transport->driver_features & FEATURE_PACKED;
        queue->event_index = transport->driver_features & FEATURE_EVENT_INDEX;
        queue->indirect = transport->driver_features & FEATURE_INDIRECT;
        if (virtqueue_enable(queue) < 0)
                virtio_break(transport->device,
                             "the driver laid a queue outside memory, or gave it an impossible size");
}

/* ---- Common configuration: section 4.1.4.3 ---- */

/* Offsets of struct virtio_pci_common_cfg. */
enum {
        COMMON_DEVICE_FEATURE_SELECT = 0x00,
        COMMON_DEVICE_FEATURE = 0x04,
        COMMON_DRIVER_FEATURE_SELECT = 0x08,
        COMMON_DRIVER_FEATURE = 0x0c,
        COMMON_CONFIG_VECTOR = 0x10,
        COMMON_NUM_QUEUES = 0x12,
        COMMON_STATUS = 0x14,
        COMMON_GENERATION = 0x15,
        COMMON_QUEUE_SELECT = 0x16,
        COMMON_QUEUE_SIZE = 0x18,
        COMMON_QUEUE_VECTOR = 0x1a,
        COMMON_QUEUE_ENABLE = 0x1c,
        COMMON_QUEUE_NOTIFY_OFFSET = 0x1e,
        COMMON_QUEUE_DESCRIPTORS = 0x20,
        COMMON_QUEUE_DRIVER = 0x28,
        COMMON_QUEUE_DEVICE = 0x30,
        COMMON_END = 0x38,
};

/* The half that a select register points to; words from 2 on do not exist. */
static uint32_t half(uint64_t value, uint32_t select)
{
        return select > 1 ? 0 : (uint32_t)(value >> (32 * select));
}

static uint64_t address_part(uint64_t value, unsigned offset, unsigned size)
{
        return size == 8 ? value : (uint32_t)(value >> (offset & 4 ? 32 : 0));
}

static uint64_t common_read(struct virtio_transport *transport, unsigned offset, unsigned size)
{
        const struct virtqueue *queue = selected_queue(transport);
        switch (offset) {
        case COMMON_DEVICE_FEATURE_SELECT: return transport->device_feature_select;
        case COMMON_DEVICE_FEATURE: return half(offered(transport), transport->device_feature_select);
        case COMMON_DRIVER_FEATURE_SELECT: return transport->driver_feature_select;
        case COMMON_DRIVER_FEATURE: return half(transport->driver_features, transport->driver_feature_select);
        case COMMON_CONFIG_VECTOR: return transport->config_vector;
        case COMMON_NUM_QUEUES: return transport->device->queue_count;
        case COMMON_STATUS: return transport->status;
        case COMMON_GENERATION: return transport->config_generation;
        case COMMON_QUEUE_SELECT: return transport->queue_select;
        default: break;
        }
        if (!queue)
                return 0; /* a queue size of 0 says that it does not exist */
        switch (offset) {
        case COMMON_QUEUE_SIZE: return queue->size;
        case COMMON_QUEUE_VECTOR: return transport->queue_vectors[transport->queue_select];
        case COMMON_QUEUE_ENABLE: return queue->ready;
        case COMMON_QUEUE_NOTIFY_OFFSET: return transport->queue_select;
        case COMMON_QUEUE_DESCRIPTORS:
        case COMMON_QUEUE_DESCRIPTORS + 4: return address_part(queue->descriptors, offset, size);
        case COMMON_QUEUE_DRIVER:
        case COMMON_QUEUE_DRIVER + 4: return address_part(queue->driver, offset, size);
        case COMMON_QUEUE_DEVICE:
        case COMMON_QUEUE_DEVICE + 4: return address_part(queue->device, offset, size);
        default: return 0;
        }
}

static void set_address_part(uint64_t *address, unsigned offset, unsigned size, uint64_t value)
{
        if (size == 8)
                *address = value;
        else if (offset & 4)
                *address = (*address & 0xffffffffULL) | value << 32;
        else
                *address = (*address & ~0xffffffffULL) | (uint32_t)value;
}

/* Section 4.1.5.1.2: a vector that the device does not have reads back as none. */
static uint16_t checked_vector(const struct virtio_transport *transport, uint64_t vector)
{
        return vector < transport->pci.vector_count ? (uint16_t)vector : NO_VECTOR;
}

static void queue_write(struct virtio_transport *transport, struct virtqueue *queue, unsigned offset, unsigned size,
                        uint64_t value)
{
        /* Section 4.1.4.3.2: a queue's place and size are set before it is enabled, not while it is in use. */
        if (queue->ready && offset != COMMON_QUEUE_VECTOR)
                return;
        switch (offset) {
        case COMMON_QUEUE_SIZE: queue->size = (uint16_t)value; break;
        case COMMON_QUEUE_VECTOR:
                transport->queue_vectors[transport->queue_select] = checked_vector(transport, value);
                break;
        case COMMON_QUEUE_ENABLE:
                if (value == 1)
                        enable_queue(transport, queue);
                break;
        case COMMON_QUEUE_DESCRIPTORS:
        case COMMON_QUEUE_DESCRIPTORS + 4: set_address_part(&queue->descriptors, offset, size, value); break;
        case COMMON_QUEUE_DRIVER:
        case COMMON_QUEUE_DRIVER + 4: set_address_part(&queue->driver, offset, size, value); break;
        case COMMON_QUEUE_DEVICE:
        case COMMON_QUEUE_DEVICE + 4: set_address_part(&queue->device, offset, size, value); break;
        default: break;
        }
}

static void common_write(struct virtio_transport *transport, unsigned offset, unsigned size, uint64_t value)
{
        struct virtqueue *queue = selected_queue(transport);
        switch (offset) {
        case COMMON_DEVICE_FEATURE_SELECT: transport->device_feature_select = (uint32_t)value; break;
        case COMMON_DRIVER_FEATURE_SELECT: transport->driver_feature_select = (uint32_t)value; break;
        case COMMON_DRIVER_FEATURE:
                /* Features are settled with FEATURES_OK: section 3.1.1. */
                if (transport->driver_feature_select < 2 && !(transport->status & STATUS_FEATURES_OK)) {
                        unsigned shift = 32 * transport->driver_feature_select;
                        transport->driver_features &= ~(0xffffffffULL << shift);
                        transport->driver_features |= (uint64_t)(uint32_t)value << shift;
                }
                break;
        case COMMON_CONFIG_VECTOR: transport->config_vector = checked_vector(transport, value); break;
        case COMMON_STATUS: write_status(transport, (uint8_t)value); break;
        case COMMON_QUEUE_SELECT: transport->queue_select = (uint16_t)value; break;
        default:
                if (queue)
                        queue_write(transport, queue, offset, size, value);
                break;
        }
}

/* ---- The BAR ---- */

static bool device_config(const struct virtio_transport *transport, unsigned offset, unsigned size)
{
        unsigned length = transport->device->operations->config_length;
        return offset < length && size <= length - offset;
}

static uint64_t registers_read(void *owner, uint64_t offset, unsigned size)
{
        struct virtio_transport *transport = owner;
        struct virtio_device *device = transport->device;
        uint64_t value = 0;
        unsigned at = (unsigned)offset & (PART_LENGTH - 1);
        switch (offset & ~(uint64_t)(PART_LENGTH - 1)) {
        case AT_COMMON: return common_read(transport, at, size);
        case AT_ISR:
                /* Reading it acknowledges: section 4.1.4.5. */
                value = at ? 0 : transport->isr;
                transport->isr = at ? transport->isr : 0;
                return value;
        case AT_DEVICE:
                if (device_config(transport, at, size))
                        device->operations->config_read(device, at, &value, size);
                return value;
        default: return 0;
        }
}

void virtio_pci_notify(struct virtio_transport *transport, unsigned index)
{
        struct virtio_device *device = transport->device;
        if (index < device->queue_count && device->queues[index].ready && (transport->status & STATUS_DRIVER_OK) &&
            !(transport->status & STATUS_NEEDS_RESET))
                device->operations->notify(device, index);
}

static void registers_write(void *owner, uint64_t offset, unsigned size, uint64_t value)
{
        struct virtio_transport *transport = owner;
        struct virtio_device *device = transport->device;
        unsigned at = (unsigned)offset & (PART_LENGTH - 1);
        switch (offset & ~(uint64_t)(PART_LENGTH - 1)) {
        case AT_COMMON: common_write(transport, at, size, value); break;
        case AT_DEVICE:
                if (device_config(transport, at, size) && device->operations->config_write)
                        device->operations->config_write(device, at, &value, size);
                break;
        case AT_NOTIFY: virtio_pci_notify(transport, at / NOTIFY_MULTIPLIER); break;
        default: break;
        }
}

static const struct bus_operations registers_operations = { "virtio", registers_read, registers_write };

/* ---- The registers through configuration space: section 4.1.4.9 ---- */

static uint32_t get_u32(const uint8_t *config, unsigned at)
{
        return config[at] | (uint32_t)config[at + 1] << 8 | (uint32_t)config[at + 2] << 16 |
               (uint32_t)config[at + 3] << 24;
}

static void put_u32(uint8_t *config, unsigned at, uint32_t value)
{
        for (unsigned i = 0; i < 4; i++)
                config[at + i] = (uint8_t)(value >> (8 * i));
}

static void pass(void *owner, bool write)
{
        struct virtio_transport *transport = owner;
        uint8_t *config = transport->pci.config;
        uint32_t offset = get_u32(config, transport->portal + PORTAL_OFFSET);
        uint32_t length = get_u32(config, transport->portal + PORTAL_LENGTH);
        bool sound = config[transport->portal + PORTAL_BAR] == BAR_REGISTERS &&
                     (length == 1 || length == 2 || length == 4) && !(offset % length) && offset < REGISTERS_LENGTH;
        if (!sound)
                return;
        if (write)
                registers_write(transport, offset, length,
                                get_u32(config, transport->portal + PORTAL_DATA) & (UINT32_MAX >> (32 - 8 * length)));
        else
                put_u32(config, transport->portal + PORTAL_DATA, (uint32_t)registers_read(transport, offset, length));
}

static void registers_moved(void *owner, bool mapped, uint64_t at)
{
        struct virtio_transport *transport = owner;
        for (unsigned i = 0; i < transport->device->queue_count; i++)
                transport->owner.doorbell(transport->owner.owner, transport, i, at + AT_NOTIFY + i * NOTIFY_MULTIPLIER,
                                          mapped);
}

/* ---- Putting it on the bus ---- */

/* struct virtio_pci_cap: section 4.1.4. Returns its offset, or -ENOSPC. */
static int add_part(struct virtio_transport *transport, uint8_t type, uint32_t offset, uint32_t length, unsigned extra)
{
        int at = pci_add_capability(&transport->pci, CAPABILITY_VENDOR, CAPABILITY_LENGTH + extra);
        if (at < 0)
                return at;
        uint8_t *config = transport->pci.config;
        config[at + 2] = (uint8_t)(CAPABILITY_LENGTH + extra);
        config[at + 3] = type;
        config[at + 4] = BAR_REGISTERS;
        put_u32(config, (unsigned)at + 8, offset);
        put_u32(config, (unsigned)at + 12, length);
        return at;
}

static int add_portal(struct virtio_transport *transport)
{
        int at = add_part(transport, CFG_PORTAL, 0, 0, 4);
        if (at < 0)
                return at;
        /* The driver writes where to (BAR, offset, length) and what. */
        uint8_t *writable = transport->pci.writable + at;
        writable[PORTAL_BAR] = 0xff;
        put_u32(writable, PORTAL_OFFSET, UINT32_MAX);
        put_u32(writable, PORTAL_LENGTH, UINT32_MAX);
        put_u32(writable, PORTAL_DATA, UINT32_MAX);
        transport->portal = (unsigned)at;
        transport->pci.portal = (unsigned)at + PORTAL_DATA;
        transport->pci.portal_owner = transport;
        transport->pci.pass = pass;
        return at;
}

int virtio_pci_init(struct virtio_transport *transport, struct virtio_device *device, struct pci_bus *pci,
                    struct guest_memory *memory, const struct virtio_transport_owner *owner)
{
        const struct virtio_operations *operations = device->operations;
        *transport = (struct virtio_transport){ .device = device, .owner = *owner, .config_vector = NO_VECTOR };
        device->transport = transport;
        for (unsigned i = 0; i < device->queue_count; i++) {
                virtqueue_init(&device->queues[i], memory, device->queues[i].size_max);
                transport->queue_vectors[i] = NO_VECTOR;
        }
        const struct pci_identity identity = {
                .vendor = VENDOR,
                .device = (uint16_t)(DEVICE_BASE + operations->id),
                .subsystem_vendor = VENDOR,
                .subsystem = (uint16_t)(DEVICE_BASE + operations->id),
                .class = operations->pci_class,
                .revision = 1,
        };
        int r = pci_add(pci, &transport->pci, &identity);
        if (r >= 0)
                r = pci_add_bar(&transport->pci, BAR_REGISTERS, REGISTERS_LENGTH, &registers_operations, transport);
        if (r >= 0)
                r = pci_add_msix(&transport->pci, BAR_MSIX, device->queue_count + 1);
        if (r >= 0)
                r = add_part(transport, CFG_COMMON, AT_COMMON, COMMON_END, 0);
        if (r >= 0)
                r = add_part(transport, CFG_ISR, AT_ISR, 1, 0);
        if (r >= 0 && operations->config_length)
                r = add_part(transport, CFG_DEVICE, AT_DEVICE, operations->config_length, 0);
        if (r >= 0)
                r = add_portal(transport);
        if (r >= 0)
                r = add_part(transport, CFG_NOTIFY, AT_NOTIFY, device->queue_count * NOTIFY_MULTIPLIER, 4);
        if (r < 0)
                return r;
        put_u32(transport->pci.config, (unsigned)r + CAPABILITY_LENGTH, NOTIFY_MULTIPLIER);
        if (owner->doorbell)
                pci_watch_bar(&transport->pci, BAR_REGISTERS, registers_moved);
        return 0;
}

/* ---- Saved state ---- */

#define TRANSPORT_STATE_VERSION 1

void virtio_pci_save(const struct virtio_transport *transport, struct state_writer *writer)
{
        const struct virtio_device *device = transport->device;
        pci_save(&transport->pci, writer);
        state_begin(writer, "virtio-pci", TRANSPORT_STATE_VERSION);
        state_u32(writer, device->operations->id);
        state_u32(writer, transport->status);
        state_u32(writer, transport->isr);
        state_u32(writer, transport->config_generation);
        state_u32(writer, transport->device_feature_select);
        state_u32(writer, transport->driver_feature_select);
        state_u64(writer, transport->driver_features);
        state_u32(writer, transport->queue_select);
        state_u32(writer, transport->config_vector);
        state_u32(writer, device->queue_count);
        for (unsigned i = 0; i < device->queue_count; i++)
                state_u32(writer, transport->queue_vectors[i]);
        state_end(writer);
        for (unsigned i = 0; i < device->queue_count; i++)
                virtqueue_save(&device->queues[i], writer);
        device->operations->save(transport->device, writer);
}

int virtio_pci_restore(struct virtio_transport *transport, struct state_reader *reader)
{
        struct virtio_device *device = transport->device;
        struct virtio_transport restored = *transport;
        int r = pci_restore(&transport->pci, reader);
        if (!r)
                r = state_open(reader, "virtio-pci", TRANSPORT_STATE_VERSION);
        if (r < 0)
                return r;
        if (state_take_u32(reader) != device->operations->id)
                return -EINVAL;
        restored.status = (uint8_t)state_take_u32(reader);
        restored.isr = (uint8_t)state_take_u32(reader);
        restored.config_generation = (uint8_t)state_take_u32(reader);
        restored.device_feature_select = state_take_u32(reader);
        restored.driver_feature_select = state_take_u32(reader);
        restored.driver_features = state_take_u64(reader);
        restored.queue_select = (uint16_t)state_take_u32(reader);
        restored.config_vector = checked_vector(transport, state_take_u32(reader));
        if (state_take_u32(reader) != device->queue_count || (restored.driver_features & ~offered(transport)))
                return -EINVAL;
        for (unsigned i = 0; i < device->queue_count; i++)
                restored.queue_vectors[i] = checked_vector(transport, state_take_u32(reader));
        r = state_close(reader);
        for (unsigned i = 0; i < device->queue_count && !r; i++)
                r = virtqueue_restore(&device->queues[i], reader);
        if (!r)
                r = device->operations->restore(device, reader);
        if (r < 0)
                return r;
        restored.pci = transport->pci;
        *transport = restored;
        if ((transport->status & STATUS_DRIVER_OK) && device->operations->start)
                device->operations->start(device, transport->driver_features);
        return 0;
}
