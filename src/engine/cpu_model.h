/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Which features a virtual CPU has: the option --cpu, the same for every engine.
 *
 *   host                     all that the engine can give
 *   baseline                 x86-64-v2 (System V ABI, AMD64 supplement, table 3.1): what hosts of the last ten years have
 *   NAME,NAME,…              what every 64-bit kernel needs, and the features named
 *   …,+NAME,-NAME            any of them with features added and taken away
 *
 * Names are those of Linux's /proc/cpuinfo. Nested virtualization (svm, vmx) is off unless it is added by name, because
 * its state is part of no saved machine. A model only takes away: what the engine cannot give is refused where it is
 * named.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"

enum cpuid_register { CPUID_EAX, CPUID_EBX, CPUID_ECX, CPUID_EDX };

/* A word of features in CPUID. */
struct cpu_feature_word {
        uint32_t leaf, subleaf;
        enum cpuid_register output;
};

#define CPU_FEATURE_WORDS 7

extern const struct cpu_feature_word cpu_feature_words[CPU_FEATURE_WORDS];

/* What of each word stays, and what must be there (it was asked for by name). */
struct cpu_model {
        bool all; /* from `host`: leaves whose features have no names here stay too */
        uint32_t kept[CPU_FEATURE_WORDS], wanted[CPU_FEATURE_WORDS];
};

/* `text` NULL: host. -EINVAL for a name that there is not, with the nearest one. */
int cpu_model_parse(const char *text, struct cpu_model *model, struct error *err);
/* A name for a bit of a word: "avx2", or NULL. */
const char *cpu_feature_name(unsigned word, unsigned bit);
