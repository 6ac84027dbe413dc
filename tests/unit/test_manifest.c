/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "image/manifest.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

#include "base/json.h"

#define HEX         "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
#define CONFIG      "\"config\":{\"mediaType\":\"" MEDIA_TYPE_CONFIG "\",\"digest\":\"sha256:" HEX "\",\"size\":2}"
#define LAYER(size) "{\"mediaType\":\"" MEDIA_TYPE_LAYER "\",\"digest\":\"sha256:" HEX "\",\"size\":" size "}"
#define ENTRY(size, platform)                                                                                          \
        "{\"mediaType\":\"" MEDIA_TYPE_MANIFEST "\",\"digest\":\"sha256:" HEX "\",\"size\":" size                      \
        ",\"platform\":" platform "}"

static json_t *parse(const char *text)
{
        json_t *document = NULL;
        assert_int_equal(json_parse(text, strlen(text), "test", &document, NULL), 0);
        return document;
}

static void test_a_manifest_gives_its_descriptors_in_order(void **state)
{
        (void)state;
        _cleanup_json_ json_t *document =
                parse("{\"schemaVersion\":2," CONFIG ",\"layers\":[" LAYER("10") "," LAYER("20") "]}");
        struct manifest manifest;
        struct error err = { 0 };
        assert_int_equal(manifest_parse(document, "manifest", &manifest, &err), 0);
        assert_string_equal(manifest.media_type, MEDIA_TYPE_MANIFEST);
        assert_string_equal(digest_hex(&manifest.config.digest), HEX);
        assert_int_equal(manifest.layer_count, 2);
        assert_int_equal(manifest.layers[0].size, 10);
        assert_int_equal(manifest.layers[1].size, 20);
        manifest_free(&manifest);
}

static void test_a_document_that_can_be_read_in_two_ways_is_refused(void **state)
{
        (void)state;
        static const struct {
                const char *text, *expected_type;
                int code;
                enum document_kind kind;
        } cases[] = {
                { "{\"schemaVersion\":2,\"manifests\":[]}", NULL, 0, DOCUMENT_INDEX },
                { "{\"schemaVersion\":2," CONFIG ",\"layers\":[]}", NULL, 0, DOCUMENT_MANIFEST },
                { "{\"schemaVersion\":2," CONFIG ",\"layers\":[]}", MEDIA_TYPE_DOCKER_MANIFEST, 0, DOCUMENT_MANIFEST },
                { "{\"schemaVersion\":2,\"manifests\":[],\"layers\":[]}", NULL, -EINVAL, 0 },
                { "{\"schemaVersion\":2,\"manifests\":[]," CONFIG "}", NULL, -EINVAL, 0 },
                { "{\"schemaVersion\":2}", NULL, -EINVAL, 0 },
                { "{\"schemaVersion\":2,\"manifests\":[]}", MEDIA_TYPE_MANIFEST, -EINVAL, 0 },
                { "{\"schemaVersion\":2,\"manifests\":[],\"mediaType\":\"" MEDIA_TYPE_MANIFEST "\"}", NULL, -EINVAL,
                  0 },
                { "{\"schemaVersion\":2,\"manifests\":[],\"mediaType\":\"" MEDIA_TYPE_INDEX "\"}",
                  MEDIA_TYPE_DOCKER_INDEX, -EINVAL, 0 },
                { "{\"schemaVersion\":1,\"manifests\":[]}", NULL, -EINVAL, 0 },
                { "[]", NULL, -EINVAL, 0 },
        };
        for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
                _cleanup_json_ json_t *document = parse(cases[i].text);
                enum document_kind kind;
                struct error err = { 0 };
                assert_int_equal(document_kind(document, "test", cases[i].expected_type, &kind, &err), cases[i].code);
                if (!cases[i].code)
                        assert_int_equal(kind, cases[i].kind);
        }
}

static void test_the_plain_variant_of_our_platform_is_chosen(void **state)
{
        (void)state;
        /* clang-format off */
        _cleanup_json_ json_t *document = parse(
                "{\"schemaVersion\":2,\"manifests\":[" ENTRY("1", "{\"os\":\"linux\",\"architecture\":\"arm64\"}") ","
                ENTRY("2", "{\"os\":\"linux\",\"architecture\":\"amd64\",\"variant\":\"v3\"}") ","
                ENTRY("3", "{\"os\":\"linux\",\"architecture\":\"amd64\"}") ","
                ENTRY("4", "{\"os\":\"linux\",\"architecture\":\"amd64\"}") ","
                ENTRY("5", "{\"os\":\"windows\",\"architecture\":\"amd64\"}") "]}");
        /* clang-format on */
        struct descriptor chosen;
        assert_int_equal(index_choose(document, "test", &chosen, NULL), 0);
        assert_int_equal(chosen.size, 3);
}

static void test_an_error_names_the_platforms_that_there_are(void **state)
{
        (void)state;
        _cleanup_json_ json_t *document = parse(
                "{\"schemaVersion\":2,\"manifests\":[" ENTRY("1",
                                                             "{\"os\":\"linux\",\"architecture\":\"s390x\"}") "]}");
        struct descriptor chosen;
        struct error err = { 0 };
        assert_int_equal(index_choose(document, "test", &chosen, &err), -ENOENT);
        assert_non_null(strstr(err.text, "linux/s390x"));
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_a_manifest_gives_its_descriptors_in_order),
                cmocka_unit_test(test_a_document_that_can_be_read_in_two_ways_is_refused),
                cmocka_unit_test(test_the_plain_variant_of_our_platform_is_chosen),
                cmocka_unit_test(test_an_error_names_the_platforms_that_there_are),
        };
        return cmocka_run_group_tests(tests, NULL, NULL);
}
