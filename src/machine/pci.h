/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * PCI, as far as a machine without bridges needs it: one bus, one function a device, memory BARs, MSI-X.
 *
 * PCI Local Bus Specification 3.0, chapter 6; PCI Express Base Specification, section 7.2 (ECAM). Configuration
 * space is reached by ports 0xcf8/0xcfc and by ECAM. The machine places the BARs itself before the guest starts;
 * the guest may move them and switch them off, and the memory bus follows. Interrupts are messages only: a device
 * without MSI-X enabled stays silent, which every system of the last twenty years accepts from virtio. The
 * machine's lock guards it. Freestanding.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "machine/bus.h"
#include "machine/state.h"

#define PCI_SLOTS            32
#define PCI_CONFIG_SIZE      256
#define PCI_BARS             6
#define PCI_MSIX_VECTORS_MAX 32

#define PCI_PORTS_START  0xcf8
#define PCI_PORTS_LENGTH 8
/* In the hole for devices, which begins at 3 GiB: first the BARs, then ECAM; the interrupt controllers lie above. */
#define PCI_WINDOW_START 0xc0000000ULL
#define PCI_WINDOW_END   0xe0000000ULL
#define PCI_ECAM_START   0xe0000000ULL
#define PCI_ECAM_LENGTH  0x100000ULL /* bus 0 alone: 32 devices of 8 functions of 4 KiB */

struct pci_bus;

struct pci_bar {
        uint32_t length; /* power of two, at least 4096; 0: no such BAR */
        const struct bus_operations *operations;
        void *device;
        void (*moved)(void *device, bool mapped, uint64_t at); /* after the guest moved or hid it; may be NULL */
        bool mapped;                                           /* claimed on the memory bus */
        uint64_t at;
};

struct pci_vector {
        uint64_t address;
        uint32_t data;
        bool masked, pending;
};

struct pci_device {
        struct pci_bus *bus;
        uint8_t config[PCI_CONFIG_SIZE];
        uint8_t writable[PCI_CONFIG_SIZE]; /* bits that the guest may change */
        struct pci_bar bars[PCI_BARS];
        unsigned next_capability, last_capability; /* offsets, while capabilities are added */
        unsigned vector_count, msix;               /* MSI-X: its vectors, its capability's offset (0: none) */
        struct pci_vector vectors[PCI_MSIX_VECTORS_MAX];
        /*
         * Four bytes of configuration space that lead elsewhere (0: none): called before a read and after a write of
         * them.
         */
        unsigned portal;
        void *portal_owner;
        void (*pass)(void *owner, bool write);
};

struct pci_bus {
        struct bus *mmio;
        void *owner;
        void (*message)(void *owner, uint64_t address, uint32_t data); /* a message-signalled interrupt */
        uint32_t selected;                                             /* port 0xcf8 */
        uint64_t next_window, ecam;
        struct pci_device *slots[PCI_SLOTS];
};

struct pci_identity {
        uint16_t vendor, device, subsystem_vendor, subsystem;
        uint32_t class; /* class, subclass, interface in the low 24 bits */
        uint8_t revision;
};

/* Claims ports and ECAM. The first device that is added gets slot 0, where systems look for a host bridge. */
int pci_bus_init(struct pci_bus *pci, struct bus *ports, struct bus *mmio,
                 void (*message)(void *owner, uint64_t address, uint32_t data), void *owner);

/* Puts a device into the next free slot; its struct stays the caller's. Returns the slot, or -ENOSPC. */
int pci_add(struct pci_bus *pci, struct pci_device *device, const struct pci_identity *identity);
/* The same for one slot; -EEXIST: it is taken. */
int pci_add_at(struct pci_bus *pci, unsigned slot, struct pci_device *device, const struct pci_identity *identity);
/* ECAM answers at another address from now on, or nowhere if that is taken. */
void pci_move_ecam(struct pci_bus *pci, uint64_t at);
/* A 32-bit memory BAR, placed in the window. -ENOSPC, -EINVAL. */
int pci_add_bar(struct pci_device *device, unsigned number, uint32_t length, const struct bus_operations *operations,
                void *owner);
/* `moved` of a BAR is told at once where it is, if it is mapped. */
void pci_watch_bar(struct pci_device *device, unsigned number, void (*moved)(void *device, bool mapped, uint64_t at));
/* Appends a capability of `length` bytes (id and next pointer included); returns its offset, or -ENOSPC. */
int pci_add_capability(struct pci_device *device, uint8_t id, unsigned length);
/* MSI-X with its table and pending bits in BAR `bar`, of 4096 bytes, made for it. */
int pci_add_msix(struct pci_device *device, unsigned bar, unsigned vectors);

/*
 * Signals a vector; remembered while it is masked, nothing while MSI-X is off. A number beyond the table is none:
 * the driver asked for no interrupt.
 */
void pci_interrupt(struct pci_device *device, unsigned vector);

void pci_save(const struct pci_device *device, struct state_writer *writer);
int pci_restore(struct pci_device *device, struct state_reader *reader);
