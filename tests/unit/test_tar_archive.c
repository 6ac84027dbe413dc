/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/text.h"
#include "guest/tar_archive.h"

struct bytes {
        struct text text;
        size_t at;
};

static int take(void *owner, void *target, size_t length)
{
        struct bytes *bytes = owner;
        if (length > bytes->text.length - bytes->at)
                return -EPROTO;
        memcpy(target, bytes->text.data + bytes->at, length);
        bytes->at += length;
        return 0;
}

static int give(void *owner, const void *source, size_t length)
{
        text_append_bytes(&((struct bytes *)owner)->text, source, length);
        return 0;
}

static struct tar_member member_of(enum tar_kind kind, const char *name, const char *link)
{
        struct tar_member member = { .kind = kind, .mode = 04751, .uid = 1000, .gid = 3000000, .time = 1700000000 };
        TEXT_COPY(member.name, name);
        TEXT_COPY(member.link, link);
        return member;
}

static void test_what_was_written_is_read_again(void **state)
{
        (void)state;
        char long_name[TAR_NAME_MAX + 1];
        memset(long_name, 'n', sizeof(long_name) - 1);
        long_name[sizeof(long_name) - 1] = 0;
        const struct tar_member members[] = {
                member_of(TAR_FOLDER, "folder", ""),
                member_of(TAR_FILE, long_name, ""),
                member_of(TAR_SYMBOLIC_LINK, "link", long_name),
                member_of(TAR_FIFO, "fifo", ""),
        };
        struct bytes bytes = { 0 };
        const struct tar_stream stream = { &bytes, take, give };
        struct tar_member read;
        for (size_t i = 0; i < ARRAY_SIZE(members); i++)
                assert_int_equal(tar_write_header(&stream, &members[i], NULL), 0);
        assert_int_equal(tar_write_end(&stream), 0);
        assert_int_equal(bytes.text.length % TAR_BLOCK, 0);
        for (size_t i = 0; i < ARRAY_SIZE(members); i++) {
                assert_int_equal(tar_read_header(&stream, &read, NULL), 1);
                assert_int_equal(read.kind, members[i].kind);
                assert_string_equal(read.name, members[i].name);
                assert_string_equal(read.link, members[i].link);
                assert_int_equal(read.mode, 04751);
                assert_int_equal(read.uid, 1000);
                assert_int_equal(read.gid, 3000000); /* more than seven octal digits */
                assert_int_equal(read.time, 1700000000);
        }
        assert_int_equal(tar_read_header(&stream, &read, NULL), 0);
        text_free(&bytes.text);
}

static void test_a_block_with_a_wrong_sum_is_no_header(void **state)
{
        (void)state;
        struct bytes bytes = { 0 };
        const struct tar_stream stream = { &bytes, take, give };
        const struct tar_member member = member_of(TAR_FILE, "name", "");
        struct tar_member read;
        assert_int_equal(tar_write_header(&stream, &member, NULL), 0);
        bytes.text.data[0] ^= 1;
        assert_int_equal(tar_read_header(&stream, &read, NULL), -EBADMSG);
        text_free(&bytes.text);
}

static void test_an_archive_that_ends_too_early_is_an_error(void **state)
{
        (void)state;
        struct bytes bytes = { 0 };
        const struct tar_stream stream = { &bytes, take, give };
        struct tar_member read;
        text_append_bytes(&bytes.text, "x", 1);
        assert_int_equal(tar_read_header(&stream, &read, NULL), -EPROTO);
        text_free(&bytes.text);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_what_was_written_is_read_again),
                cmocka_unit_test(test_a_block_with_a_wrong_sum_is_no_header),
                cmocka_unit_test(test_an_archive_that_ends_too_early_is_an_error),
        };
        return cmocka_run_group_tests(tests, NULL, NULL);
}
