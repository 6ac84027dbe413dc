/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "machine/virtio/balloon.h"

#include "virtio_driver.h"

enum { PAGE = 4096, NUMBERS = DRIVER_DATA };

static struct virtio_balloon balloon;
static struct {
        uint64_t start, length; /* of the last piece, as guest-physical */
        unsigned pieces;
} given;

static void on_release(void *owner, void *bytes, uint64_t length)
{
        (void)owner;
        given.start = (uint64_t)((unsigned char *)bytes - driver.ram);
        given.length = length;
        given.pieces++;
}

static void set_up(void)
{
        memset(&given, 0, sizeof(given));
        virtio_balloon_init(&balloon, &(struct balloon_backend){ .release = on_release });
        driver_open(&balloon.device);
        assert_int_equal(driver_start(1 << 5, 3), 15);
}

static void inflate(const uint32_t *numbers, unsigned count)
{
        memcpy(driver.ram + NUMBERS, numbers, count * 4);
        driver_send(0, &(struct driver_part){ NUMBERS, count * 4, false }, 1);
}

static void test_neighbouring_pages_go_back_in_one_piece(void **state)
{
        (void)state;
        set_up();
        inflate((uint32_t[]){ 0xa0, 0xa1, 0xa2 }, 3);
        assert_int_equal(given.pieces, 1);
        assert_int_equal(given.start, 0xa0 * PAGE);
        assert_int_equal(given.length, 3 * PAGE);
        inflate((uint32_t[]){ 0xb0, 0xb2 }, 2);
        assert_int_equal(given.pieces, 3);
        assert_int_equal(driver_used(0), 2);
}

static void test_pages_that_are_no_memory_are_ignored(void **state)
{
        (void)state;
        set_up();
        inflate((uint32_t[]){ 0x100, 0xffffffff, 0xff, 0x100 }, 4); /* the RAM ends at page 0x100 */
        assert_int_equal(given.pieces, 0);
        assert_false(driver_needs_reset());
}

static void test_reported_ranges_go_back_as_far_as_they_are_whole_pages(void **state)
{
        (void)state;
        set_up();
        driver_send(2, &(struct driver_part){ 0xa0000, 2 * PAGE, true }, 1);
        assert_int_equal(given.start, 0xa0000);
        assert_int_equal(given.length, 2 * PAGE);
        driver_send(2, &(struct driver_part){ 0xa0100, 2 * PAGE, true }, 1);
        assert_int_equal(given.start, 0xa1000);
        assert_int_equal(given.length, PAGE);
        driver_send(2, &(struct driver_part){ 0xa0100, PAGE, true }, 1);
        assert_int_equal(given.pieces, 2);
        assert_int_equal(driver_used(2), 3);
}

static void test_the_target_is_told_and_the_answer_kept(void **state)
{
        (void)state;
        set_up();
        virtio_balloon_set_target(&balloon, 500);
        assert_int_equal(driver_read(driver.registers + REGISTERS_DEVICE, 4), 500);
        driver_write(driver.registers + REGISTERS_DEVICE + 4, 4, 300);
        driver_write(driver.registers + REGISTERS_DEVICE, 4, 1); /* the target is the host's */
        assert_int_equal(balloon.target, 500);
        assert_int_equal(balloon.actual, 300);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_neighbouring_pages_go_back_in_one_piece),
                cmocka_unit_test(test_pages_that_are_no_memory_are_ignored),
                cmocka_unit_test(test_reported_ranges_go_back_as_far_as_they_are_whole_pages),
                cmocka_unit_test(test_the_target_is_told_and_the_answer_kept),
        };
        return cmocka_run_group_tests(tests, NULL, NULL);
}
