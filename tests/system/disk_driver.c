/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Disk images from a test's commands, one a line on standard input; each is answered by a line, "ok" or why not.
 *
 *     disk_driver create FILE SIZE [CLUSTER-BITS [BACKING-FILE FORMAT]]
 *     disk_driver run FILE probed|raw|qcow2 [ro] [BACKING-FOLDER]
 *
 *     write OFFSET LENGTH BYTE    read OFFSET LENGTH (as hexadecimal)    sum    zero OFFSET LENGTH
 *     unmap OFFSET LENGTH (zeroes that need no room)    discard OFFSET LENGTH    flush
 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "hosted/disk_image.h"
#include "hosted/qcow2.h"

#define PIECE (1U << 20)

static const struct {
        const char *name;
        enum block_operation operation;
        bool may_unmap;
} operations[] = {
        { "write", BLOCK_WRITE, false },       { "read", BLOCK_READ, false },
        { "flush", BLOCK_FLUSH, false },       { "zero", BLOCK_WRITE_ZEROES, false },
        { "unmap", BLOCK_WRITE_ZEROES, true }, { "discard", BLOCK_DISCARD, false },
};

static int request(struct disk_image *image, enum block_operation operation, uint64_t offset, uint64_t length,
                   bool may_unmap, uint8_t *bytes)
{
        /* In parts of uneven sizes, as a guest may give them. */
        struct virtqueue_part parts[3] = { { .host = bytes, .length = (uint32_t)length / 3 } };
        parts[1] = (struct virtqueue_part){ .host = bytes + parts[0].length, .length = (uint32_t)length / 2 };
        parts[2].host = parts[1].host + parts[1].length;
        parts[2].length = (uint32_t)length - parts[0].length - parts[1].length;
        bool transfer = operation == BLOCK_READ || operation == BLOCK_WRITE;
        return disk_image_run(image, &(struct block_request){ .operation = operation,
                                                              .offset = offset,
                                                              .length = length,
                                                              .may_unmap = may_unmap,
                                                              .parts = parts,
                                                              .part_count = transfer ? 3 : 0 });
}

/* FNV-1a of all that a guest would read. */
static int sum(struct disk_image *image, uint8_t *bytes)
{
        uint64_t hash = 0xcbf29ce484222325ULL;
        for (uint64_t at = 0; at < image->size; at += PIECE) {
                uint64_t length = image->size - at < PIECE ? image->size - at : PIECE;
                int r = request(image, BLOCK_READ, at, length, false, bytes);
                if (r < 0)
                        return r;
                for (uint64_t i = 0; i < length; i++)
                        hash = (hash ^ bytes[i]) * 0x100000001b3ULL;
        }
        printf("%016" PRIx64 "\n", hash);
        return 0;
}

/* More than a byte is four of them, the highest first. */
static void fill(uint8_t *bytes, uint64_t length, unsigned value)
{
        for (uint64_t i = 0; i < length; i++)
                bytes[i] = (uint8_t)(value > UINT8_MAX ? value >> (24 - i % 4 * 8) : value);
}

static int run_line(struct disk_image *image, const char *line, uint8_t *bytes)
{
        char name[16];
        uint64_t offset = 0, length = 0;
        unsigned byte = 0;
        if (sscanf(line, "%15s %" SCNu64 " %" SCNu64 " %u", name, &offset, &length, &byte) < 1 || length > PIECE)
                return -EINVAL;
        if (!strcmp(name, "sum"))
                return sum(image, bytes);
        for (size_t i = 0; i < sizeof(operations) / sizeof(operations[0]); i++) {
                if (strcmp(operations[i].name, name))
                        continue;
                fill(bytes, length, byte);
                int r = request(image, operations[i].operation, offset, length, operations[i].may_unmap, bytes);
                for (uint64_t j = 0; !r && operations[i].operation == BLOCK_READ && j < length; j++)
                        printf("%02x%s", bytes[j], j + 1 == length ? "\n" : "");
                return r;
        }
        return -EINVAL;
}

static int run(int argc, char **argv, struct error *err)
{
        struct disk_image_settings settings = { .path = argv[2] };
        if (strcmp(argv[3], "probed") && disk_format_parse(argv[3], &settings.format) < 0)
                return error_set(err, -EINVAL, "no format: %s", argv[3]);
        settings.read_only = argc > 4 && !strcmp(argv[4], "ro");
        settings.backing = argc > 4 + settings.read_only ? argv[4 + settings.read_only] : NULL;
        struct disk_image *image;
        int r = disk_image_open(&settings, &image, err);
        if (r < 0)
                return r;
        uint8_t *bytes = malloc(PIECE);
        char line[128];
        while (bytes && fgets(line, sizeof(line), stdin)) {
                r = run_line(image, line, bytes);
                puts(r ? strerror(-r) : "ok");
                fflush(stdout);
        }
        free(bytes);
        r = disk_image_close(image);
        return r < 0 ? error_code(err, r, "cannot close the image") : 0;
}

static int create(int argc, char **argv, struct error *err)
{
        struct disk_storage storage;
        close(open(argv[2], O_CREAT | O_EXCL | O_WRONLY, 0600));
        int r = disk_storage_open(&storage, AT_FDCWD, argv[2], false, false, err);
        if (r < 0)
                return r;
        const struct qcow2_creation creation = {
                .size = strtoull(argv[3], NULL, 10),
                .cluster_bits = argc > 4 ? (unsigned)strtoul(argv[4], NULL, 10) : 0,
                .backing_file = argc > 6 ? argv[5] : NULL,
                .backing_format = argc > 6 ? argv[6] : NULL,
        };
        r = qcow2_create(&storage, &creation, err);
        disk_storage_close(&storage);
        return r;
}

int main(int argc, char **argv)
{
        struct error err = { 0 };
        if (argc < 4)
                return EXIT_FAILURE;
        int r = !strcmp(argv[1], "create") ? create(argc, argv, &err) : run(argc, argv, &err);
        if (r < 0)
                fprintf(stderr, "%s\n", err.text);
        return r < 0 ? EXIT_FAILURE : EXIT_SUCCESS;
}
