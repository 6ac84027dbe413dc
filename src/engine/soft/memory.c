/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "engine/soft/memory.h"

#include <string.h>

#include "engine/soft/engine_private.h"

#define PAGE_SIZE    GUEST_PAGE_SIZE
#define PAGE_MASK    (~(uint64_t)(PAGE_SIZE - 1))
#define OFFSET(at)   ((at) & (PAGE_SIZE - 1))
#define LARGEST_PAGE (1ULL << 30) /* APM vol. 2, section 5.3 */

/* Bits of page-table entries: APM vol. 2, section 5.4. */
enum {
        PTE_P = 1 << 0,
        PTE_RW = 1 << 1,
        PTE_US = 1 << 2,
        PTE_A = 1 << 5,
        PTE_D = 1 << 6,
        PTE_PS = 1 << 7,
        PTE_G = 1 << 8,
};
#define PTE_NX          (1ULL << 63)
#define BEYOND_PHYSICAL 0x000fff0000000000ULL /* from 40 bits on, as cpuid.c says */

/* Error code of a page fault: APM vol. 2, section 8.4.2. */
enum { FAULT_P = 1, FAULT_WRITE = 2, FAULT_USER = 4, FAULT_RESERVED = 8, FAULT_FETCH = 16 };

enum { CR4_PSE = 1 << 4, CR4_PGE = 1 << 7, CR4_SMEP = 1 << 20, CR4_SMAP = 1 << 21 };

/* ---- Bytes of the host ---- */

/* Other CPUs must not see half of it: one access, where it has a size that processors have. */
uint64_t bytes_read(const unsigned char *host, unsigned size)
{
        uint64_t value = 0;
        switch (size) {
        case 1: return *host;
        case 2: memcpy(&value, host, 2); return value;
        case 4: memcpy(&value, host, 4); return value;
        case 8: memcpy(&value, host, 8); return value;
        default: memcpy(&value, host, size); return value;
        }
}

static void bytes_write(unsigned char *host, unsigned size, uint64_t value)
{
        switch (size) {
        case 1: *host = (unsigned char)value; break;
        case 2: memcpy(host, &value, 2); break;
        case 4: memcpy(host, &value, 4); break;
        case 8: memcpy(host, &value, 8); break;
        default: memcpy(host, &value, size); break;
        }
}

/* ---- Segments ---- */

bool is_canonical(uint64_t linear)
{
        return (uint64_t)((int64_t)(linear << 16) >> 16) == linear;
}

static noreturn void segment_fault(struct vcpu *vcpu, unsigned segment)
{
        vcpu_fault_code(vcpu, segment == CPU_SS ? EXCEPTION_SS : EXCEPTION_GP, 0);
}

static bool segment_allows(const struct vcpu *vcpu, const struct cpu_segment *segment, enum access access)
{
        if (!vcpu_protected(vcpu))
                return true;
        if (!(segment->attributes & SEGMENT_PRESENT))
                return false;
        bool code = segment->attributes & 8, readable_or_writable = segment->attributes & 2;
        if (access == ACCESS_WRITE)
                return !code && readable_or_writable;
        return access == ACCESS_EXECUTE || !code || readable_or_writable;
}

static bool within_limit(const struct cpu_segment *segment, uint64_t offset, unsigned size)
{
        uint64_t last = offset + size - 1;
        bool expands_down = (segment->attributes & (SEGMENT_CODE_OR_DATA | 0xc)) == (SEGMENT_CODE_OR_DATA | 4);
        if (!expands_down)
                return last <= segment->limit;
        uint64_t top = segment->attributes & SEGMENT_DEFAULT_32 ? UINT32_MAX : UINT16_MAX;
        return offset > segment->limit && last <= top;
}

uint64_t memory_linear(struct vcpu *vcpu, unsigned segment, uint64_t offset, unsigned size, enum access access)
{
        const struct cpu_segment *found = &vcpu->segments[segment];
        if (vcpu->mode == DECODE_64) {
                uint64_t linear = segment >= CPU_FS ? found->base + offset : offset;
                if (!is_canonical(linear) || !is_canonical(linear + (size ? size - 1 : 0)))
                        segment_fault(vcpu, segment);
                return linear;
        }
        if (!segment_allows(vcpu, found, access) || !within_limit(found, offset & UINT32_MAX, size ? size : 1))
                segment_fault(vcpu, segment);
        return (found->base + offset) & UINT32_MAX;
}

/* ---- Page tables ---- */

struct walk {
        struct vcpu *vcpu;
        uint64_t linear;
        enum access access;
        enum rights rights;
        uint64_t entry;      /* the last one read */
        uint64_t allowed;    /* PTE_RW and PTE_US that all levels agree on */
        bool never_executed; /* NX on some level */
        bool large;          /* more than 4 KiB */
        uint64_t physical;
};

static noreturn void page_fault(const struct walk *walk, uint32_t code)
{
        struct vcpu *vcpu = walk->vcpu;
        if (walk->access == ACCESS_WRITE)
                code |= FAULT_WRITE;
        if (walk->rights == RIGHTS_USER)
                code |= FAULT_USER;
        if (walk->access == ACCESS_EXECUTE && (vcpu->efer & EFER_NXE || vcpu->cr4 & CR4_SMEP))
                code |= FAULT_FETCH;
        vcpu->fault.address = walk->linear;
        vcpu_fault_code(vcpu, EXCEPTION_PF, code);
}

/* Tables may lie in a ROM: read there, but never marked. */
static void read_entry(struct walk *walk, uint64_t physical, unsigned size)
{
        void *at = guest_memory_span(walk->vcpu->engine->memory, gpa(physical), size, false);
        uint64_t value = 0;
        if (at && size == 8)
                value = atomic_load_explicit((_Atomic uint64_t *)at, memory_order_relaxed);
        else if (at)
                value = atomic_load_explicit((_Atomic uint32_t *)at, memory_order_relaxed);
        if (!(value & PTE_P))
                page_fault(walk, 0);
        walk->entry = value;
}

/* Returns false where another CPU changed the entry since it was read: an entry that is gone must not get marks. */
static bool mark_entry(const struct walk *walk, uint64_t physical, unsigned size, uint64_t marks)
{
        if ((walk->entry & marks) == marks)
                return true;
        void *at = guest_memory_span(walk->vcpu->engine->memory, gpa(physical), size, true);
        if (!at)
                return true;
        uint64_t wide = walk->entry;
        uint32_t narrow = (uint32_t)walk->entry;
        return size == 8 ? atomic_compare_exchange_strong((_Atomic uint64_t *)at, &wide, wide | marks)
                         : atomic_compare_exchange_strong((_Atomic uint32_t *)at, &narrow, narrow | (uint32_t)marks);
}

static uint64_t leaf_marks(const struct walk *walk)
{
        return PTE_A | (walk->access == ACCESS_WRITE ? PTE_D : 0);
}

static void check_reserved(const struct walk *walk, uint64_t reserved)
{
        reserved |= BEYOND_PHYSICAL;
        if (!(walk->vcpu->efer & EFER_NXE))
                reserved |= PTE_NX;
        if (walk->entry & reserved)
                page_fault(walk, FAULT_P | FAULT_RESERVED);
}

static void check_rights(const struct walk *walk)
{
        const struct vcpu *vcpu = walk->vcpu;
        bool user_page = walk->allowed & PTE_US, writable = walk->allowed & PTE_RW, refused = false;
        if (walk->access == ACCESS_EXECUTE && walk->never_executed && vcpu->efer & EFER_NXE)
                refused = true;
        if (walk->rights == RIGHTS_USER) {
                refused |= !user_page || (walk->access == ACCESS_WRITE && !writable);
        } else {
                refused |= walk->access == ACCESS_WRITE && !writable && vcpu->cr0 & CR0_WP;
                refused |= walk->access == ACCESS_EXECUTE && user_page && vcpu->cr4 & CR4_SMEP;
                refused |= walk->access != ACCESS_EXECUTE && user_page && walk->rights == RIGHTS_KERNEL;
        }
        if (refused)
                page_fault(walk, FAULT_P);
}

#define PHYSICAL_BITS(entry) ((entry)&0x000ffffffffff000ULL)

/* PAE and long mode: entries of eight bytes, nine bits of the address each. False: to be done once more. */
static bool walk_wide(struct walk *walk)
{
        const struct vcpu *vcpu = walk->vcpu;
        bool is_long = vcpu_long(vcpu);
        unsigned level = is_long ? 4 : 3;
        uint64_t table = is_long ? PHYSICAL_BITS(vcpu->cr3) : vcpu->cr3 & 0xffffffe0;
        for (;; level--) {
                unsigned shift = 12 + 9 * (level - 1);
                uint64_t at = table + (walk->linear >> shift & 0x1ff) * 8;
                /* The four entries of a PAE directory pointer table have no rights and no accessed bit. */
                bool pointer = !is_long && level == 3;
                if (pointer)
                        at = table + (walk->linear >> 30 & 3) * 8;
                read_entry(walk, at, 8);
                bool large = (level == 2 || (level == 3 && is_long)) && walk->entry & PTE_PS;
                check_reserved(walk,
                               (level == 4 ? PTE_PS : 0) | (large ? ((1ULL << shift) - 1) & 0x000fffffffffe000ULL : 0));
                if (!pointer) {
                        walk->allowed &= walk->entry;
                        walk->never_executed |= !!(walk->entry & PTE_NX);
                }
                if (level == 1 || large) {
                        check_rights(walk);
                        if (!mark_entry(walk, at, 8, leaf_marks(walk)))
                                return false;
                        walk->large = large;
                        uint64_t inside = (1ULL << shift) - 1;
                        walk->physical = (PHYSICAL_BITS(walk->entry) & ~inside) | (walk->linear & inside);
                        return true;
                }
                if (!pointer && !mark_entry(walk, at, 8, PTE_A))
                        return false;
                table = PHYSICAL_BITS(walk->entry);
        }
}

/* Without PAE: entries of four bytes, ten bits of the address each. */
static bool walk_narrow(struct walk *walk)
{
        const struct vcpu *vcpu = walk->vcpu;
        uint64_t at = (vcpu->cr3 & 0xfffff000) + (walk->linear >> 22 & 0x3ff) * 4;
        read_entry(walk, at, 4);
        walk->allowed &= walk->entry;
        bool large = walk->entry & PTE_PS && vcpu->cr4 & CR4_PSE;
        if (!large) {
                if (!mark_entry(walk, at, 4, PTE_A))
                        return false;
                at = (walk->entry & 0xfffff000) + (walk->linear >> 12 & 0x3ff) * 4;
                read_entry(walk, at, 4);
                walk->allowed &= walk->entry;
        }
        check_rights(walk);
        if (!mark_entry(walk, at, 4, leaf_marks(walk)))
                return false;
        walk->large = large;
        if (large) /* bits 13 to 20 are bits 32 to 39 of the address: PSE-36 */
                walk->physical =
                        (walk->entry & 0xffc00000) | (walk->entry & 0x1fe000) << 19 | (walk->linear & 0x3fffff);
        else
                walk->physical = (walk->entry & 0xfffff000) | OFFSET(walk->linear);
        return true;
}

static void translate(struct walk *walk)
{
        const struct vcpu *vcpu = walk->vcpu;
        if (!(vcpu->cr0 & CR0_PG)) {
                walk->physical = walk->linear;
                return;
        }
        bool found = false;
        while (!found) {
                walk->allowed = PTE_RW | PTE_US;
                walk->never_executed = false;
                found = vcpu->cr4 & CR4_PAE ? walk_wide(walk) : walk_narrow(walk);
        }
}

/* ---- What is kept of it ---- */

static enum rights current_rights(const struct vcpu *vcpu)
{
        if (vcpu->cpl == 3)
                return RIGHTS_USER;
        return vcpu->cr4 & CR4_SMAP && !(vcpu->flags & FLAG_AC) ? RIGHTS_KERNEL : RIGHTS_KERNEL_ANY;
}

static struct tlb_entry *tlb_slot(struct vcpu *vcpu, uint64_t linear, enum access access, enum rights rights)
{
        return &vcpu->tlb[rights][access][linear / PAGE_SIZE % TLB_ENTRIES];
}

struct code_page *engine_code_page(struct engine *engine, uint64_t physical)
{
        const struct guest_memory *memory = engine->memory;
        for (unsigned i = 0; i < memory->count; i++) {
                const struct guest_memory_region *region = &memory->regions[i];
                if (physical - region->start.at < region->length)
                        return &engine->pages[i][(physical - region->start.at) / PAGE_SIZE];
        }
        return NULL;
}

/* A write into a page of which code is decoded: what was decoded is worth nothing from now on. */
static void spoil_code(struct vcpu *vcpu, uint64_t physical)
{
        struct code_page *page = engine_code_page(vcpu->engine, physical);
        if (page && !(atomic_load_explicit(&page->version, memory_order_relaxed) & 1))
                atomic_fetch_or(&page->version, 1);
}

/* Finds the page of an access; entry->host is NULL where the machine must be asked. */
static struct tlb_entry find_page(struct vcpu *vcpu, uint64_t linear, enum access access, enum rights rights)
{
        struct tlb_entry *slot = tlb_slot(vcpu, linear, access, rights);
        if (slot->page == (linear & PAGE_MASK))
                return *slot;
        struct walk walk = { .vcpu = vcpu, .linear = linear, .access = access, .rights = rights };
        translate(&walk);
        uint64_t physical = walk.physical & PAGE_MASK;
        struct tlb_entry found = { linear & PAGE_MASK, NULL, physical };
        found.host = guest_memory_span(vcpu->engine->memory, gpa(physical), PAGE_SIZE, access == ACCESS_WRITE);
        if (!found.host)
                return found;
        *slot = found;
        if (walk.large) {
                struct linear_range *range = &vcpu->large[linear >> 63];
                range->low = linear < range->low ? linear : range->low;
                range->high = linear > range->high ? linear : range->high;
        }
        return found;
}

void memory_flush(struct vcpu *vcpu, bool global)
{
        (void)global; /* which entries were global is not kept: forgetting too much is always right */
        for (unsigned i = 0; i < RIGHTS; i++)
                for (unsigned j = 0; j < ACCESSES; j++)
                        for (unsigned k = 0; k < TLB_ENTRIES; k++)
                                vcpu->tlb[i][j][k].page = TLB_EMPTY;
        vcpu->large[0] = vcpu->large[1] = (struct linear_range){ UINT64_MAX, 0 };
}

/* Of a large page everything goes: APM vol. 3, INVLPG. Its parts lie in any slot, one to each 4 KiB. */
void memory_flush_page(struct vcpu *vcpu, uint64_t linear)
{
        const struct linear_range *range = &vcpu->large[linear >> 63];
        uint64_t around = LARGEST_PAGE - 1;
        if (range->low <= range->high && linear >= (range->low & ~around) && linear <= (range->high | around)) {
                memory_flush(vcpu, true);
                return;
        }
        for (unsigned i = 0; i < RIGHTS; i++)
                for (unsigned j = 0; j < ACCESSES; j++)
                        tlb_slot(vcpu, linear, j, i)->page = TLB_EMPTY;
}

/* ---- The machine's devices ---- */

static noreturn void ask(struct vcpu *vcpu, const struct device_access *wanted)
{
        if (vcpu->accesses_done == DEVICE_ACCESSES_MAX)
                vcpu_fault_code(vcpu, EXCEPTION_GP, 0);
        struct device_access *access = &vcpu->accesses[vcpu->accesses_done++];
        *access = *wanted;
        *vcpu->exit = (struct engine_exit){
                .kind = access->is_port ? ENGINE_EXIT_PORT : ENGINE_EXIT_MMIO,
                .address = access->address,
                .size = access->size,
                .write = access->write,
                .data = access->data,
                .count = 1,
        };
        vcpu_unwind(vcpu, UNWIND_EXIT);
}

/* The answer, if this instruction asked before it began anew; else the instruction leaves. */
static uint64_t device_access(struct vcpu *vcpu, bool is_port, uint64_t address, unsigned size, bool write,
                              uint64_t value)
{
        uint64_t answer = 0;
        if (vcpu->accesses_used < vcpu->accesses_done) {
                memcpy(&answer, vcpu->accesses[vcpu->accesses_used++].data, 8);
                return answer & size_mask(size);
        }
        /* An event is not begun anew: what it pushes to no memory is lost, and nothing is read from there. */
        if (vcpu->delivers)
                return size_mask(size);
        struct device_access access = { is_port, write, (uint8_t)size, address, { 0 } };
        memcpy(access.data, &value, 8);
        ask(vcpu, &access);
}

uint64_t port_access(struct vcpu *vcpu, uint16_t port, unsigned size, bool write, uint64_t value)
{
        return device_access(vcpu, true, port, size, write, value);
}

/* ---- Accesses ---- */

unsigned char *memory_direct(struct vcpu *vcpu, uint64_t linear, unsigned size, enum access access)
{
        if (OFFSET(linear) + size > PAGE_SIZE)
                return NULL;
        struct tlb_entry page = find_page(vcpu, linear, access, current_rights(vcpu));
        if (!page.host)
                return NULL;
        if (access == ACCESS_WRITE)
                spoil_code(vcpu, page.physical);
        return page.host + OFFSET(linear);
}

const unsigned char *memory_fetch(struct vcpu *vcpu, uint64_t linear, uint64_t *physical)
{
        enum rights rights = vcpu->cpl == 3 ? RIGHTS_USER : RIGHTS_KERNEL;
        struct tlb_entry page = find_page(vcpu, linear, ACCESS_EXECUTE, rights);
        *physical = page.physical + OFFSET(linear);
        return page.host ? page.host + OFFSET(linear) : NULL;
}

/* What a device is asked at once: 1, 2, 4 or 8 bytes. */
static unsigned bus_width(unsigned size)
{
        return size >= 8 ? 8 : size >= 4 ? 4 : size >= 2 ? 2 : 1;
}

/* Within one page. */
static uint64_t read_part(struct vcpu *vcpu, uint64_t linear, unsigned size, enum rights rights)
{
        struct tlb_entry page = find_page(vcpu, linear, ACCESS_READ, rights);
        if (page.host)
                return bytes_read(page.host + OFFSET(linear), size);
        uint64_t value = 0;
        for (unsigned done = 0, part; done < size; done += part) {
                part = bus_width(size - done);
                value |= device_access(vcpu, false, page.physical + OFFSET(linear) + done, part, false, 0) << 8 * done;
        }
        return value;
}

static void write_part(struct vcpu *vcpu, uint64_t linear, unsigned size, uint64_t value, enum rights rights)
{
        struct tlb_entry page = find_page(vcpu, linear, ACCESS_WRITE, rights);
        for (unsigned done = 0, part; !page.host && done < size; done += part) {
                part = bus_width(size - done);
                device_access(vcpu, false, page.physical + OFFSET(linear) + done, part, true, value >> 8 * done);
        }
        if (!page.host)
                return;
        bytes_write(page.host + OFFSET(linear), size, value);
        spoil_code(vcpu, page.physical);
}

static uint64_t wrap(const struct vcpu *vcpu, uint64_t linear)
{
        return vcpu->mode == DECODE_64 ? linear : linear & UINT32_MAX;
}

static uint64_t next_page(const struct vcpu *vcpu, uint64_t linear)
{
        return wrap(vcpu, (linear & PAGE_MASK) + PAGE_SIZE);
}

static uint64_t read_by(struct vcpu *vcpu, uint64_t linear, unsigned size, enum rights rights)
{
        const struct tlb_entry *slot = tlb_slot(vcpu, linear, ACCESS_READ, rights);
        if (slot->page == (linear & PAGE_MASK) && OFFSET(linear) <= PAGE_SIZE - 8) {
                uint64_t value;
                memcpy(&value, slot->host + OFFSET(linear), 8);
                return value & size_mask(size);
        }
        unsigned first = (unsigned)(PAGE_SIZE - OFFSET(linear));
        if (size <= first)
                return read_part(vcpu, linear, size, rights);
        uint64_t low = read_part(vcpu, linear, first, rights);
        return low | read_part(vcpu, next_page(vcpu, linear), size - first, rights) << (8 * first);
}

static void write_by(struct vcpu *vcpu, uint64_t linear, unsigned size, uint64_t value, enum rights rights)
{
        unsigned first = (unsigned)(PAGE_SIZE - OFFSET(linear));
        if (size <= first) {
                write_part(vcpu, linear, size, value, rights);
                return;
        }
        /* Both pages must be writable before either is written. */
        find_page(vcpu, linear, ACCESS_WRITE, rights);
        find_page(vcpu, next_page(vcpu, linear), ACCESS_WRITE, rights);
        write_part(vcpu, linear, first, value, rights);
        write_part(vcpu, next_page(vcpu, linear), size - first, value >> (8 * first), rights);
}

uint64_t memory_read(struct vcpu *vcpu, uint64_t linear, unsigned size)
{
        return read_by(vcpu, linear, size, current_rights(vcpu));
}

void memory_write(struct vcpu *vcpu, uint64_t linear, unsigned size, uint64_t value)
{
        write_by(vcpu, linear, size, value, current_rights(vcpu));
}

uint64_t memory_read_to_write(struct vcpu *vcpu, uint64_t linear, unsigned size)
{
        enum rights rights = current_rights(vcpu);
        find_page(vcpu, linear, ACCESS_WRITE, rights);
        if (OFFSET(linear) + size > PAGE_SIZE)
                find_page(vcpu, next_page(vcpu, linear), ACCESS_WRITE, rights);
        return read_by(vcpu, linear, size, rights);
}

uint64_t memory_read_system(struct vcpu *vcpu, uint64_t linear, unsigned size)
{
        return read_by(vcpu, linear, size, RIGHTS_KERNEL_ANY);
}

void memory_write_system(struct vcpu *vcpu, uint64_t linear, unsigned size, uint64_t value)
{
        write_by(vcpu, linear, size, value, RIGHTS_KERNEL_ANY);
}

void memory_read_bytes(struct vcpu *vcpu, uint64_t linear, void *data, unsigned size)
{
        unsigned char *to = data;
        for (unsigned done = 0; done < size; done += 8) {
                unsigned part = size - done < 8 ? size - done : 8;
                uint64_t value = memory_read(vcpu, wrap(vcpu, linear + done), part);
                memcpy(to + done, &value, part);
        }
}

void memory_write_bytes(struct vcpu *vcpu, uint64_t linear, const void *data, unsigned size)
{
        const unsigned char *from = data;
        enum rights rights = current_rights(vcpu);
        for (uint64_t page = linear & PAGE_MASK; page <= ((linear + size - 1) & PAGE_MASK); page += PAGE_SIZE)
                find_page(vcpu, page < linear ? linear : page, ACCESS_WRITE, rights);
        for (unsigned done = 0; done < size; done += 8) {
                unsigned part = size - done < 8 ? size - done : 8;
                uint64_t value = 0;
                memcpy(&value, from + done, part);
                memory_write(vcpu, wrap(vcpu, linear + done), part, value);
        }
}
