/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "hosted/firmware_files.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/file.h"
#include "base/text.h"

static const struct {
        const char *name, *package, *rom, *variables;
} known[] = {
        { "bios", "seabios", "/usr/share/seabios/bios-256k.bin", NULL },
        { "uefi", "ovmf", "/usr/share/OVMF/OVMF_CODE_4M.fd", "/usr/share/OVMF/OVMF_VARS_4M.fd" },
};

/* A whole file, in memory of ours or, `shared`, as the file itself. */
static int map(const char *path, bool shared, void **bytes, uint64_t *length, struct error *err)
{
        _cleanup_close_ int fd = open(path, (shared ? O_RDWR : O_RDONLY) | O_CLOEXEC);
        struct stat st;
        if (fd < 0 || fstat(fd, &st) < 0)
                return error_errno(err, "cannot open firmware %s", path);
        if (!S_ISREG(st.st_mode) || !st.st_size || st.st_size % GUEST_PAGE_SIZE || st.st_size > FIRMWARE_SIZE_MAX)
                return error_set(err, -EINVAL, "firmware %s is not a file of whole pages of 4 KiB and at most 16 MiB",
                                 path);
        void *mapped = mmap(NULL, (size_t)st.st_size, PROT_READ | PROT_WRITE, shared ? MAP_SHARED : MAP_PRIVATE, fd, 0);
        if (mapped == MAP_FAILED)
                return error_errno(err, "cannot map firmware %s", path);
        *bytes = mapped;
        *length = (uint64_t)st.st_size;
        return 0;
}

/* The virtual machine's own variables: at its first start a copy of the package's. */
static int make_variables(const char *path, const char *from, struct error *err)
{
        if (!access(path, F_OK))
                return 0;
        if (!from)
                return error_errno(err, "--firmware-variables: cannot open %s", path);
        void *bytes;
        uint64_t length;
        int r = map(from, false, &bytes, &length, err);
        if (r < 0)
                return r;
        r = file_replace(AT_FDCWD, path, bytes, (size_t)length, 0600, err);
        munmap(bytes, (size_t)length);
        return r;
}

int firmware_files_map(const struct vmm_settings *settings, struct firmware_settings *firmware, struct error *err)
{
        const char *rom = settings->firmware, *variables = NULL, *own = settings->firmware_variables;
        for (size_t i = 0; i < ARRAY_SIZE(known); i++) {
                if (strcmp(settings->firmware, known[i].name))
                        continue;
                rom = known[i].rom;
                variables = known[i].variables;
                if (access(rom, F_OK) < 0)
                        return error_errno(err, "--firmware %s: %s (Debian's package %s has it)", known[i].name, rom,
                                           known[i].package);
        }
        int r = map(rom, false, &firmware->rom, &firmware->rom_length, err);
        if (r < 0)
                return r;
        if (own)
                r = make_variables(own, variables, err);
        if (!r && (own || variables))
                r = map(own ? own : variables, own, &firmware->variables, &firmware->variables_length, err);
        return r;
}
