/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "image/layer_root.h"

#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/cleanup.h"
#include "base/file.h"
#include "base/text.h"
#include "image/unpacked.h"

struct place {
        char path[64];
        struct layer_root root;
};

static int make_place(void **state)
{
        struct place *place = calloc(1, sizeof(*place));
        TEXT_COPY(place->path, "/tmp/onggi-test-layer-XXXXXX");
        if (!place || !mkdtemp(place->path))
                return -1;
        *state = place;
        return layer_root_open(&place->root, open(place->path, O_RDONLY | O_DIRECTORY | O_CLOEXEC), NULL);
}

static int remove_place(void **state)
{
        struct place *place = *state;
        layer_root_close(&place->root);
        close(place->root.fd);
        int r = tree_remove(AT_FDCWD, place->path, NULL);
        free(place);
        return r;
}

static void test_names_become_plain_or_are_refused(void **state)
{
        (void)state;
        static const struct {
                const char *written, *plain; /* NULL: refused */
                bool absolute;
        } cases[] = {
                { "a/b", "a/b", false },
                { "./a//b/./", "a/b", false },
                { "./", "", false },
                { ".", "", false },
                { "/a", "a", true },
                { "/a", NULL, false },
                { "..", NULL, true },
                { "a/..", NULL, true },
                { "../a", NULL, true },
                { "a/../b", NULL, true },
                { "..a/b..", "..a/b..", false },
                { "...", "...", false },
        };
        for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
                char name[PATH_MAX];
                int r = layer_name(cases[i].written, cases[i].absolute, name, NULL);
                if (!cases[i].plain)
                        assert_int_equal(r, -EINVAL);
                else
                        assert_string_equal(name, cases[i].plain);
        }
}

static void test_a_parent_is_made_once_and_never_outside(void **state)
{
        struct place *place = *state;
        const char *base;
        assert_int_equal(symlinkat("/../../../..", place->root.fd, "out"), 0);
        int first = layer_parent(&place->root, "out/etc/file", &base, NULL);
        assert_true(first >= 0);
        assert_string_equal(base, "file");
        assert_int_equal(layer_parent(&place->root, "out/etc/other", &base, NULL), first);
        struct stat below, there;
        assert_int_equal(fstat(first, &there), 0);
        assert_int_equal(fstatat(place->root.fd, "etc", &below, 0), 0);
        assert_int_equal(below.st_ino, there.st_ino);
}

/* A name that led through what was removed is looked up anew. */
static void test_a_parent_is_forgotten_when_what_it_led_through_goes(void **state)
{
        struct place *place = *state;
        const char *base;
        bool was_whiteout;
        assert_int_equal(mkdirat(place->root.fd, "old", 0755), 0);
        assert_int_equal(symlinkat("old", place->root.fd, "way"), 0);
        assert_true(layer_parent(&place->root, "way/file", &base, NULL) >= 0);
        assert_int_equal(layer_clear(&place->root, place->root.fd, "way", &was_whiteout, NULL), 0);
        assert_false(was_whiteout);
        int parent = layer_parent(&place->root, "way/file", &base, NULL);
        struct stat old, now;
        assert_int_equal(fstat(parent, &now), 0);
        assert_int_equal(fstatat(place->root.fd, "old", &old, 0), 0);
        assert_int_not_equal(now.st_ino, old.st_ino);
}

static void test_whiteouts_of_unnameable_things_are_refused(void **state)
{
        struct place *place = *state;
        static const char *const names[] = { "", ".", ".." };
        for (size_t i = 0; i < ARRAY_SIZE(names); i++)
                assert_int_equal(layer_whiteout(&place->root, place->root.fd, names[i], NULL), -EINVAL);
        struct stat st;
        assert_int_equal(layer_whiteout(&place->root, place->root.fd, "gone", NULL), 0);
        assert_int_equal(fstatat(place->root.fd, "gone", &st, AT_SYMLINK_NOFOLLOW), 0);
        assert_true(is_whiteout(&st));
}

/* image-spec config.md, "Layer ChainID": each is the digest of the one below, a space and its own diff id. */
static void test_chain_ids_depend_on_the_layers_below(void **state)
{
        (void)state;
        struct digest layers[2], chain, expected;
        digest_bytes("a", 1, &layers[0]);
        digest_bytes("b", 1, &layers[1]);
        chain_id(layers, 1, &chain);
        assert_true(digest_equal(&chain, &layers[0]));
        char both[160];
        snprintf(both, sizeof(both), "%s %s", layers[0].text, layers[1].text);
        digest_bytes(both, strlen(both), &expected);
        chain_id(layers, 2, &chain);
        assert_true(digest_equal(&chain, &expected));
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_names_become_plain_or_are_refused),
                cmocka_unit_test_setup_teardown(test_a_parent_is_made_once_and_never_outside, make_place, remove_place),
                cmocka_unit_test_setup_teardown(test_a_parent_is_forgotten_when_what_it_led_through_goes, make_place,
                                                remove_place),
                cmocka_unit_test_setup_teardown(test_whiteouts_of_unnameable_things_are_refused, make_place,
                                                remove_place),
                cmocka_unit_test(test_chain_ids_depend_on_the_layers_below),
        };
        return cmocka_run_group_tests(tests, NULL, NULL);
}
