/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "image/digest.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

#include "base/cleanup.h"

#define OF_NOTHING "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
#define OF_ABC     "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"

static void test_known_digests(void **state)
{
        (void)state;
        struct digest digest;
        digest_bytes("", 0, &digest);
        assert_string_equal(digest.text, "sha256:" OF_NOTHING);
        digest_bytes("abc", 3, &digest);
        assert_string_equal(digest_hex(&digest), OF_ABC);
}

static void test_pieces_give_the_digest_of_the_whole(void **state)
{
        (void)state;
        struct digester digester;
        struct digest digest;
        digester_start(&digester);
        digester_add(&digester, "a", 1);
        digester_add(&digester, "bc", 2);
        assert_int_equal(digester.length, 3);
        digester_finish(&digester, &digest);
        assert_string_equal(digest_hex(&digest), OF_ABC);

        /* and starts anew */
        digester_finish(&digester, &digest);
        assert_string_equal(digest_hex(&digest), OF_NOTHING);
}

static void test_only_what_can_be_a_file_name_becomes_a_digest(void **state)
{
        (void)state;
        static const struct {
                const char *text;
                int expected;
        } cases[] = {
                { "sha256:" OF_ABC, 0 },
                { "sha256:" OF_ABC "0", -EINVAL },
                { "sha256:BA7816BF8F01CFEA414140DE5DAE2223B00361A396177A9CB410FF61F20015AD", -EINVAL },
                { "sha256:../../../../etc/passwd/xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx", -EINVAL },
                { "sha256:", -EINVAL },
                { "", -EINVAL },
                { ":", -EINVAL },
                { OF_ABC, -EINVAL },
                { "sha512:abcdef", -ENOTSUP },
                { "sha256+b64:LCa0a2j", -ENOTSUP },
                { "sha512:a/b", -EINVAL },
        };
        for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
                struct digest digest;
                struct error err = { 0 };
                assert_int_equal(digest_parse(cases[i].text, &digest, &err), cases[i].expected);
                assert_int_equal(err.code, cases[i].expected);
        }
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_known_digests),
                cmocka_unit_test(test_pieces_give_the_digest_of_the_whole),
                cmocka_unit_test(test_only_what_can_be_a_file_name_becomes_a_digest),
        };
        return cmocka_run_group_tests(tests, NULL, NULL);
}
