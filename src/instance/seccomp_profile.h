/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A seccomp profile as users write it, made into the runtime-spec's linux.seccomp.
 *
 * Docker's language of profiles is the runtime-spec's with more: "archMap" in place of "architectures"; rules that hold
 * only where "includes" and "excludes" (architectures, capabilities, the kernel's version) say so; one "name" in place
 * of "names". containers-common writes "errno" and "defaultErrno" by name, too. One reader takes all of them; a profile
 * in the runtime-spec's own form comes out as it went in.
 */
#pragma once

#include <jansson.h>
#include <stdint.h>

#include "base/error.h"

/* What the conditions of rules are about. */
struct seccomp_host {
        const char *architecture;   /* as conditions name it, "amd64"; "": one that profiles have no name for */
        const char *token;          /* the same in the runtime-spec's words, "SCMP_ARCH_X86_64" */
        uint64_t kernel[2];         /* version and patch level: 6, 1 */
        const json_t *capabilities; /* names in the bounding set, ["CAP_CHOWN", …]; borrowed */
};

/* This host; `capabilities` are the instance's. */
struct seccomp_host seccomp_host_here(const json_t *capabilities);

/*
 * `document` names the profile in errors. *seccomp is the caller's. -EINVAL names the field; an unknown condition is
 * refused, as a rule without it would hold too often, other unknown members are passed over.
 */
int seccomp_profile_translate(const json_t *profile, const char *document, const struct seccomp_host *host,
                              json_t **seccomp, struct error *err);
