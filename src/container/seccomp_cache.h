/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A folder of compiled seccomp programs.
 *
 * A file is named after the SHA-256 of everything that its program depends on, is written atomically and holds a
 * digest of itself and its name. What is damaged, or not the caller's own, counts as missing. The number of files is
 * bounded: the oldest go.
 */
#pragma once

#include "base/error.h"
#include "container/seccomp_compile.h"

#define SECCOMP_CACHE_KEY 32 /* bytes */

/* Of the compiler's identity and the profile's text. */
void seccomp_cache_key(const char *profile, size_t length, unsigned char key[SECCOMP_CACHE_KEY]);

/* Returns 1 with *program filled (filter is the caller's to free), 0 if there is none. */
int seccomp_cache_find(const char *folder, const unsigned char key[SECCOMP_CACHE_KEY], struct seccomp_program *program);

/* Keeps it. Nobody needs to know when that fails: the next run compiles again. */
void seccomp_cache_store(const char *folder, const unsigned char key[SECCOMP_CACHE_KEY],
                         const struct seccomp_program *program);
