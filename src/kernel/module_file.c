/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "kernel/module_file.h"

#include <elf.h>
#include <errno.h>
#include <stdint.h>
#include <string.h>

#include "base/text.h"

#define SIGNATURE_MARK "~Module signature appended~\n"

/* Linux include/linux/module_signature.h: the last of a signature, in front of the mark. */
struct signature_tail {
        uint8_t algorithm, hash, id_type, signer_length, key_length, zero[3];
        uint8_t signature_length[4]; /* big-endian */
};

/* The section .modinfo; NULL where the file has none that lies in it. */
static const char *find_information(const uint8_t *bytes, size_t length, size_t *found)
{
        Elf64_Ehdr elf;
        Elf64_Shdr names, section;
        if (length < sizeof(elf))
                return NULL;
        memcpy(&elf, bytes, sizeof(elf));
        if (memcmp(elf.e_ident, ELFMAG, SELFMAG) || elf.e_ident[EI_CLASS] != ELFCLASS64 || elf.e_type != ET_REL ||
            elf.e_shentsize != sizeof(section) || elf.e_shoff > length ||
            elf.e_shnum > (length - elf.e_shoff) / sizeof(section) || elf.e_shstrndx >= elf.e_shnum)
                return NULL;
        memcpy(&names, bytes + elf.e_shoff + elf.e_shstrndx * sizeof(names), sizeof(names));
        if (names.sh_offset > length || names.sh_size > length - names.sh_offset)
                return NULL;
        for (unsigned i = 0; i < elf.e_shnum; i++) {
                static const char wanted[] = ".modinfo";
                memcpy(&section, bytes + elf.e_shoff + i * sizeof(section), sizeof(section));
                if (names.sh_size < sizeof(wanted) || section.sh_name > names.sh_size - sizeof(wanted) ||
                    memcmp(bytes + names.sh_offset + section.sh_name, wanted, sizeof(wanted)))
                        continue;
                if (section.sh_type == SHT_NOBITS || section.sh_offset > length ||
                    section.sh_size > length - section.sh_offset)
                        return NULL;
                *found = section.sh_size;
                return (const char *)bytes + section.sh_offset;
        }
        return NULL;
}

/* Words of a text that need not end with a zero. */
static int append_words(const char *text, size_t length, const char *separators, char ***list)
{
        while (length) {
                size_t word = 0;
                while (word < length && !strchr(separators, text[word]))
                        word++;
                if (word && list_printf(list, "%.*s", (int)word, text) < 0)
                        return -ENOMEM;
                size_t skip = word < length ? word + 1 : word;
                text += skip;
                length -= skip;
        }
        return 0;
}

int module_file_needs(const void *bytes, size_t length, char ***needs, char ***wishes, struct error *err)
{
        static const char depends[] = "depends=", soft[] = "softdep=pre: ";
        size_t size;
        const char *at = find_information(bytes, length, &size);
        if (!at)
                return error_set(err, -EBADMSG, "it is no kernel module for 64-bit x86");
        for (const char *end = at + size; at < end;) {
                size_t word = strnlen(at, (size_t)(end - at));
                int r = 0;
                if (word > strlen(depends) && !memcmp(at, depends, strlen(depends)))
                        r = append_words(at + strlen(depends), word - strlen(depends), ",", needs);
                else if (word > strlen(soft) && !memcmp(at, soft, strlen(soft)))
                        r = append_words(at + strlen(soft), word - strlen(soft), " ", wishes);
                if (r < 0)
                        return error_memory(err);
                at += word + 1;
        }
        return 0;
}

size_t module_file_unsigned(const void *bytes, size_t length)
{
        const size_t mark = strlen(SIGNATURE_MARK);
        struct signature_tail tail;
        if (length < mark + sizeof(tail) || memcmp((const char *)bytes + length - mark, SIGNATURE_MARK, mark))
                return length;
        size_t left = length - mark - sizeof(tail);
        memcpy(&tail, (const char *)bytes + left, sizeof(tail));
        uint64_t signature = (uint64_t)tail.signature_length[0] << 24 | tail.signature_length[1] << 16 |
                             tail.signature_length[2] << 8 | tail.signature_length[3];
        uint64_t all = signature + tail.signer_length + tail.key_length;
        return all <= left ? left - all : length;
}
