/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "hosted/qcow2.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <unistd.h>

#include <cmocka.h>

#include "crash_storage.h"
#include "hosted/qcow2_private.h"

enum { SECTORS = 1024, LATER_MAX = 24, ROUNDS = 40 };

/* What a sector may hold after a crash: what it held at the last flush, or anything that was written to it since. */
struct sector {
        uint32_t flushed, later[LATER_MAX];
        unsigned later_count;
};

static struct sector model[SECTORS];
static uint64_t chance;

static unsigned pick(unsigned below)
{
        chance = chance * 6364136223846793005ULL + 1442695040888963407ULL;
        return (unsigned)(chance >> 33) % below;
}

static struct qcow2 *open_image(struct crash_storage *file)
{
        struct qcow2 *image = NULL;
        struct error err = { 0 };
        if (qcow2_open(&file->storage, "test", false, &image, &err) < 0 && !file->dies_after)
                fail_msg("%s", err.text);
        return image;
}

static void create(struct crash_storage *file, unsigned bits)
{
        struct error err = { 0 };
        crash_open(file);
        const struct qcow2_creation creation = { .size = SECTORS * 512, .cluster_bits = bits };
        assert_int_equal(qcow2_create(&file->storage, &creation, &err), 0);
        memset(model, 0, sizeof(model));
}

static void note(uint64_t sector, uint32_t value)
{
        struct sector *at = &model[sector];
        if (at->later_count == LATER_MAX)
                fail_msg("a sector was written too often between two flushes");
        at->later[at->later_count++] = value;
}

static void note_flush(void)
{
        for (unsigned i = 0; i < SECTORS; i++) {
                if (model[i].later_count)
                        model[i].flushed = model[i].later[model[i].later_count - 1];
                model[i].later_count = 0;
        }
}

static int read_sector(struct qcow2 *image, uint64_t sector, uint32_t words[128])
{
        struct qcow2_extent extent;
        const struct iovec vector = { words, 512 };
        qcow2_hold(image);
        int r = qcow2_map(image, sector * 512, 512, &extent);
        if (!r && extent.kind == QCOW2_DATA)
                r = disk_storage_read(image->storage, words, 512, extent.host);
        else if (!r && extent.kind == QCOW2_COMPRESSED)
                r = qcow2_read_compressed(image, &extent, sector * 512, &vector, 1);
        else
                memset(words, 0, 512);
        qcow2_release(image);
        return r;
}

static void check_contents(struct qcow2 *image)
{
        for (uint64_t i = 0; i < SECTORS; i++) {
                uint32_t words[128];
                assert_int_equal(read_sector(image, i, words), 0);
                bool known = words[0] == model[i].flushed;
                for (unsigned j = 0; j < model[i].later_count; j++)
                        known |= words[0] == model[i].later[j];
                if (!known || words[0] != words[127])
                        fail_msg("sector %u holds %u, and held %u at the flush", (unsigned)i, words[0],
                                 model[i].flushed);
        }
}

/* A hint: each sector is zeroes afterwards or what it was. */
static int discard(struct qcow2 *image, uint64_t first, uint64_t length)
{
        int r = qcow2_discard(image, first * 512, length * 512);
        for (uint64_t i = 0; !r && i < length; i++) {
                uint32_t words[128];
                const struct sector *at = &model[first + i];
                assert_int_equal(read_sector(image, first + i, words), 0);
                uint32_t before = at->later_count > 1 ? at->later[at->later_count - 2] : at->flushed;
                assert_true(!words[0] || words[0] == before);
                note(first + i, words[0]);
        }
        return r;
}

/* A write, zeroes, a discard or a flush; the model knows of it before the image does. */
static int step(struct qcow2 *image, uint32_t value)
{
        static uint32_t data[64][128];
        uint64_t first = pick(SECTORS), length = 1 + pick(pick(4) ? 8 : 64);
        if (first + length > SECTORS)
                length = SECTORS - first;
        unsigned kind = pick(10);
        for (uint64_t i = 0; kind < 8 && i < length; i++)
                note(first + i, kind < 6 ? value : 0);
        for (uint64_t i = 0; i < length * 128; i++)
                data[i / 128][i % 128] = value;
        int r;
        if (kind < 6)
                r = qcow2_write(image, &(struct iovec){ data, length * 512 }, 1, first * 512);
        else if (kind < 7)
                r = qcow2_zero(image, first * 512, length * 512, pick(2));
        else if (kind < 8)
                r = discard(image, first, length);
        else
                r = qcow2_flush(image);
        if (kind >= 8 && !r)
                note_flush();
        return r;
}

static void run_steps(struct crash_storage *file, unsigned seed)
{
        struct qcow2 *image = open_image(file);
        chance = seed;
        int r = image ? 0 : -EIO;
        for (uint32_t value = 1; !r && value <= ROUNDS; value++)
                r = step(image, value);
        if (image && !qcow2_close(image))
                note_flush();
}

/* ---- Reading an image as another program would ---- */

static uint64_t word(const struct crash_storage *file, uint64_t at)
{
        uint64_t value;
        memcpy(&value, file->now + at, sizeof(value));
        return be64toh(value);
}

static void refer(uint16_t *counts, uint64_t offset, uint64_t length, unsigned bits)
{
        for (uint64_t i = offset >> bits; length && i <= (offset + length - 1) >> bits; i++) {
                assert_true(i < CRASH_ROOM / 512);
                counts[i]++;
        }
}

/* No cluster is used more often than it is counted; returns how many are counted and not used. */
static unsigned check_refcounts(const struct crash_storage *file)
{
        static uint16_t counts[CRASH_ROOM / 512];
        const struct qcow2_raw_header *raw = (const void *)file->now;
        unsigned bits = be32toh(raw->cluster_bits), leaks = 0;
        uint64_t size = 1ULL << bits, table = be64toh(raw->refcount_offset), l1 = be64toh(raw->l1_offset);
        uint64_t table_bytes = (uint64_t)be32toh(raw->refcount_clusters) << bits;
        memset(counts, 0, sizeof(counts));
        refer(counts, 0, size, bits);
        refer(counts, table, table_bytes, bits);
        refer(counts, l1, be32toh(raw->l1_entries) * 8, bits);
        for (uint64_t i = 0; i < table_bytes / 8; i++)
                if (word(file, table + i * 8))
                        refer(counts, word(file, table + i * 8), size, bits);
        for (uint64_t i = 0; i < be32toh(raw->l1_entries); i++) {
                uint64_t l2 = word(file, l1 + i * 8) & QCOW2_OFFSET_MASK;
                if (!l2)
                        continue;
                refer(counts, l2, size, bits);
                for (uint64_t j = 0; j < size / 8; j++)
                        if (word(file, l2 + j * 8) & QCOW2_OFFSET_MASK)
                                refer(counts, word(file, l2 + j * 8) & QCOW2_OFFSET_MASK, size, bits);
        }
        for (uint64_t i = 0; i < CRASH_ROOM >> bits; i++) {
                uint64_t block = i / (size / 2) * 8 < table_bytes ? word(file, table + i / (size / 2) * 8) : 0;
                uint16_t stored = 0;
                if (block)
                        memcpy(&stored, file->now + block + i % (size / 2) * 2, 2);
                if (be16toh(stored) < counts[i])
                        fail_msg("cluster %u is used %u times and counted %u times", (unsigned)i, counts[i],
                                 be16toh(stored));
                leaks += be16toh(stored) > counts[i];
        }
        return leaks;
}

static bool is_dirty(const struct crash_storage *file)
{
        return be64toh(((const struct qcow2_raw_header *)(const void *)file->now)->incompatible) & 1;
}

/* ---- Tests ---- */

static void test_what_was_written_is_read_and_a_closed_image_has_no_leaks(void **state)
{
        (void)state;
        for (unsigned seed = 1; seed <= 30; seed++) {
                struct crash_storage file;
                create(&file, 9 + seed % 4 * 2);
                run_steps(&file, seed);
                assert_false(is_dirty(&file));
                assert_int_equal(check_refcounts(&file), 0);
                struct qcow2 *image = open_image(&file);
                check_contents(image);
                assert_int_equal(qcow2_close(image), 0);
                crash_free(&file);
        }
}

/* At each change of the file, once as if the process was killed, and several times as if the host lost its power. */
static void test_a_crash_at_any_instant_loses_nothing_that_was_flushed(void **state)
{
        unsigned crashes = 0, leaking = 0;
        (void)state;
        for (unsigned seed = 1; seed <= 3; seed++)
                for (unsigned dies_after = 1, died = 1; died; dies_after += 1 + seed / 2)
                        for (unsigned loss = 0; loss < 4; loss++) {
                                struct crash_storage file;
                                create(&file, 9 + seed % 2 * 3);
                                file.dies_after = dies_after;
                                run_steps(&file, seed);
                                died = file.changes > dies_after;
                                crash_revive(&file, loss * (dies_after + 77));
                                unsigned leaks = check_refcounts(&file);
                                crashes++;
                                leaking += !!leaks;
                                assert_true(!leaks || is_dirty(&file));
                                struct qcow2 *image = open_image(&file);
                                check_contents(image);
                                assert_int_equal(qcow2_close(image), 0);
                                assert_int_equal(check_refcounts(&file), 0);
                                assert_false(is_dirty(&file));
                                crash_free(&file);
                        }
        print_message("%u crashes, %u of them left clusters for the next open to find\n", crashes, leaking);
        assert_true(crashes > 500);
}

static void test_a_full_host_is_an_error_and_the_image_stays_whole(void **state)
{
        struct crash_storage file;
        int failed = 0;
        (void)state;
        create(&file, 9);
        struct qcow2 *image = open_image(&file);
        file.full = true;
        file.room = 100 * 1024;
        chance = 5;
        for (uint32_t value = 1; value <= 20; value++) {
                uint64_t length = 16 * 512;
                static uint32_t data[16 * 128];
                for (unsigned i = 0; i < 16 * 128; i++)
                        data[i] = value;
                for (unsigned i = 0; i < 16; i++)
                        note(value * 16 + i, value);
                int r = qcow2_write(image, &(struct iovec){ data, length }, 1, (uint64_t)value * 16 * 512);
                failed += r == -ENOSPC;
                assert_true(!r || r == -ENOSPC);
        }
        assert_true(failed > 0 && failed < 20);
        assert_int_equal(qcow2_flush(image), 0);
        check_contents(image);
        file.full = false; /* and goes on when there is room again */
        static uint32_t data[128];
        data[0] = data[127] = 99;
        note(SECTORS - 1, 99);
        assert_int_equal(qcow2_write(image, &(struct iovec){ data, 512 }, 1, (SECTORS - 1) * 512), 0);
        note_flush();
        assert_int_equal(qcow2_close(image), 0);
        assert_int_equal(check_refcounts(&file), 0);
        crash_free(&file);
}

static void test_an_image_may_use_more_than_its_first_refcount_table_counts(void **state)
{
        struct crash_storage file;
        struct error err = { 0 };
        (void)state;
        crash_open(&file);
        const struct qcow2_creation creation = { .size = 7U << 20, .cluster_bits = 9 };
        assert_int_equal(qcow2_create(&file.storage, &creation, &err), 0);
        struct qcow2 *image = open_image(&file);
        /* A table that could count nothing more: only its first entry is in use, and it says that there are no others. */
        image->refcount_table.entries = 1;
        static uint32_t data[128];
        for (uint64_t at = 0; at < 7U << 20; at += 4096) {
                data[0] = data[127] = (uint32_t)at;
                assert_int_equal(qcow2_write(image, &(struct iovec){ data, 512 }, 1, at), 0);
                if (at % 65536 == 0)
                        assert_int_equal(qcow2_flush(image), 0);
        }
        assert_int_equal(qcow2_close(image), 0);
        assert_int_equal(check_refcounts(&file), 0);
        image = open_image(&file);
        for (uint64_t at = 0; at < 7U << 20; at += 4096) {
                assert_int_equal(read_sector(image, at / 512, data), 0);
                assert_int_equal(data[0], at);
        }
        assert_int_equal(qcow2_close(image), 0);
        crash_free(&file);
}

static void test_discarded_clusters_are_used_again(void **state)
{
        struct crash_storage file;
        static uint32_t data[64 * 128];
        (void)state;
        create(&file, 12);
        struct qcow2 *image = open_image(&file);
        uint64_t most = 0;
        for (unsigned round = 0; round < 50; round++) {
                assert_int_equal(qcow2_write(image, &(struct iovec){ data, sizeof(data) }, 1, 0), 0);
                assert_int_equal(qcow2_flush(image), 0);
                assert_int_equal(qcow2_discard(image, 0, sizeof(data)), 0);
                assert_int_equal(qcow2_flush(image), 0);
                if (round == 2)
                        most = image->used_end;
        }
        assert_true(image->used_end == most);
        assert_int_equal(qcow2_close(image), 0);
        crash_free(&file);
}

/* ---- What is refused ---- */

static void expect_refusal(size_t at, uint64_t value, unsigned length, const char *reason)
{
        struct crash_storage file;
        struct qcow2 *image;
        struct error err = { 0 };
        create(&file, 12);
        for (unsigned i = 0; i < length; i++)
                file.now[at + i] = (uint8_t)(value >> 8 * (length - 1 - i));
        assert_true(qcow2_open(&file.storage, "x", false, &image, &err) < 0);
        if (!strstr(err.text, reason))
                fail_msg("\"%s\" does not say \"%s\"", err.text, reason);
        crash_free(&file);
}

#define REFUSED(field, value, reason)                                                                                  \
        expect_refusal(offsetof(struct qcow2_raw_header, field), value, sizeof(((struct qcow2_raw_header *)0)->field), \
                       reason)

static void test_headers_that_make_no_sense_are_refused_in_words(void **state)
{
        (void)state;
        REFUSED(magic, 1, "is not a qcow2 image");
        REFUSED(version, 4, "of version 4; onggi reads 2 and 3");
        REFUSED(cluster_bits, 8, "has clusters of 2^8 bytes");
        REFUSED(cluster_bits, 63, "has clusters of 2^63 bytes");
        REFUSED(size, 0, "no whole number of sectors");
        REFUSED(size, UINT64_MAX - 511, "no whole number of sectors");
        REFUSED(size, 1ULL << 50, "an L1 table that does not fit");
        REFUSED(encryption, 1, "is encrypted");
        REFUSED(l1_entries, UINT32_MAX, "an L1 table that does not fit");
        REFUSED(l1_offset, 0, "an L1 table that does not fit");
        REFUSED(l1_offset, UINT64_MAX - 4095, "an L1 table that does not fit");
        REFUSED(refcount_offset, 1ULL << 62, "refcount table that lies outside");
        REFUSED(refcount_clusters, UINT32_MAX, "refcount table that lies outside");
        REFUSED(refcount_order, 7, "has refcounts of 2^7 bits");
        REFUSED(snapshots, UINT32_MAX, "snapshots");
        REFUSED(incompatible, 2, "is marked as corrupt");
        REFUSED(incompatible, 4, "keeps its data in another file");
        REFUSED(incompatible, 16, "has extended L2 entries");
        REFUSED(incompatible, 1ULL << 40, "needs features of qcow2 that onggi does not know: 0x10000000000");
        REFUSED(incompatible, 8, "is compressed in a way that onggi does not know");
        REFUSED(autoclear, 1, "has persistent bitmaps");
        REFUSED(header_length, 80, "has a header of 80 bytes");
        REFUSED(backing_offset, 4090, "names its backing file outside its header");
}

static void test_entries_that_lead_outside_the_file_are_errors_of_the_guest(void **state)
{
        static const uint64_t entries[] = { 1ULL << 55, 512, 4096 * 3 /* the L1 table */, 0 /* never, see below */ };
        (void)state;
        for (unsigned i = 0; entries[i]; i++) {
                struct crash_storage file;
                static uint32_t data[128];
                create(&file, 12);
                struct qcow2 *image = open_image(&file);
                assert_int_equal(qcow2_write(image, &(struct iovec){ data, 512 }, 1, 0), 0);
                assert_int_equal(qcow2_close(image), 0);
                const struct qcow2_raw_header *raw = (const void *)file.now;
                uint64_t l2 = word(&file, be64toh(raw->l1_offset)) & QCOW2_OFFSET_MASK;
                *(uint64_t *)(void *)(file.now + l2) = htobe64(entries[i] | QCOW2_COPIED);
                image = open_image(&file);
                /* Bits below a cluster's size are no offset of a cluster. */
                assert_int_equal(read_sector(image, 0, data), -EIO);
                assert_int_equal(qcow2_write(image, &(struct iovec){ data, 512 }, 1, 0), -EIO);
                assert_int_equal(qcow2_write(image, &(struct iovec){ data, 512 }, 1, 65536), 0);
                assert_int_equal(qcow2_close(image), 0);
                crash_free(&file);
        }
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_what_was_written_is_read_and_a_closed_image_has_no_leaks),
                cmocka_unit_test(test_a_crash_at_any_instant_loses_nothing_that_was_flushed),
                cmocka_unit_test(test_a_full_host_is_an_error_and_the_image_stays_whole),
                cmocka_unit_test(test_an_image_may_use_more_than_its_first_refcount_table_counts),
                cmocka_unit_test(test_discarded_clusters_are_used_again),
                cmocka_unit_test(test_headers_that_make_no_sense_are_refused_in_words),
                cmocka_unit_test(test_entries_that_lead_outside_the_file_are_errors_of_the_guest),
        };
        return cmocka_run_group_tests(tests, NULL, NULL);
}
