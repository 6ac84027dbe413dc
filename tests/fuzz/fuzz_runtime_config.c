/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * config.json as a bundle brings it: refused with a reason, or read whole, and then by parts as well.
 */
#include <stdint.h>
#include <stdlib.h>

#include "container/config.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static int parse(const uint8_t *data, size_t size, enum config_parts parts)
{
        struct config *config = NULL;
        struct error err = { 0 };
        int r = config_parse((const char *)data, size, "/", parts, &config, &err);
        if (r < 0 && (config || !err.text[0] || err.code >= 0))
                abort();
        if (!r) {
                if (parts & CONFIG_PROGRAM && config->has_program &&
                    (!config->program.args[0] || config->program.cwd[0] != '/'))
                        abort();
                config_free(config);
        }
        return r;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
        int r = parse(data, size, CONFIG_ALL);
        if (!r && (parse(data, size, CONFIG_PROGRAM) < 0 || parse(data, size, CONFIG_HOOKS) < 0))
                abort();
        return 0;
}
