/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "kernel/cpio.h"

/* A number of a header: 6 letters of magic, then fields of 8 hexadecimal digits. */
static unsigned long field(const char *entry, unsigned i)
{
        char digits[9] = { 0 };
        memcpy(digits, entry + 6 + i * 8, 8);
        return strtoul(digits, NULL, 16);
}

static void test_entries_lie_on_four_bytes_and_say_their_length(void **state)
{
        (void)state;
        struct cpio cpio = { 0 };
        cpio_folder(&cpio, "onggi", 0755);
        size_t second = cpio.bytes.length;
        cpio_file(&cpio, "onggi/x", 0600, "abcde", 5);
        size_t third = cpio.bytes.length;
        cpio_character_device(&cpio, "console", 0600, 5, 1);
        cpio_end(&cpio, 512);
        assert_false(text_failed(&cpio.bytes));
        assert_int_equal(second % 4, 0);
        assert_int_equal(third % 4, 0);
        assert_int_equal(cpio.bytes.length % 512, 0);
        const char *file = cpio.bytes.data + second, *device = cpio.bytes.data + third;
        assert_memory_equal(file, "070701", 6);
        assert_int_equal(field(cpio.bytes.data, 1), 0040755);
        assert_int_equal(field(file, 1), 0100600);
        assert_int_equal(field(file, 6), 5);
        assert_int_equal(field(file, 11), strlen("onggi/x") + 1);
        assert_memory_equal(file + 120, "abcde", 5); /* 110 bytes, a name of 8, filled up */
        assert_int_equal(field(device, 1), 0020600);
        assert_int_equal(field(device, 9), 5);
        assert_int_equal(field(device, 10), 1);
        assert_non_null(memmem(cpio.bytes.data, cpio.bytes.length, "TRAILER!!!", 11));
        text_free(&cpio.bytes);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_entries_lie_on_four_bytes_and_say_their_length),
        };
        return cmocka_run_group_tests(tests, NULL, NULL);
}
