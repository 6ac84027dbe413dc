/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "machine/boot_elf.h"

#include <errno.h>

enum { NOTES_MAX = 256 }; /* a file that has more than anyone needs is not searched to its end */

bool boot_is_elf(const struct boot *boot)
{
        return boot->kernel_length >= sizeof(Elf64_Ehdr) && !__builtin_memcmp(boot->kernel, ELFMAG, SELFMAG);
}

int boot_elf_open(const struct boot *boot, struct boot_elf *elf, const char **reason)
{
        Elf64_Ehdr wide;
        Elf32_Ehdr narrow;
        if (!boot_is_elf(boot))
                return boot_fail(reason, -ENOEXEC, "the file is not an ELF file");
        __builtin_memcpy(&wide, boot->kernel, sizeof(wide));
        __builtin_memcpy(&narrow, boot->kernel, sizeof(narrow));

        bool is_64 = wide.e_ident[EI_CLASS] == ELFCLASS64;
        if (wide.e_ident[EI_DATA] != ELFDATA2LSB || (!is_64 && wide.e_ident[EI_CLASS] != ELFCLASS32) ||
            wide.e_machine != (is_64 ? EM_X86_64 : EM_386))
                return boot_fail(reason, -ENOEXEC, "the kernel is an ELF file, but not one for x86");
        *elf = is_64 ? (struct boot_elf){ boot, true, wide.e_entry, wide.e_phoff, wide.e_phnum }
                     : (struct boot_elf){ boot, false, narrow.e_entry, narrow.e_phoff, narrow.e_phnum };
        size_t size = is_64 ? sizeof(Elf64_Phdr) : sizeof(Elf32_Phdr);
        if ((is_64 ? wide.e_phentsize : narrow.e_phentsize) != size || elf->headers > boot->kernel_length ||
            elf->count > (boot->kernel_length - elf->headers) / size)
                return boot_fail(reason, -EINVAL, "the kernel's program headers lie outside its file");
        return 0;
}

Elf64_Phdr boot_elf_header(const struct boot_elf *elf, unsigned number)
{
        const uint8_t *headers = (const uint8_t *)elf->boot->kernel + elf->headers;
        Elf64_Phdr wide;
        Elf32_Phdr narrow;
        if (elf->is_64) {
                __builtin_memcpy(&wide, headers + number * sizeof(wide), sizeof(wide));
                return wide;
        }
        __builtin_memcpy(&narrow, headers + number * sizeof(narrow), sizeof(narrow));
        return (Elf64_Phdr){ .p_type = narrow.p_type,
                             .p_flags = narrow.p_flags,
                             .p_offset = narrow.p_offset,
                             .p_vaddr = narrow.p_vaddr,
                             .p_paddr = narrow.p_paddr,
                             .p_filesz = narrow.p_filesz,
                             .p_memsz = narrow.p_memsz,
                             .p_align = narrow.p_align };
}

static bool in_file(const struct boot_elf *elf, const Elf64_Phdr *segment)
{
        size_t length = elf->boot->kernel_length;
        return segment->p_offset <= length && segment->p_filesz <= length - segment->p_offset;
}

/* Whole pages of the file that lie in whole pages of the guest can be mapped; the first and the last bytes cannot. */
static void bring(const struct boot *boot, unsigned char *to, uint64_t at, uint64_t offset, uint64_t length)
{
        const uint8_t *from = (const uint8_t *)boot->kernel + offset;
        uint64_t head = -at & (GUEST_PAGE_SIZE - 1), tail = (at + length) & (GUEST_PAGE_SIZE - 1);
        bool whole = boot->map && !((at ^ offset) & (GUEST_PAGE_SIZE - 1)) && length > head + tail &&
                     boot->map(boot->context, to + head, offset + head, length - head - tail);
        if (!whole) {
                __builtin_memcpy(to, from, length);
                return;
        }
        __builtin_memcpy(to, from, head);
        __builtin_memcpy(to + length - tail, from + length - tail, tail);
}

static int load_segment(const struct boot_elf *elf, struct guest_memory *memory, const Elf64_Phdr *segment,
                        const char **reason)
{
        if (!in_file(elf, segment) || segment->p_filesz > segment->p_memsz)
                return boot_fail(reason, -EINVAL, "a segment of the kernel lies outside its file");
        if (!segment->p_memsz)
                return 0;
        if (segment->p_paddr < BOOT_HIGH_MEMORY)
                return boot_fail(reason, -EINVAL, "a segment of the kernel lies below 1 MiB");
        unsigned char *to = guest_memory_span(memory, gpa(segment->p_paddr), segment->p_memsz, true);
        if (!to)
                return boot_fail(reason, -ENOSPC, "the kernel does not fit into the guest's memory");
        /* Guest memory starts as zeros: what lies behind the file's bytes need not be touched. */
        if (segment->p_filesz)
                bring(elf->boot, to, segment->p_paddr, segment->p_offset, segment->p_filesz);
        guest_memory_wrote(memory, gpa(segment->p_paddr), segment->p_memsz);
        return 0;
}

int boot_elf_load(const struct boot_elf *elf, struct guest_memory *memory, uint64_t *end, const char **reason)
{
        bool any = false;
        *end = 0;
        for (unsigned i = 0; i < elf->count; i++) {
                Elf64_Phdr segment = boot_elf_header(elf, i);
                if (segment.p_type != PT_LOAD)
                        continue;
                int r = load_segment(elf, memory, &segment, reason);
                if (r < 0)
                        return r;
                any = true;
                if (segment.p_paddr + segment.p_memsz > *end)
                        *end = segment.p_paddr + segment.p_memsz;
        }
        return any ? 0 : boot_fail(reason, -EINVAL, "the kernel has nothing to load");
}

/* Notes are padded to four bytes: System V ABI, chapter 5, "Note Section". */
static uint64_t padded(uint64_t length)
{
        return (length + 3) & ~(uint64_t)3;
}

const uint8_t *boot_elf_note(const struct boot_elf *elf, const char *owner, uint32_t type, size_t *length)
{
        size_t owner_length = __builtin_strlen(owner) + 1;
        unsigned notes = 0;
        for (unsigned i = 0; i < elf->count; i++) {
                Elf64_Phdr segment = boot_elf_header(elf, i);
                if (segment.p_type != PT_NOTE || !in_file(elf, &segment))
                        continue;
                const uint8_t *bytes = (const uint8_t *)elf->boot->kernel + segment.p_offset;
                uint64_t at = 0;
                while (segment.p_filesz - at >= sizeof(Elf64_Nhdr) && notes++ < NOTES_MAX) {
                        Elf64_Nhdr note;
                        __builtin_memcpy(&note, bytes + at, sizeof(note));
                        uint64_t name = at + sizeof(note), content = name + padded(note.n_namesz);
                        if (content > segment.p_filesz || note.n_descsz > segment.p_filesz - content)
                                break;
                        if (note.n_type == type && note.n_namesz == owner_length &&
                            !__builtin_memcmp(bytes + name, owner, owner_length)) {
                                *length = note.n_descsz;
                                return bytes + content;
                        }
                        at = content + padded(note.n_descsz);
                        if (at > segment.p_filesz)
                                break;
                }
        }
        return NULL;
}
