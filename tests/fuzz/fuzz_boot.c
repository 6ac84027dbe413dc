/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Every boot protocol with a kernel of the fuzzer's: whatever the file says, it is loaded inside the guest's memory or
 * refused with a reason.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "machine/boot.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { RAM = 4 << 20 };

static bool map(void *context, void *to, size_t offset, size_t length)
{
        memcpy(to, (const uint8_t *)context + offset, length);
        return true;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
        static uint8_t *ram;
        if (!ram)
                ram = aligned_alloc(GUEST_PAGE_SIZE, RAM);
        uint8_t *file = malloc(size + 1); /* of its very size, so that what is beyond it is poisoned */
        if (!ram || !file)
                abort();
        memcpy(file, data, size);

        struct guest_memory memory = { 0 };
        if (guest_memory_add(&memory, gpa(0), RAM, ram, GUEST_RAM) < 0)
                abort();
        const struct boot_module module = { "module", 6, "module", "of=words" };
        const struct boot boot = {
                .name = "kernel",
                .kernel = file,
                .kernel_length = size,
                .modules = &module,
                .module_count = size && (data[size - 1] & 1),
                .command_line = "words",
                .acpi = size ? (uint64_t)data[size - 1] << 8 : 0,
                .map = size % 2 ? map : NULL,
                .context = file,
        };
        struct cpu_state entry;
        const char *reason = NULL;
        if (boot_load(&memory, &boot, &entry, &reason) < 0 && !reason)
                abort();
        free(file);
        return 0;
}
