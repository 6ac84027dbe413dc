/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * An ELF file (System V ABI, chapters 4 and 5) as boot protocols use it: 32 or 64 bits, loaded at the physical
 * addresses of its segments. Every field is a stranger's. Freestanding.
 */
#pragma once

#include <elf.h>

#include "machine/boot.h"

struct boot_elf {
        const struct boot *boot;
        bool is_64;
        uint64_t entry;
        uint64_t headers; /* offset of the program headers */
        unsigned count;
};

bool boot_is_elf(const struct boot *boot);
/* 0; -ENOEXEC: not for x86; -EINVAL: its headers lie outside the file. */
int boot_elf_open(const struct boot *boot, struct boot_elf *elf, const char **reason);
/* A program header, `number` < count, in the form of 64 bits. */
Elf64_Phdr boot_elf_header(const struct boot_elf *elf, unsigned number);
/* Maps or copies the segments; `end`: the first byte behind them. -EINVAL, -ENOSPC. */
int boot_elf_load(const struct boot_elf *elf, struct guest_memory *memory, uint64_t *end, const char **reason);
/* Finds a note of `owner`; its contents, or NULL. */
const uint8_t *boot_elf_note(const struct boot_elf *elf, const char *owner, uint32_t type, size_t *length);
