/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "machine/virtio/scsi.h"

#include "virtio_driver.h"

enum { HEAD = DRIVER_DATA, ANSWER = DRIVER_DATA + 0x1000, DATA = DRIVER_DATA + 0x2000, BLOCKS = 100, BAD_BLOCK = 7 };

static struct virtio_scsi scsi;

static int read_block(void *owner, uint32_t block, void *bytes)
{
        (void)owner;
        memset(bytes, (int)block, SCSI_BLOCK);
        return block == BAD_BLOCK ? -5 : 0;
}

static void set_up(void)
{
        virtio_scsi_init(&scsi, &(struct scsi_backend){ .blocks = BLOCKS, .read = read_block });
        driver_open(&scsi.device);
        assert_int_equal(driver_start(0, 3), 15);
}

/* A command to a unit; its status. */
static uint8_t send(uint8_t target, const uint8_t *cdb, size_t length, uint32_t room)
{
        memset(driver.ram + HEAD, 0, 51);
        memset(driver.ram + ANSWER, 0x55, 108);
        driver.ram[HEAD] = 1;
        driver.ram[HEAD + 1] = target;
        driver.ram[HEAD + 2] = 0x40;
        memcpy(driver.ram + HEAD + 19, cdb, length);
        const struct driver_part parts[] = { { HEAD, 51, false }, { ANSWER, 108, true }, { DATA, room, true } };
        driver_send(2, parts, room ? 3 : 2);
        return driver.ram[ANSWER + 10];
}

#define SEND(room, ...) send(0, (const uint8_t[]){ __VA_ARGS__ }, sizeof((uint8_t[]){ __VA_ARGS__ }), room)

static void test_the_drive_says_that_it_is_a_cd_drive_and_how_large_its_disc_is(void **state)
{
        (void)state;
        set_up();
        assert_int_equal(SEND(36, 0x12, 0, 0, 0, 36, 0), 0);
        assert_int_equal(driver.ram[DATA], 5);
        assert_memory_equal(driver.ram + DATA + 8, "ONGGI   CD-ROM", 14);
        assert_int_equal(SEND(8, 0x25), 0);
        assert_memory_equal(driver.ram + DATA, "\0\0\0\x63\0\0\x08\0", 8);
}

static void test_blocks_are_read(void **state)
{
        (void)state;
        set_up();
        assert_int_equal(SEND(2 * SCSI_BLOCK, 0x28, 0, 0, 0, 0, 98, 0, 0, 2, 0), 0);
        assert_int_equal(driver.ram[DATA], 98);
        assert_int_equal(driver.ram[DATA + 2 * SCSI_BLOCK - 1], 99);
        assert_int_equal(driver_used_length(2), 108 + 2 * SCSI_BLOCK);
}

static void expect_sense(uint8_t key, uint8_t code)
{
        assert_int_equal(driver.ram[ANSWER], 18);
        assert_int_equal(driver.ram[ANSWER + 12 + 2], key);
        assert_int_equal(driver.ram[ANSWER + 12 + 12], code);
}

static void test_what_cannot_be_done_has_its_reason_in_the_sense_data(void **state)
{
        (void)state;
        set_up();
        assert_int_equal(SEND(SCSI_BLOCK, 0x28, 0, 0, 0, 0, 100, 0, 0, 1, 0), 2);
        expect_sense(5, 0x21); /* beyond the end */
        assert_int_equal(SEND(SCSI_BLOCK, 0x28, 0, 0xff, 0xff, 0xff, 0xff, 0, 0, 1, 0), 2);
        expect_sense(5, 0x21);
        assert_int_equal(SEND(SCSI_BLOCK, 0x28, 0, 0, 0, 0, BAD_BLOCK, 0, 0, 1, 0), 2);
        expect_sense(3, 0x11); /* a medium error */
        assert_int_equal(SEND(0, 0x2a, 0, 0, 0, 0, 0, 0, 0, 1, 0), 2);
        expect_sense(5, 0x20); /* no such command: nothing writes */
        assert_false(driver_needs_reset());
}

static void test_another_target_is_not_there(void **state)
{
        (void)state;
        set_up();
        send(1, (const uint8_t[]){ 0x12, 0, 0, 0, 36, 0 }, 6, 36);
        assert_int_equal(driver.ram[ANSWER + 11], 3);
}

static void test_data_that_has_no_room_is_cut(void **state)
{
        (void)state;
        set_up();
        driver.ram[DATA + 4] = 0x55;
        assert_int_equal(SEND(4, 0x12, 0, 0, 0, 36, 0), 0);
        assert_int_equal(driver.ram[DATA + 4], 0x55);
        assert_int_equal(driver_used_length(2), 108 + 4);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_the_drive_says_that_it_is_a_cd_drive_and_how_large_its_disc_is),
                cmocka_unit_test(test_blocks_are_read),
                cmocka_unit_test(test_what_cannot_be_done_has_its_reason_in_the_sense_data),
                cmocka_unit_test(test_another_target_is_not_there),
                cmocka_unit_test(test_data_that_has_no_room_is_cut),
        };
        return cmocka_run_group_tests(tests, NULL, NULL);
}
