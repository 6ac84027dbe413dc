/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "engine/cpu_model.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/text.h"

/* AMD APM vol. 3, appendix E; Intel SDM vol. 2A, "CPUID". */
enum { WORD_1_EDX, WORD_1_ECX, WORD_7_EBX, WORD_7_ECX, WORD_7_EDX, WORD_8_EDX, WORD_8_ECX };

const struct cpu_feature_word cpu_feature_words[CPU_FEATURE_WORDS] = {
        [WORD_1_EDX] = { 0x1, 0, CPUID_EDX },        [WORD_1_ECX] = { 0x1, 0, CPUID_ECX },
        [WORD_7_EBX] = { 0x7, 0, CPUID_EBX },        [WORD_7_ECX] = { 0x7, 0, CPUID_ECX },
        [WORD_7_EDX] = { 0x7, 0, CPUID_EDX },        [WORD_8_EDX] = { 0x80000001, 0, CPUID_EDX },
        [WORD_8_ECX] = { 0x80000001, 0, CPUID_ECX },
};

/* In which model a feature is. */
enum {
        ALWAYS = 1,   /* a 64-bit kernel does not start without it, or it says nothing about instructions */
        BASELINE = 2, /* x86-64-v2 and what goes with it */
        BY_NAME = 4,  /* not even in `host` */
};

struct feature {
        const char *name;
        uint8_t word, bit, in;
};

static const struct feature features[] = {
        { "fpu", WORD_1_EDX, 0, ALWAYS },
        { "vme", WORD_1_EDX, 1, BASELINE },
        { "de", WORD_1_EDX, 2, ALWAYS },
        { "pse", WORD_1_EDX, 3, ALWAYS },
        { "tsc", WORD_1_EDX, 4, ALWAYS },
        { "msr", WORD_1_EDX, 5, ALWAYS },
        { "pae", WORD_1_EDX, 6, ALWAYS },
        { "mce", WORD_1_EDX, 7, BASELINE },
        { "cx8", WORD_1_EDX, 8, ALWAYS },
        { "apic", WORD_1_EDX, 9, ALWAYS },
        { "sep", WORD_1_EDX, 11, ALWAYS },
        { "mtrr", WORD_1_EDX, 12, ALWAYS },
        { "pge", WORD_1_EDX, 13, ALWAYS },
        { "mca", WORD_1_EDX, 14, BASELINE },
        { "cmov", WORD_1_EDX, 15, ALWAYS },
        { "pat", WORD_1_EDX, 16, ALWAYS },
        { "pse36", WORD_1_EDX, 17, BASELINE },
        { "clflush", WORD_1_EDX, 19, ALWAYS },
        { "mmx", WORD_1_EDX, 23, ALWAYS },
        { "fxsr", WORD_1_EDX, 24, ALWAYS },
        { "sse", WORD_1_EDX, 25, ALWAYS },
        { "sse2", WORD_1_EDX, 26, ALWAYS },
        { "ht", WORD_1_EDX, 28, ALWAYS },
        { "pni", WORD_1_ECX, 0, BASELINE },
        { "pclmulqdq", WORD_1_ECX, 1, 0 },
        { "monitor", WORD_1_ECX, 3, 0 },
        { "vmx", WORD_1_ECX, 5, BY_NAME },
        { "ssse3", WORD_1_ECX, 9, BASELINE },
        { "fma", WORD_1_ECX, 12, 0 },
        { "cx16", WORD_1_ECX, 13, BASELINE },
        { "pcid", WORD_1_ECX, 17, 0 },
        { "sse4_1", WORD_1_ECX, 19, BASELINE },
        { "sse4_2", WORD_1_ECX, 20, BASELINE },
        { "x2apic", WORD_1_ECX, 21, ALWAYS },
        { "movbe", WORD_1_ECX, 22, 0 },
        { "popcnt", WORD_1_ECX, 23, BASELINE },
        { "tsc_deadline_timer", WORD_1_ECX, 24, ALWAYS },
        { "aes", WORD_1_ECX, 25, 0 },
        { "xsave", WORD_1_ECX, 26, 0 },
        { "avx", WORD_1_ECX, 28, 0 },
        { "f16c", WORD_1_ECX, 29, 0 },
        { "rdrand", WORD_1_ECX, 30, 0 },
        { "hypervisor", WORD_1_ECX, 31, ALWAYS },
        { "fsgsbase", WORD_7_EBX, 0, 0 },
        { "tsc_adjust", WORD_7_EBX, 1, 0 },
        { "bmi1", WORD_7_EBX, 3, 0 },
        { "avx2", WORD_7_EBX, 5, 0 },
        { "smep", WORD_7_EBX, 7, 0 },
        { "bmi2", WORD_7_EBX, 8, 0 },
        { "erms", WORD_7_EBX, 9, 0 },
        { "invpcid", WORD_7_EBX, 10, 0 },
        { "rtm", WORD_7_EBX, 11, 0 },
        { "avx512f", WORD_7_EBX, 16, 0 },
        { "avx512dq", WORD_7_EBX, 17, 0 },
        { "rdseed", WORD_7_EBX, 18, 0 },
        { "adx", WORD_7_EBX, 19, 0 },
        { "smap", WORD_7_EBX, 20, 0 },
        { "clflushopt", WORD_7_EBX, 23, 0 },
        { "clwb", WORD_7_EBX, 24, 0 },
        { "avx512cd", WORD_7_EBX, 28, 0 },
        { "sha_ni", WORD_7_EBX, 29, 0 },
        { "avx512bw", WORD_7_EBX, 30, 0 },
        { "avx512vl", WORD_7_EBX, 31, 0 },
        { "umip", WORD_7_ECX, 2, 0 },
        { "pku", WORD_7_ECX, 3, 0 },
        { "gfni", WORD_7_ECX, 8, 0 },
        { "vaes", WORD_7_ECX, 9, 0 },
        { "vpclmulqdq", WORD_7_ECX, 10, 0 },
        { "la57", WORD_7_ECX, 16, 0 },
        { "rdpid", WORD_7_ECX, 22, 0 },
        { "fsrm", WORD_7_EDX, 4, 0 },
        { "md_clear", WORD_7_EDX, 10,
          ALWAYS }, /* mitigations: a guest that lacks one is less safe, not more portable */
        { "spec_ctrl", WORD_7_EDX, 26, ALWAYS },
        { "stibp", WORD_7_EDX, 27, ALWAYS },
        { "arch_capabilities", WORD_7_EDX, 29, ALWAYS },
        { "ssbd", WORD_7_EDX, 31, ALWAYS },
        { "syscall", WORD_8_EDX, 11, ALWAYS },
        { "nx", WORD_8_EDX, 20, ALWAYS },
        { "mmxext", WORD_8_EDX, 22, 0 },
        { "fxsr_opt", WORD_8_EDX, 25, 0 },
        { "pdpe1gb", WORD_8_EDX, 26, 0 },
        { "rdtscp", WORD_8_EDX, 27, 0 },
        { "lm", WORD_8_EDX, 29, ALWAYS },
        { "lahf_lm", WORD_8_ECX, 0, BASELINE },
        { "cmp_legacy", WORD_8_ECX, 1, ALWAYS },
        { "svm", WORD_8_ECX, 2, BY_NAME },
        { "cr8_legacy", WORD_8_ECX, 4, 0 },
        { "abm", WORD_8_ECX, 5, 0 },
        { "sse4a", WORD_8_ECX, 6, 0 },
        { "misalignsse", WORD_8_ECX, 7, 0 },
        { "3dnowprefetch", WORD_8_ECX, 8, 0 },
        { "topoext", WORD_8_ECX, 22, ALWAYS },
};

const char *cpu_feature_name(unsigned word, unsigned bit)
{
        for (size_t i = 0; i < ARRAY_SIZE(features); i++)
                if (features[i].word == word && features[i].bit == bit)
                        return features[i].name;
        return NULL;
}

/* ---- Names that are nearly right ---- */

#define NAME_MAX_LENGTH 24

static unsigned least(unsigned a, unsigned b)
{
        return a < b ? a : b;
}

/* Letters to insert, remove or change, or neighbours to swap, to make one of the other: Damerau and Levenshtein. */
static unsigned distance(const char *a, const char *b)
{
        unsigned rows[3][NAME_MAX_LENGTH + 1]; /* by length of the beginning of `a`, modulo three */
        size_t rows_needed = strlen(a), length = strlen(b);
        if (length > NAME_MAX_LENGTH)
                return UINT32_MAX;
        for (size_t i = 0; i <= rows_needed; i++) {
                unsigned *row = rows[i % 3], *before = rows[(i + 2) % 3], *earlier = rows[(i + 1) % 3];
                row[0] = (unsigned)i;
                for (size_t j = 1; j <= length; j++) {
                        if (!i) {
                                row[j] = (unsigned)j;
                                continue;
                        }
                        row[j] = least(least(row[j - 1], before[j]) + 1, before[j - 1] + (a[i - 1] != b[j - 1]));
                        if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1])
                                row[j] = least(row[j], earlier[j - 2] + 1);
                }
        }
        return rows[rows_needed % 3][length];
}

static const struct feature *find(const char *name)
{
        for (size_t i = 0; i < ARRAY_SIZE(features); i++)
                if (!strcmp(features[i].name, name))
                        return &features[i];
        return NULL;
}

static int unknown(const char *name, struct error *err)
{
        const char *nearest = "host";
        unsigned nearest_away = distance(name, nearest);
        for (size_t i = 0; i < ARRAY_SIZE(features); i++) {
                unsigned away = distance(name, features[i].name);
                if (away < nearest_away) {
                        nearest_away = away;
                        nearest = features[i].name;
                }
        }
        unsigned away = distance(name, "baseline");
        return error_set(err, -EINVAL, "--cpu: there is no feature \"%.40s\"; the nearest is \"%s\"", name,
                         away < nearest_away ? "baseline" : nearest);
}

/* ---- The option ---- */

/* Features that are in a model of that kind; bits without a name go with `host` alone. */
static void start_from(struct cpu_model *model, bool all, unsigned in)
{
        model->all = all;
        for (unsigned word = 0; word < CPU_FEATURE_WORDS; word++)
                model->kept[word] = all ? UINT32_MAX : 0;
        for (size_t i = 0; i < ARRAY_SIZE(features); i++) {
                uint32_t bit = 1u << features[i].bit;
                if (all && (features[i].in & BY_NAME))
                        model->kept[features[i].word] &= ~bit;
                else if (!all && (features[i].in & in))
                        model->kept[features[i].word] |= bit;
        }
}

int cpu_model_parse(const char *text, struct cpu_model *model, struct error *err)
{
        *model = (struct cpu_model){ .all = false };
        _cleanup_free_ char *copy = strdup(text ? text : "host");
        if (!copy)
                return error_memory(err);
        char *rest = copy;
        bool first = true;
        for (char *item; (item = strsep(&rest, ",")); first = false) {
                bool host = !strcmp(item, "host"), baseline = !strcmp(item, "baseline");
                if (first)
                        start_from(model, host, ALWAYS | (baseline ? BASELINE : 0));
                if (host || baseline) {
                        if (!first)
                                return error_set(err, -EINVAL, "--cpu: \"%s\" can only come first", item);
                        continue;
                }
                bool without = *item == '-';
                item += *item == '-' || *item == '+';
                const struct feature *feature = find(item);
                if (!feature)
                        return unknown(item, err);
                uint32_t bit = 1u << feature->bit;
                if (without && (feature->in & ALWAYS))
                        return error_set(err, -EINVAL, "--cpu: no kernel runs without \"%s\"", item);
                model->kept[feature->word] =
                        without ? model->kept[feature->word] & ~bit : model->kept[feature->word] | bit;
                model->wanted[feature->word] =
                        without ? model->wanted[feature->word] & ~bit : model->wanted[feature->word] | bit;
        }
        return 0;
}
