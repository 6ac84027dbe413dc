/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What a container may do unless its user says otherwise: a set of capabilities and a seccomp profile.
 *
 * Both follow what Docker documents, so that an image which runs there runs here, and are no wider; vmsplice(2) and
 * io_pgetevents(2), which podman refuses, are refused here too. System calls that came after the profile get the errno
 * of one that does not exist (seccomp_stub.h), and programs fall back as on an older kernel. What a capability guards
 * is let through only with that capability: the kernel asks for it anyway, but the filter keeps the code behind it out
 * of reach. Needs jansson only.
 */
#pragma once

#include <jansson.h>
#include <stdint.h>

/* The 14 capabilities of a container that was given no others; bit n is capability number n. */
uint64_t default_capabilities(void);

/*
 * The object linux.seccomp for a container whose bounding set is `capabilities`, for the architecture that this is
 * compiled for and those whose programs run on it; the caller's. NULL without memory.
 */
json_t *default_seccomp_profile(uint64_t capabilities);
