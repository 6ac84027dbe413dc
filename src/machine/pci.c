/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "machine/pci.h"

#include <errno.h>

/* Configuration header, type 0: PCI 3.0, section 6.1. */
enum {
        CONFIG_VENDOR = 0x00,
        CONFIG_DEVICE = 0x02,
        CONFIG_COMMAND = 0x04,
        CONFIG_STATUS = 0x06,
        CONFIG_REVISION = 0x08,
        CONFIG_CLASS = 0x09,
        CONFIG_BAR = 0x10,
        CONFIG_SUBSYSTEM_VENDOR = 0x2c,
        CONFIG_SUBSYSTEM = 0x2e,
        CONFIG_CAPABILITIES = 0x34,
        CONFIG_INTERRUPT_LINE = 0x3c,
        CONFIG_HEADER_END = 0x40,

        COMMAND_MEMORY = 0x0002,
        COMMAND_WRITABLE = 0x0506, /* memory, bus master, SERR#, INTx disable */
        STATUS_CAPABILITIES = 0x0010,

        CAPABILITY_MSIX = 0x11,
        MSIX_LENGTH = 12, /* PCI 3.0, section 6.8.2 */
        MSIX_CONTROL = 2,
        MSIX_TABLE = 4,
        MSIX_PENDING = 8,
        MSIX_ENABLE = 0x8000,
        MSIX_MASK_ALL = 0x4000,
        MSIX_ENTRY_SIZE = 16,
        MSIX_BAR_SIZE = 4096,
        MSIX_PENDING_OFFSET = 2048,

        ADDRESS_ENABLE = 1u << 31, /* port 0xcf8: section 3.2.2.3.2 */
};

static void put(uint8_t *bytes, unsigned at, uint64_t value, unsigned size)
{
        for (unsigned i = 0; i < size; i++)
                bytes[at + i] = (uint8_t)(value >> (8 * i));
}

static uint32_t get(const uint8_t *bytes, unsigned at, unsigned size)
{
        uint32_t value = 0;
        for (unsigned i = 0; i < size; i++)
                value |= (uint32_t)bytes[at + i] << (8 * i);
        return value;
}

/* ---- BARs ---- */

/* The memory bus shows each BAR where the guest has put it, if it lets memory through. */
static void place_bars(struct pci_device *device)
{
        bool memory = get(device->config, CONFIG_COMMAND, 2) & COMMAND_MEMORY;
        for (unsigned i = 0; i < PCI_BARS; i++) {
                struct pci_bar *bar = &device->bars[i];
                uint64_t at = get(device->config, CONFIG_BAR + 4 * i, 4) & ~(bar->length - 1) & ~15u;
                if (!bar->length || (bar->mapped && memory && bar->at == at))
                        continue;
                bool was_mapped = bar->mapped;
                if (was_mapped)
                        bus_release(device->bus->mmio, bar->at);
                if (was_mapped && bar->moved)
                        bar->moved(bar->device, false, bar->at);
                /* A guest that puts a BAR over another device gets none of it. */
                bar->mapped = memory && !bus_claim(device->bus->mmio, at, bar->length, bar->operations, bar->device);
                bar->at = at;
                if (bar->mapped && bar->moved)
                        bar->moved(bar->device, true, at);
        }
}

void pci_watch_bar(struct pci_device *device, unsigned number, void (*moved)(void *device, bool mapped, uint64_t at))
{
        struct pci_bar *bar = &device->bars[number];
        bar->moved = moved;
        if (bar->mapped)
                moved(bar->device, true, bar->at);
}

int pci_add_bar(struct pci_device *device, unsigned number, uint32_t length, const struct bus_operations *operations,
                void *owner)
{
        struct pci_bus *pci = device->bus;
        uint64_t at = (pci->next_window + length - 1) & ~((uint64_t)length - 1);
        if (number >= PCI_BARS || length < 4096 || (length & (length - 1)))
                return -EINVAL;
        if (at + length > PCI_WINDOW_END)
                return -ENOSPC;
        pci->next_window = at + length;
        device->bars[number] = (struct pci_bar){ .length = length, .operations = operations, .device = owner };
        put(device->config, CONFIG_BAR + 4 * number, at, 4);
        put(device->writable, CONFIG_BAR + 4 * number, ~(uint64_t)(length - 1), 4);
        return 0;
}

/* ---- Configuration space ---- */

static void update_vectors(struct pci_device *device);

static bool in_portal(const struct pci_device *device, unsigned at, unsigned size)
{
        return device->portal && at < device->portal + 4 && at + size > device->portal;
}

static uint32_t config_read(struct pci_bus *pci, unsigned slot, unsigned at, unsigned size)
{
        struct pci_device *device = pci->slots[slot];
        if (!device)
                return UINT32_MAX;
        if (in_portal(device, at, size))
                device->pass(device->portal_owner, false);
        /* ECAM shows 4 KiB; nothing of ours is in the extended part. */
        return at + size <= PCI_CONFIG_SIZE ? get(device->config, at, size) : 0;
}

static void config_write(struct pci_bus *pci, unsigned slot, unsigned at, unsigned size, uint32_t value)
{
        struct pci_device *device = pci->slots[slot];
        if (!device || at + size > PCI_CONFIG_SIZE)
                return;
        for (unsigned i = 0; i < size; i++) {
                uint8_t mask = device->writable[at + i], byte = (uint8_t)(value >> (8 * i));
                device->config[at + i] = (uint8_t)((device->config[at + i] & ~mask) | (byte & mask));
        }
        place_bars(device);
        update_vectors(device);
        if (in_portal(device, at, size))
                device->pass(device->portal_owner, true);
}

/* One function a device: all others answer nothing. */
static bool decode(uint32_t address, unsigned *slot, unsigned *at)
{
        *slot = address >> 15 & 31;
        *at = address & 0xfff;
        return !(address >> 12 & 7);
}

static uint64_t ecam_read(void *owner, uint64_t offset, unsigned size)
{
        unsigned slot, at;
        if (!decode((uint32_t)offset, &slot, &at) || size > 4)
                return UINT64_MAX;
        return config_read(owner, slot, at, size);
}

static void ecam_write(void *owner, uint64_t offset, unsigned size, uint64_t value)
{
        unsigned slot, at;
        if (decode((uint32_t)offset, &slot, &at) && size <= 4)
                config_write(owner, slot, at, size, (uint32_t)value);
}

/* Whether port 0xcf8 points to a function of ours, and which register at `offset` of port 0xcfc. */
static bool selected(const struct pci_bus *pci, uint64_t offset, unsigned *slot, unsigned *at)
{
        *slot = pci->selected >> 11 & 31;
        *at = (pci->selected & 0xfc) + (unsigned)(offset & 3);
        return (pci->selected & ADDRESS_ENABLE) && !(pci->selected >> 16 & 0xff) && !(pci->selected >> 8 & 7);
}

static uint64_t ports_read(void *owner, uint64_t offset, unsigned size)
{
        struct pci_bus *pci = owner;
        unsigned slot, at;
        if (offset < 4)
                return offset ? UINT64_MAX : pci->selected;
        return selected(pci, offset, &slot, &at) ? config_read(pci, slot, at, size) : UINT64_MAX;
}

static void ports_write(void *owner, uint64_t offset, unsigned size, uint64_t value)
{
        struct pci_bus *pci = owner;
        unsigned slot, at;
        if (offset < 4) {
                /* Only a whole double word is the address register: section 3.2.2.3.2. */
                if (!offset && size == 4)
                        pci->selected = (uint32_t)value;
                return;
        }
        if (selected(pci, offset, &slot, &at))
                config_write(pci, slot, at, size, (uint32_t)value);
}

static const struct bus_operations ecam_operations = { "pci ecam", ecam_read, ecam_write };
static const struct bus_operations ports_operations = { "pci ports", ports_read, ports_write };

int pci_bus_init(struct pci_bus *pci, struct bus *ports, struct bus *mmio,
                 void (*message)(void *owner, uint64_t address, uint32_t data), void *owner)
{
        *pci = (struct pci_bus){ .mmio = mmio,
                                 .owner = owner,
                                 .message = message,
                                 .next_window = PCI_WINDOW_START,
                                 .ecam = PCI_ECAM_START };
        int r = bus_claim(ports, PCI_PORTS_START, PCI_PORTS_LENGTH, &ports_operations, pci);
        return r < 0 ? r : bus_claim(mmio, PCI_ECAM_START, PCI_ECAM_LENGTH, &ecam_operations, pci);
}

void pci_move_ecam(struct pci_bus *pci, uint64_t at)
{
        if (at == pci->ecam)
                return;
        if (pci->ecam)
                bus_release(pci->mmio, pci->ecam);
        pci->ecam = bus_claim(pci->mmio, at, PCI_ECAM_LENGTH, &ecam_operations, pci) < 0 ? 0 : at;
}

int pci_add(struct pci_bus *pci, struct pci_device *device, const struct pci_identity *identity)
{
        unsigned slot = 0;
        while (slot < PCI_SLOTS && pci->slots[slot])
                slot++;
        return slot == PCI_SLOTS ? -ENOSPC : pci_add_at(pci, slot, device, identity);
}

int pci_add_at(struct pci_bus *pci, unsigned slot, struct pci_device *device, const struct pci_identity *identity)
{
        if (pci->slots[slot])
                return -EEXIST;
        *device = (struct pci_device){ .bus = pci, .next_capability = CONFIG_HEADER_END };
        put(device->config, CONFIG_VENDOR, identity->vendor, 2);
        put(device->config, CONFIG_DEVICE, identity->device, 2);
        put(device->config, CONFIG_REVISION, identity->revision, 1);
        put(device->config, CONFIG_CLASS, identity->class, 3);
        put(device->config, CONFIG_SUBSYSTEM_VENDOR, identity->subsystem_vendor, 2);
        put(device->config, CONFIG_SUBSYSTEM, identity->subsystem, 2);
        put(device->writable, CONFIG_COMMAND, COMMAND_WRITABLE, 2);
        put(device->writable, CONFIG_INTERRUPT_LINE, 0xff, 1);
        pci->slots[slot] = device;
        return (int)slot;
}

int pci_add_capability(struct pci_device *device, uint8_t id, unsigned length)
{
        unsigned at = (device->next_capability + 3) & ~3u;
        if (at + length > PCI_CONFIG_SIZE)
                return -ENOSPC;
        put(device->config, device->last_capability ? device->last_capability + 1 : CONFIG_CAPABILITIES, at, 1);
        put(device->config, CONFIG_STATUS, STATUS_CAPABILITIES, 2);
        put(device->config, at, id, 1);
        device->last_capability = at;
        device->next_capability = at + length;
        return (int)at;
}

/* ---- MSI-X ---- */

static bool vectors_enabled(const struct pci_device *device)
{
        uint32_t control = device->msix ? get(device->config, device->msix + MSIX_CONTROL, 2) : 0;
        return (control & (MSIX_ENABLE | MSIX_MASK_ALL)) == MSIX_ENABLE;
}

/* Sends what waited for its mask to go. */
static void update_vectors(struct pci_device *device)
{
        if (!vectors_enabled(device))
                return;
        for (unsigned i = 0; i < device->vector_count; i++) {
                struct pci_vector *vector = &device->vectors[i];
                if (!vector->pending || vector->masked)
                        continue;
                vector->pending = false;
                device->bus->message(device->bus->owner, vector->address, vector->data);
        }
}

void pci_interrupt(struct pci_device *device, unsigned number)
{
        if (number >= device->vector_count || !(get(device->config, device->msix + MSIX_CONTROL, 2) & MSIX_ENABLE))
                return;
        device->vectors[number].pending = true;
        update_vectors(device);
}

static uint64_t pending_bits(const struct pci_device *device)
{
        uint64_t bits = 0;
        /* The second bound is for compilers, which do not know the first to be smaller. */
        for (unsigned i = 0; i < device->vector_count && i < PCI_MSIX_VECTORS_MAX; i++)
                bits |= (uint64_t)device->vectors[i].pending << i;
        return bits;
}

/* The table is read and written in aligned double and quad words: section 6.8.2. */
static uint64_t table_read(void *owner, uint64_t offset, unsigned size)
{
        struct pci_device *device = owner;
        uint64_t number = offset / MSIX_ENTRY_SIZE;
        uint8_t entry[MSIX_ENTRY_SIZE] = { 0 };
        unsigned at = offset % MSIX_ENTRY_SIZE;
        if (offset >= MSIX_PENDING_OFFSET) {
                if (number == MSIX_PENDING_OFFSET / MSIX_ENTRY_SIZE)
                        put(entry, 0, pending_bits(device), 8);
        } else if (number < device->vector_count) {
                const struct pci_vector *vector = &device->vectors[number];
                put(entry, 0, vector->address, 8);
                put(entry, 8, vector->data, 4);
                put(entry, 12, vector->masked, 4);
        }
        if (at + size > MSIX_ENTRY_SIZE || size < 4)
                return 0;
        return get(entry, at, 4) | (size == 8 ? (uint64_t)get(entry, at + 4, 4) << 32 : 0);
}

static void write_entry_word(struct pci_vector *vector, unsigned word, uint32_t value)
{
        switch (word) {
        case 0: vector->address = (vector->address & ~0xffffffffULL) | (value & ~3u); break;
        case 1: vector->address = (vector->address & 0xffffffffULL) | (uint64_t)value << 32; break;
        case 2: vector->data = value; break;
        default: vector->masked = value & 1; break;
        }
}

static void table_write(void *owner, uint64_t offset, unsigned size, uint64_t value)
{
        struct pci_device *device = owner;
        uint64_t number = offset / MSIX_ENTRY_SIZE;
        if (number >= device->vector_count || size < 4 || offset % size)
                return;
        write_entry_word(&device->vectors[number], offset / 4 % 4, (uint32_t)value);
        if (size == 8)
                write_entry_word(&device->vectors[number], offset / 4 % 4 + 1, (uint32_t)(value >> 32));
        update_vectors(device);
}

static const struct bus_operations table_operations = { "msi-x", table_read, table_write };

int pci_add_msix(struct pci_device *device, unsigned bar, unsigned vectors)
{
        if (!vectors || vectors > PCI_MSIX_VECTORS_MAX)
                return -EINVAL;
        int r = pci_add_bar(device, bar, MSIX_BAR_SIZE, &table_operations, device);
        if (r < 0)
                return r;
        int at = pci_add_capability(device, CAPABILITY_MSIX, MSIX_LENGTH);
        if (at < 0)
                return at;
        device->msix = (unsigned)at;
        device->vector_count = vectors;
        put(device->config, device->msix + MSIX_CONTROL, vectors - 1, 2);
        put(device->writable, device->msix + MSIX_CONTROL, MSIX_ENABLE | MSIX_MASK_ALL, 2);
        put(device->config, device->msix + MSIX_TABLE, bar, 4);
        put(device->config, device->msix + MSIX_PENDING, MSIX_PENDING_OFFSET | bar, 4);
        for (unsigned i = 0; i < vectors; i++)
                device->vectors[i].masked = true;
        return 0;
}

/* ---- Saved state: what the guest can change ---- */

#define PCI_STATE_VERSION 1

void pci_save(const struct pci_device *device, struct state_writer *writer)
{
        state_begin(writer, "pci", PCI_STATE_VERSION);
        state_bytes(writer, device->config, sizeof(device->config));
        state_u32(writer, device->vector_count);
        for (unsigned i = 0; i < device->vector_count; i++) {
                state_u64(writer, device->vectors[i].address);
                state_u32(writer, device->vectors[i].data);
                state_u32(writer, (uint32_t)(device->vectors[i].masked | device->vectors[i].pending << 1));
        }
        state_end(writer);
}

int pci_restore(struct pci_device *device, struct state_reader *reader)
{
        uint8_t config[PCI_CONFIG_SIZE];
        struct pci_vector vectors[PCI_MSIX_VECTORS_MAX] = { 0 };
        int r = state_open(reader, "pci", PCI_STATE_VERSION);
        if (r < 0)
                return r;
        state_take(reader, config, sizeof(config));
        /* The same machine has the same devices in the same slots; another one is not this state's. */
        if (state_take_u32(reader) != device->vector_count)
                return -EINVAL;
        for (unsigned i = 0; i < device->vector_count; i++) {
                vectors[i].address = state_take_u64(reader);
                vectors[i].data = state_take_u32(reader);
                uint32_t flags = state_take_u32(reader);
                vectors[i].masked = flags & 1;
                vectors[i].pending = flags >> 1 & 1;
        }
        r = state_close(reader);
        if (r < 0)
                return r;
        for (unsigned i = 0; i < PCI_CONFIG_SIZE; i++)
                if ((config[i] ^ device->config[i]) & ~device->writable[i])
                        return -EINVAL;
        __builtin_memcpy(device->config, config, sizeof(config));
        __builtin_memcpy(device->vectors, vectors, sizeof(vectors));
        place_bars(device);
        update_vectors(device);
        return 0;
}
