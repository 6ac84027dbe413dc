/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What config.json says of the root file system (root, mounts, linux.devices, paths): parsed or refused with a reason; nothing
 * is mounted.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/json.h"
#include "container/root_path.h"
#include "container/rootfs.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* A clean path is absolute, has no empty, "." or ".." part, and is clean already. */
static void fuzz_path(const uint8_t *data, size_t size)
{
        char *text = strndup((const char *)data, size), *clean = root_path_clean(text), *again = root_path_clean(clean);
        if (*clean != '/' || strcmp(clean, again) != 0 || strstr(clean, "//") || strstr(clean, "/./") ||
            strstr(clean, "/../"))
                abort();
        free(text);
        free(clean);
        free(again);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
        struct error err = { 0 };
        _cleanup_json_ json_t *config = NULL;
        fuzz_path(data, size);
        if (json_parse((const char *)data, size, "input", &config, &err) < 0)
                return 0;
        struct json_reader reader = { .document = "input", .err = &err };
        struct json_at at = json_root(&reader, config);
        struct rootfs *rootfs = NULL;
        int r = json_failed(&at) ? json_failed(&at) : rootfs_parse(&at, "/bundle", &rootfs, &err);
        if ((r < 0) != !rootfs || (r < 0 && !err.text[0]))
                abort();
        rootfs_free(rootfs);
        return 0;
}
