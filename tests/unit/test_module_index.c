/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/text.h"
#include "guest/module_index.h"

static struct module_index *parse(const char *text)
{
        struct module_index *index;
        assert_int_equal(module_index_parse(strdup(text), &index, NULL), 0);
        return index;
}

static void test_a_module_comes_after_what_it_needs(void **state)
{
        (void)state;
        _cleanup_(module_index) struct module_index *index = parse(
                "kernel/a/virtio-blk.ko: kernel/virtio.ko kernel/ring.ko\nkernel/virtio.ko: kernel/ring.ko\nkernel/ring.ko:\n");
        _cleanup_list_ char **files = NULL;
        assert_int_equal(module_index_order(index, "virtio_blk", &files), 1);
        assert_int_equal(list_length(files), 3);
        assert_string_equal(files[0], "kernel/ring.ko");
        assert_string_equal(files[1], "kernel/virtio.ko");
        assert_string_equal(files[2], "kernel/a/virtio-blk.ko");
}

static void test_no_module_is_loaded_twice(void **state)
{
        (void)state;
        _cleanup_(module_index) struct module_index *index = parse("a.ko: c.ko\nb.ko: c.ko\nc.ko:\n");
        _cleanup_list_ char **files = NULL;
        assert_int_equal(module_index_order(index, "a", &files), 1);
        assert_int_equal(module_index_order(index, "b", &files), 1);
        assert_int_equal(list_length(files), 3);
}

static void test_a_name_is_the_whole_name(void **state)
{
        (void)state;
        _cleanup_(module_index) struct module_index *index = parse("virtio_net_extra.ko:\nvirtio.ko.xz:\n");
        _cleanup_list_ char **files = NULL;
        assert_int_equal(module_index_order(index, "virtio_net", &files), 0);
        assert_int_equal(module_index_order(index, "virtio", &files), 1);
        assert_null(strchr(files[0], ' '));
}

static void test_a_line_without_a_colon_is_refused(void **state)
{
        (void)state;
        struct module_index *index;
        assert_int_equal(module_index_parse(strdup("a.ko:\nnonsense\n"), &index, NULL), -EINVAL);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_a_module_comes_after_what_it_needs),
                cmocka_unit_test(test_no_module_is_loaded_twice),
                cmocka_unit_test(test_a_name_is_the_whole_name),
                cmocka_unit_test(test_a_line_without_a_colon_is_refused),
        };
        return cmocka_run_group_tests(tests, NULL, NULL);
}
