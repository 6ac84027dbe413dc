/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include <asm/bootparam.h>

#include "kernel/bzimage.h"

#define SETUP   1024 /* the boot sector and one more */
#define PAYLOAD 64

struct file {
        uint8_t bytes[SETUP + PAYLOAD];
        struct setup_header header;
};

static struct file sound(void)
{
        struct file file = { .header = { .setup_sects = 1,
                                         .header = 0x53726448,
                                         .version = 0x020f,
                                         .kernel_version = 0x100,
                                         .xloadflags = XLF_KERNEL_64,
                                         .payload_offset = 16,
                                         .payload_length = 48 } };
        memcpy(file.bytes + 0x300, "6.1.0-1-cloud (x)", 17);
        return file;
}

static int parse(struct file *file, size_t length, struct bzimage *image)
{
        memcpy(file->bytes + 0x1f1, &file->header, sizeof(file->header));
        return bzimage_parse(file->bytes, length, image, NULL);
}

static void test_a_sound_header_says_where_the_kernel_is(void **state)
{
        (void)state;
        struct file file = sound();
        struct bzimage image;
        assert_int_equal(parse(&file, sizeof(file.bytes), &image), 0);
        assert_string_equal(image.release, "6.1.0-1-cloud");
        assert_int_equal(image.payload, SETUP + 16);
        assert_int_equal(image.payload_length, 48);
}

static void test_a_kernel_that_ends_behind_its_file_is_refused(void **state)
{
        (void)state;
        struct file file = sound();
        struct bzimage image;
        assert_int_equal(parse(&file, sizeof(file.bytes) - 1, &image), -EBADMSG);
        file.header.payload_offset = UINT32_MAX;
        file.header.payload_length = UINT32_MAX;
        assert_int_equal(parse(&file, sizeof(file.bytes), &image), -EBADMSG);
        file.header.payload_length = 0;
        assert_int_equal(parse(&file, sizeof(file.bytes), &image), -EBADMSG);
}

static void test_a_release_that_could_be_a_path_is_refused(void **state)
{
        (void)state;
        static const char *const releases[] = { "../../etc x", "6/1 x", ".. x", " x", "6.1.0" };
        for (size_t i = 0; i < sizeof(releases) / sizeof(releases[0]); i++) {
                struct file file = sound();
                struct bzimage image;
                memset(file.bytes + 0x300, 'a', SETUP - 0x300);
                memcpy(file.bytes + 0x300, releases[i], strlen(releases[i]));
                assert_int_equal(parse(&file, sizeof(file.bytes), &image), -EBADMSG);
        }
        struct file file = sound();
        struct bzimage image;
        file.header.kernel_version = UINT16_MAX;
        assert_int_equal(parse(&file, sizeof(file.bytes), &image), -EBADMSG);
}

static void test_what_is_no_64_bit_bzimage_is_refused(void **state)
{
        (void)state;
        struct bzimage image;
        struct file file = sound();
        assert_int_equal(parse(&file, 600, &image), -ENOEXEC);
        file.header.xloadflags = 0;
        assert_int_equal(parse(&file, sizeof(file.bytes), &image), -ENOEXEC);
        file = sound();
        file.header.header = 0;
        assert_int_equal(parse(&file, sizeof(file.bytes), &image), -ENOEXEC);
}

static void test_the_release_of_an_unpacked_kernel_is_found(void **state)
{
        (void)state;
        static const char text[] = "\0Linux version %s\0...Linux version 6.12.1-amd64 (gcc) #1";
        char release[BZIMAGE_RELEASE_MAX + 1];
        assert_int_equal(kernel_release_find(text, sizeof(text), release, NULL), 0);
        assert_string_equal(release, "6.12.1-amd64");
        assert_int_equal(kernel_release_find(text, 20, release, NULL), -EBADMSG);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_a_sound_header_says_where_the_kernel_is),
                cmocka_unit_test(test_a_kernel_that_ends_behind_its_file_is_refused),
                cmocka_unit_test(test_a_release_that_could_be_a_path_is_refused),
                cmocka_unit_test(test_what_is_no_64_bit_bzimage_is_refused),
                cmocka_unit_test(test_the_release_of_an_unpacked_kernel_is_found),
        };
        return cmocka_run_group_tests(tests, NULL, NULL);
}
