/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The object linux.seccomp as engines and users write it, and profiles in Docker's language: whatever it is, it is
 * compiled or refused with a reason.
 */
#include <stdint.h>
#include <stdlib.h>

#include "base/json.h"
#include "container/seccomp.h"
#include "instance/seccomp_profile.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void compile(const json_t *profile)
{
        struct error err = { 0 };
        struct json_reader reader = { .document = "input", .err = &err };
        struct json_at at = json_root(&reader, profile);
        struct seccomp *seccomp = NULL;
        int r = json_failed(&at) ? json_failed(&at) : seccomp_prepare(&at, NULL, &seccomp, &err);
        /* Either a filter or a reason. */
        if ((r < 0) != !seccomp || (r < 0 && !err.text[0]))
                abort();
        seccomp_free(seccomp);
}

static void translate(const json_t *profile)
{
        struct error err = { 0 };
        _cleanup_json_ json_t *capabilities = json_pack("[s, s]", "CAP_CHOWN", "CAP_SYS_ADMIN");
        const struct seccomp_host host = seccomp_host_here(capabilities);
        json_t *translated = NULL;
        int r = seccomp_profile_translate(profile, "input", &host, &translated, &err);
        if ((r < 0) != !translated || (r < 0 && !err.text[0]))
                abort();
        if (translated)
                compile(translated);
        json_decref(translated);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
        _cleanup_json_ json_t *profile = NULL;
        if (json_parse((const char *)data, size, "input", &profile, NULL) < 0)
                return 0;
        compile(profile);
        translate(profile);
        return 0;
}
