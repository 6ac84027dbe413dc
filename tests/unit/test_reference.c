/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "image/reference.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/cleanup.h"
#include "image/store.h"

#define DIGEST "sha256:ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"

static void test_names_become_familiar_ones(void **state)
{
        (void)state;
        static const struct {
                const char *written, *text, *digest;
        } cases[] = {
                { "nginx", "nginx:latest", "" },
                { "nginx:1.22", "nginx:1.22", "" },
                { "docker.io/library/nginx", "nginx:latest", "" },
                { "index.docker.io/library/nginx:1", "nginx:1", "" },
                { "docker.io/nginx", "nginx:latest", "" },
                { "docker.io/someone/app", "someone/app:latest", "" },
                { "docker.io/library/deep/app", "library/deep/app:latest", "" },
                { "docker.io/docker.io/app", "docker.io/docker.io/app:latest", "" },
                { "quay.io/library/nginx", "quay.io/library/nginx:latest", "" },
                { "localhost:5000/app", "localhost:5000/app:latest", "" },
                { "localhost/app:t", "localhost/app:t", "" },
                { "[::1]:5000/app", "[::1]:5000/app:latest", "" },
                { "REGISTRY.example/app", "REGISTRY.example/app:latest", "" },
                { "a__b/c-d---e/f.g_h:V_1.-x", "a__b/c-d---e/f.g_h:V_1.-x", "" },
                { "nginx@" DIGEST, "nginx", DIGEST },
                { "nginx:1@" DIGEST, "nginx:1", DIGEST },
        };
        for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
                struct reference reference;
                struct error err = { 0 };
                assert_int_equal(reference_parse(cases[i].written, &reference, &err), 0);
                assert_string_equal(reference.text, cases[i].text);
                assert_string_equal(reference.digest, cases[i].digest);
        }
}

static void test_malformed_names_are_refused(void **state)
{
        (void)state;
        static const char *const cases[] = {
                "",
                "/",
                "a/",
                "/a",
                "a//b",
                "A",
                "a/B",
                "a:",
                "a:.x",
                "a:-x",
                "a:x/y",
                "a:x y",
                "a..b",
                "a._b",
                "a___b",
                "-a",
                "a-",
                "_a",
                "a_",
                "a b",
                "a\n",
                ("@" DIGEST),
                "a@",
                "a@sha256:1",
                "a@md5:x",
                "host:/a",
                "host:x1/a",
                "[::1/a",
                "-host.x/a",
                "host-./a",
                "..",
                "../a",
                "a/../b",
                "\xc3\xa9",
                ":tag",
                ("a@" DIGEST "@" DIGEST),
                "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad",
                "docker.io/library/ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad",
        };
        for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
                struct reference reference;
                struct error err = { 0 };
                int r = reference_parse(cases[i], &reference, &err);
                if (r >= 0)
                        fail_msg("\"%s\" was accepted", cases[i]);
                assert_non_null(strstr(err.text, "image name"));
        }
}

static void test_lengths_are_bounded(void **state)
{
        (void)state;
        char name[1024];
        struct reference reference;
        memset(name, 'a', sizeof(name));
        name[REFERENCE_NAME_MAX] = 0;
        assert_int_equal(reference_parse(name, &reference, NULL), 0);
        name[REFERENCE_NAME_MAX] = 'a';
        name[REFERENCE_NAME_MAX + 1] = 0;
        assert_int_equal(reference_parse(name, &reference, NULL), -EINVAL);
        name[REFERENCE_NAME_MAX + 1] = 'a';
        name[sizeof(name) - 1] = 0;
        assert_int_equal(reference_parse(name, &reference, NULL), -EINVAL);
        memset(name, 'a', sizeof(name));
        name[1] = ':';
        name[2 + REFERENCE_TAG_MAX] = 0;
        assert_int_equal(reference_parse(name, &reference, NULL), 0);
        name[2 + REFERENCE_TAG_MAX] = 'a';
        name[3 + REFERENCE_TAG_MAX] = 0;
        assert_int_equal(reference_parse(name, &reference, NULL), -EINVAL);
}

static void test_the_embedded_image_is_known_by_each_of_its_names(void **state)
{
        (void)state;
        assert_string_equal(store_embedded_archive("onggi/base"), "base.tar");
        assert_string_equal(store_embedded_archive("docker.io/onggi/base:latest"), "base.tar");
        assert_null(store_embedded_archive("onggi/base:2"));
        assert_null(store_embedded_archive("base"));
        assert_null(store_embedded_archive("NOT A NAME"));
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_names_become_familiar_ones),
                cmocka_unit_test(test_malformed_names_are_refused),
                cmocka_unit_test(test_lengths_are_bounded),
                cmocka_unit_test(test_the_embedded_image_is_known_by_each_of_its_names),
        };
        return cmocka_run_group_tests(tests, NULL, NULL);
}
