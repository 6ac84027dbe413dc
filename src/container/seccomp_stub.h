/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What a filter answers to system calls that are younger than its profile: that they do not exist.
 *
 * A profile that forbids what it does not name was written before some calls were invented. Libraries try those
 * first, and fall back when they are told ENOSYS, but give up at the profile's EPERM. So a few instructions in front
 * of the program answer ENOSYS to every number above the highest that the profile names for that architecture.
 */
#pragma once

#include "base/error.h"
#include "container/seccomp_compile.h"

#define SECCOMP_ARCHITECTURES_MAX 32

struct seccomp_newest {
        uint32_t architecture; /* libseccomp's token */
        uint32_t number;       /* the highest that the profile names; x32's with its bit */
};

/* Puts the instructions in front of the program. -EFBIG if the kernel would not take it any more. */
int seccomp_stub_prepend(struct seccomp_program *program, const struct seccomp_newest *newest, size_t count,
                         struct error *err);
