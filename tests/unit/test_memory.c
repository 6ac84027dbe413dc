/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "machine/memory.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

#define PAGE GUEST_PAGE_SIZE

static unsigned char low[4 * PAGE], high[2 * PAGE], rom[PAGE];

/* RAM at 0 and, adjoining it, a ROM; RAM again above a hole. */
static struct guest_memory make_memory(void)
{
        struct guest_memory memory = { 0 };
        assert_int_equal(guest_memory_add(&memory, gpa(0x100000000), sizeof(high), high, GUEST_RAM), 0);
        assert_int_equal(guest_memory_add(&memory, gpa(0), sizeof(low), low, GUEST_RAM), 0);
        assert_int_equal(guest_memory_add(&memory, gpa(sizeof(low)), sizeof(rom), rom, GUEST_ROM), 0);
        return memory;
}

static void test_a_span_lies_inside_one_region_or_is_refused(void **state)
{
        (void)state;
        struct guest_memory memory = make_memory();
        static const struct {
                uint64_t at, length;
                bool write;
                const unsigned char *expected;
        } cases[] = {
                { 0, sizeof(low), true, low },
                { 8, 16, false, low + 8 },
                { sizeof(low) - 1, 1, true, low + sizeof(low) - 1 },
                { sizeof(low) - 1, 2, false, NULL }, /* goes on in the ROM */
                { sizeof(low), PAGE, false, rom },
                { sizeof(low), 1, true, NULL },
                { sizeof(low) + PAGE, 1, false, NULL }, /* the hole */
                { 0x100000000, 2 * PAGE, true, high },
                { 0x100000000, 2 * PAGE + 1, true, NULL },
                { 0x100000001, UINT64_MAX, true, NULL },
                { UINT64_MAX, 1, false, NULL },
                { UINT64_MAX, UINT64_MAX, false, NULL },
                { 0, 0, false, NULL },
        };
        for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
                assert_ptr_equal(guest_memory_span(&memory, gpa(cases[i].at), cases[i].length, cases[i].write),
                                 cases[i].expected);
        assert_int_equal(guest_memory_ram_size(&memory), sizeof(low) + sizeof(high));
}

static void test_regions_that_overlap_or_are_not_pages_are_refused(void **state)
{
        (void)state;
        struct guest_memory memory = make_memory();
        static const struct {
                uint64_t at, length;
        } bad[] = {
                { 0, PAGE },
                { PAGE, PAGE },
                { 3 * PAGE, 2 * PAGE },
                { 0x100000000 - PAGE, 2 * PAGE },
                { 0, 1ULL << 40 },
                { 0x200000000, 0 },
                { 0x200000001, PAGE },
                { 0x200000000, PAGE + 1 },
                { UINT64_MAX - PAGE + 1, 2 * PAGE },
        };
        for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
                assert_int_equal(guest_memory_add(&memory, gpa(bad[i].at), bad[i].length, low, GUEST_RAM), -EINVAL);
        assert_int_equal(memory.count, 3);

        for (uint64_t i = memory.count; i < GUEST_MEMORY_REGIONS_MAX; i++)
                assert_int_equal(guest_memory_add(&memory, gpa((i + 1) << 33), PAGE, low, GUEST_RAM), 0);
        assert_int_equal(guest_memory_add(&memory, gpa(1ULL << 40), PAGE, low, GUEST_RAM), -ENOSPC);
}

static void test_copies_cross_regions_and_stop_at_holes_and_roms(void **state)
{
        (void)state;
        struct guest_memory memory = make_memory();
        memset(low, 1, sizeof(low));
        memset(rom, 2, sizeof(rom));
        unsigned char data[4];
        assert_int_equal(guest_memory_read(&memory, gpa(sizeof(low) - 2), data, 4), 0);
        assert_memory_equal(data, ((unsigned char[]){ 1, 1, 2, 2 }), 4);
        assert_int_equal(guest_memory_read(&memory, gpa(sizeof(low) + PAGE - 2), data, 4), -EFAULT);
        assert_int_equal(guest_memory_write(&memory, gpa(sizeof(low) - 2), "abcd", 4), -EFAULT);
        assert_int_equal(rom[0], 2);
        assert_int_equal(guest_memory_write(&memory, gpa(PAGE - 1), "ab", 2), 0);
        assert_memory_equal(low + PAGE - 1, "ab", 2);
}

static void test_our_own_writes_are_marked_dirty(void **state)
{
        (void)state;
        struct guest_memory memory = make_memory();
        uint64_t dirty = 0;
        memory.regions[0].dirty = &dirty;
        assert_int_equal(guest_memory_write(&memory, gpa(2 * PAGE - 1), "ab", 2), 0);
        assert_int_equal(dirty, 1 << 1 | 1 << 2);
        /* a length that lies does not mark beyond the region */
        guest_memory_wrote(&memory, gpa(3 * PAGE), UINT64_MAX / 2);
        assert_int_equal(dirty, 1 << 1 | 1 << 2 | 1 << 3);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_a_span_lies_inside_one_region_or_is_refused),
                cmocka_unit_test(test_regions_that_overlap_or_are_not_pages_are_refused),
                cmocka_unit_test(test_copies_cross_regions_and_stop_at_holes_and_roms),
                cmocka_unit_test(test_our_own_writes_are_marked_dirty),
        };
        return cmocka_run_group_tests(tests, NULL, NULL);
}
