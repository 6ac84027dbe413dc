/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The object linux.seccomp as engines and users write it: whatever it is, it is compiled or refused with a reason.
 */
#include <stdint.h>
#include <stdlib.h>

#include "base/json.h"
#include "container/seccomp.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
        struct error err = { 0 };
        _cleanup_json_ json_t *profile = NULL;
        if (json_parse((const char *)data, size, "input", &profile, &err) < 0)
                return 0;
        struct json_reader reader = { .document = "input", .err = &err };
        struct json_at at = json_root(&reader, profile);
        struct seccomp *seccomp = NULL;
        int r = json_failed(&at) ? json_failed(&at) : seccomp_prepare(&at, NULL, &seccomp, &err);
        /* Either a filter or a reason. */
        if ((r < 0) != !seccomp || (r < 0 && !err.text[0]))
                abort();
        seccomp_free(seccomp);
        return 0;
}
