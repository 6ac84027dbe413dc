/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * From a seccomp profile to BPF, by libseccomp; and the words of profiles (OCI runtime-spec config-linux.md,
 * "Seccomp").
 */
#pragma once

#include <jansson.h>
#include <linux/filter.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/error.h"
#include "base/json.h"

struct seccomp_program {
        struct sock_filter *filter; /* the owner's to free */
        uint16_t length;            /* instructions */
        bool notify;                /* some rule has SCMP_ACT_NOTIFY */
};

/*
 * Checks every field of the object linux.seccomp that a filter depends on, and compiles it. Unknown names of system
 * calls are passed over, as profiles list what other kernels and architectures have.
 */
int seccomp_compile(const struct json_at *at, struct seccomp_program *program, struct error *err);

/*
 * What a compiled program depends on besides the profile: the versions of libseccomp and of this code, the
 * architecture.
 */
void seccomp_compiler_identity(char *text, size_t size);

/* Adds "actions", "operators" and "archs" to the object for `features`. */
void seccomp_compiler_features(json_t *features);
