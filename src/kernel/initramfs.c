/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "kernel/initramfs.h"

#include <dirent.h>
#include <elf.h>
#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/file.h"
#include "base/json.h"
#include "kernel/cpio.h"
#include "kernel/kernel.h"

#define FILE_BYTES_MAX ((size_t)64 << 20)
#define ALIGNMENT      512 /* any multiple of four will do for what follows */

static int identify(const char *path, json_t *identity, const char *key, struct error *err)
{
        struct stat st;
        if (stat(path, &st) < 0)
                return error_errno(err, "cannot open %s, which virtual machines of images need", path);
        json_t *value = json_pack("[I, I, I]", (json_int_t)st.st_size, (json_int_t)st.st_mtim.tv_sec,
                                  (json_int_t)st.st_mtim.tv_nsec);
        return json_object_set_new(identity, key, value) < 0 ? error_memory(err) : 0;
}

int initramfs_programs(const struct kernel_programs *programs, json_t **result, struct error *err)
{
        _cleanup_json_ json_t *identity = json_object();
        int r = identity ? identify(programs->init, identity, "init", err) : error_memory(err);
        if (!r)
                r = identify(programs->runtime, identity, "runtime", err);
        if (!r)
                *result = TAKE_PTR(identity);
        return r;
}

/* The length that the kernel loads of a static program: what lies behind its segments is for debuggers. */
static size_t cut(char *bytes, size_t length)
{
        Elf64_Ehdr elf;
        size_t end = sizeof(elf);
        if (length < sizeof(elf))
                return length;
        memcpy(&elf, bytes, sizeof(elf));
        if (memcmp(elf.e_ident, ELFMAG, SELFMAG) || elf.e_phentsize != sizeof(Elf64_Phdr) || elf.e_phoff > length ||
            elf.e_phnum > (length - elf.e_phoff) / sizeof(Elf64_Phdr))
                return length;
        for (unsigned i = 0; i < elf.e_phnum; i++) {
                Elf64_Phdr segment;
                memcpy(&segment, bytes + elf.e_phoff + i * sizeof(segment), sizeof(segment));
                if (segment.p_offset > length || segment.p_filesz > length - segment.p_offset)
                        return length;
                if (segment.p_offset + segment.p_filesz > end)
                        end = segment.p_offset + segment.p_filesz;
        }
        elf.e_shoff = elf.e_shnum = elf.e_shstrndx = 0;
        memcpy(bytes, &elf, sizeof(elf));
        return end;
}

static int add_program(struct cpio *cpio, const char *path, const char *name, struct error *err)
{
        _cleanup_free_ char *bytes = NULL;
        size_t length;
        int r = file_read(AT_FDCWD, path, FILE_BYTES_MAX, &bytes, &length, err);
        if (!r)
                cpio_file(cpio, name, 0755, bytes, cut(bytes, length));
        return r;
}

static int not_hidden(const struct dirent *entry)
{
        return entry->d_name[0] != '.';
}

static int add_modules(struct cpio *cpio, int folder, struct error *err)
{
        struct dirent **entries = NULL;
        int count = scandirat(folder, "modules", &entries, not_hidden, alphasort), r = 0;
        _cleanup_close_ int modules = openat(folder, "modules", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        if (count < 0 || modules < 0)
                return error_errno(err, "cannot read the kernel's folder of modules");
        cpio_folder(cpio, "onggi/modules", 0755);
        for (int i = 0; i < count; i++) {
                _cleanup_free_ char *bytes = NULL;
                _cleanup_free_ char *path = text_format("onggi/modules/%s", entries[i]->d_name);
                size_t length;
                if (!r)
                        r = path ? file_read(modules, entries[i]->d_name, FILE_BYTES_MAX, &bytes, &length, err)
                                 : error_memory(err);
                if (!r)
                        cpio_file(cpio, path, 0644, bytes, length);
                free(entries[i]);
        }
        free(entries);
        return r;
}

int initramfs_write(int folder, const struct kernel_programs *programs, struct error *err)
{
        struct cpio cpio = { 0 };
        cpio_folder(&cpio, "dev", 0755);
        cpio_character_device(&cpio, "dev/console", 0600, 5, 1); /* Linux Documentation/admin-guide/devices.txt */
        cpio_folder(&cpio, "onggi", 0755);
        int r = add_program(&cpio, programs->init, "init", err);
        if (!r)
                r = add_program(&cpio, programs->runtime, "onggi/onggi-runtime", err);
        if (!r)
                r = add_modules(&cpio, folder, err);
        cpio_end(&cpio, ALIGNMENT);
        if (!r && text_failed(&cpio.bytes))
                r = error_memory(err);
        if (!r)
                r = file_replace(folder, "initramfs", cpio.bytes.data, cpio.bytes.length, 0644, err);
        text_free(&cpio.bytes);
        return r;
}
