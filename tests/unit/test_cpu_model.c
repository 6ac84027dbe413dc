/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <string.h>

#include "engine/cpu_model.h"

static bool has(const struct cpu_model *model, const char *name)
{
        for (unsigned word = 0; word < CPU_FEATURE_WORDS; word++)
                for (unsigned bit = 0; bit < 32; bit++)
                        if (cpu_feature_name(word, bit) && !strcmp(cpu_feature_name(word, bit), name))
                                return model->kept[word] >> bit & 1;
        fail_msg("no feature %s", name);
        return false;
}

static void test_each_model_has_its_features(void **state)
{
        static const struct {
                const char *text, *with, *without;
        } cases[] = {
                { NULL, "avx2", "svm" },
                { "host", "avx512f", "vmx" },
                { "host,+svm", "svm", "vmx" },
                { "host,-avx2", "avx", "avx2" },
                { "baseline", "sse4_2", "avx" },
                { "baseline,+avx", "avx", "avx2" },
                { "sse4_1,aes", "aes", "sse4_2" },
                { "aes", "lm", "popcnt" },
                { "baseline,-popcnt", "cx16", "popcnt" },
        };
        (void)state;
        for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
                struct cpu_model model;
                struct error err = { 0 };
                assert_int_equal(cpu_model_parse(cases[i].text, &model, &err), 0);
                assert_true(has(&model, cases[i].with));
                assert_false(has(&model, cases[i].without));
                assert_true(has(&model, "sse2"));
        }
}

static void test_an_unknown_name_is_refused_with_the_nearest(void **state)
{
        static const struct {
                const char *text, *nearest;
        } cases[] = {
                { "host,+axv2", "\"avx2\"" },     { "hots", "\"host\"" }, { "basline", "\"baseline\"" },
                { "host,-sse4.2", "\"sse4_2\"" }, { "", "the nearest" },  { "host,baseline", "can only come first" },
                { "host,-lm", "no kernel runs" },
        };
        (void)state;
        for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
                struct cpu_model model;
                struct error err = { 0 };
                assert_int_equal(cpu_model_parse(cases[i].text, &model, &err), -EINVAL);
                assert_non_null(strstr(err.text, cases[i].nearest));
        }
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_each_model_has_its_features),
                cmocka_unit_test(test_an_unknown_name_is_refused_with_the_nearest),
        };
        return cmocka_run_group_tests(tests, NULL, NULL);
}
