/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Kernels and modules that a stranger made: the header of a bzImage, the release of an unpacked kernel, what a module
 * says that it needs, and where its signature begins. No byte outside of the file is read.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/text.h"
#include "kernel/bzimage.h"
#include "kernel/module_file.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
        struct bzimage image;
        struct error err = { 0 };
        char release[BZIMAGE_RELEASE_MAX + 1];
        _cleanup_list_ char **needs = NULL;
        _cleanup_list_ char **wishes = NULL;
        int r = bzimage_parse(data, size, &image, &err);
        if (!r && (image.payload > size || image.payload_length > size - image.payload || !image.release[0] ||
                   strchr(image.release, '/')))
                abort();
        if (r < 0 && !err.text[0])
                abort();
        if (!kernel_release_find(data, size, release, NULL) && (!release[0] || strchr(release, '/')))
                abort();
        module_file_needs(data, size, &needs, &wishes, NULL);
        if (module_file_unsigned(data, size) > size)
                abort();
        return 0;
}
