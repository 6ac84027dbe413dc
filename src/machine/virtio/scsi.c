/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "machine/virtio/scsi.h"

#include <errno.h>
#include <stddef.h>

/* Section 5.6.4. */
enum {
        QUEUE_CONTROL = 0,
        QUEUE_EVENT = 1,
        QUEUE_REQUESTS = 2,
        QUEUES = 3,
        QUEUE_SIZE = 128,

        CONFIG_LENGTH = 36,
        CONFIG_SENSE_SIZE = 20,
        CONFIG_CDB_SIZE = 24,
        SENSE_SIZE = 96,
        CDB_SIZE = 32,
        SIZE_MAX_OF_DRIVER = 255,
        SECTORS_MAX = 0xffff, /* of 512 bytes, that the driver may ask for at once */

        /* section 5.6.6.1: a request's head before the command, and its answer's before the sense data */
        HEAD_LENGTH = 19,
        ANSWER_LENGTH = 12,
        RESPONSE_OK = 0,
        RESPONSE_BAD_TARGET = 3,
        CONTROL_ANSWER_DONE = 0,
        CONTROL_TYPE_RESET = 0, /* task management; others are about asynchronous events */
};

/* SAM-5, table 41; SPC-4, tables 41 and 48. */
enum {
        STATUS_GOOD = 0,
        STATUS_CHECK_CONDITION = 2,

        SENSE_NONE = 0,
        SENSE_MEDIUM_ERROR = 3 << 16 | 0x1100,
        SENSE_UNKNOWN_COMMAND = 5 << 16 | 0x2000,
        SENSE_BEYOND_END = 5 << 16 | 0x2100,
        SENSE_UNKNOWN_FIELD = 5 << 16 | 0x2400,
        SENSE_LENGTH = 18,
};

/* One command on its way. */
struct command {
        struct virtio_scsi *scsi;
        struct virtqueue *queue;
        const struct virtqueue_chain *chain;
        const uint8_t *cdb;
        size_t data_at;    /* in the writable part: behind the answer */
        uint64_t room;     /* for data */
        uint64_t returned; /* bytes of data */
};

static void put_big(uint8_t *bytes, uint64_t value, unsigned size)
{
        for (unsigned i = 0; i < size; i++)
                bytes[i] = (uint8_t)(value >> (8 * (size - 1 - i)));
}

static uint32_t get_big(const uint8_t *bytes, unsigned size)
{
        uint32_t value = 0;
        for (unsigned i = 0; i < size; i++)
                value = value << 8 | bytes[i];
        return value;
}

/* Data for the driver: no more than the command allows and the driver has room for. */
static uint32_t give(struct command *command, const void *bytes, size_t length, uint32_t allowed)
{
        if (length > allowed)
                length = allowed;
        if (length > command->room)
                length = (size_t)command->room;
        command->returned = virtqueue_write(command->queue, command->chain, command->data_at, bytes, length);
        return SENSE_NONE;
}

/* ---- Commands: each returns what its sense data says ---- */

static uint32_t do_nothing(struct command *command)
{
        (void)command;
        return SENSE_NONE;
}

static uint32_t inquire(struct command *command)
{
        /* SPC-4, section 6.4.2: a removable CD drive, SPC-3, response format 2. */
        static const uint8_t answer[36] = "\x05\x80\x05\x02\x1f\0\0\0"
                                          "ONGGI   "
                                          "CD-ROM          "
                                          "1   ";
        /* Pages of vital data: the list of them alone. */
        static const uint8_t pages[6] = { 5, 0, 0, 1, 0 };
        if (!(command->cdb[1] & 1))
                return give(command, answer, sizeof(answer), get_big(command->cdb + 3, 2));
        return command->cdb[2] ? SENSE_UNKNOWN_FIELD : give(command, pages, 5, get_big(command->cdb + 3, 2));
}

static uint32_t report_units(struct command *command)
{
        static const uint8_t one[16] = { 0, 0, 0, 8 };
        return give(command, one, sizeof(one), get_big(command->cdb + 6, 4));
}

static uint32_t request_sense(struct command *command)
{
        static const uint8_t none[SENSE_LENGTH] = { 0x70, 0, 0, 0, 0, 0, 0, SENSE_LENGTH - 8 };
        return give(command, none, sizeof(none), command->cdb[4]);
}

static uint32_t mode_sense(struct command *command)
{
        /* No page says more than that there is nothing to set: SPC-4, section 7.5.5; the disc is read-only. */
        bool long_form = command->cdb[0] == 0x5a;
        static const uint8_t heads[2][8] = { { 3, 0, 0x80, 0 }, { 0, 6, 0, 0x80 } };
        return give(command, heads[long_form], long_form ? 8 : 4,
                    long_form ? get_big(command->cdb + 7, 2) : command->cdb[4]);
}

static uint32_t read_capacity(struct command *command)
{
        uint8_t answer[8];
        put_big(answer, command->scsi->backend.blocks - 1, 4);
        put_big(answer + 4, SCSI_BLOCK, 4);
        return give(command, answer, sizeof(answer), sizeof(answer));
}

/* MMC-6, section 6.25: one data track, and the lead-out behind it. */
static uint32_t read_contents(struct command *command)
{
        uint8_t answer[20] = { 0, 18, 1, 1, 0, 0x14, 1, 0, 0, 0, 0, 0, 0, 0x16, 0xaa };
        if (command->cdb[1] & 2) {
                uint32_t frames = command->scsi->backend.blocks + 150; /* minutes, seconds, frames of 1/75 s */
                answer[10] = 2;
                put_big(answer + 16, frames / 75 / 60 << 16 | frames / 75 % 60 << 8 | frames % 75, 4);
        } else {
                put_big(answer + 16, command->scsi->backend.blocks, 4);
        }
        return give(command, answer, sizeof(answer), get_big(command->cdb + 7, 2));
}

/* MMC-6, section 6.5: the current profile is a CD-ROM, and there are no features to tell of. */
static uint32_t get_configuration(struct command *command)
{
        static const uint8_t answer[8] = { 0, 0, 0, 4, 0, 0, 0, 8 };
        return give(command, answer, sizeof(answer), get_big(command->cdb + 7, 2));
}

static uint32_t read_blocks(struct command *command)
{
        uint8_t bytes[SCSI_BLOCK];
        uint32_t block = get_big(command->cdb + 2, 4), blocks = command->scsi->backend.blocks;
        uint32_t count = command->cdb[0] == 0xa8 ? get_big(command->cdb + 6, 4) : get_big(command->cdb + 7, 2);
        if (block > blocks || count > blocks - block)
                return SENSE_BEYOND_END;
        if (count > SECTORS_MAX / (SCSI_BLOCK / 512)) /* the machine's lock is held meanwhile */
                return SENSE_UNKNOWN_FIELD;
        /* Bounded by the room that the driver has for it. */
        for (; count && command->returned + SCSI_BLOCK <= command->room; count--, block++) {
                if (command->scsi->backend.read(command->scsi->backend.owner, block, bytes) < 0)
                        return SENSE_MEDIUM_ERROR;
                command->returned += virtqueue_write(command->queue, command->chain,
                                                     command->data_at + command->returned, bytes, sizeof(bytes));
        }
        return count ? SENSE_UNKNOWN_FIELD : SENSE_NONE;
}

static const struct {
        uint8_t code;
        uint32_t (*run)(struct command *command);
} commands[] = {
        { 0x00, do_nothing },        /* TEST UNIT READY */
        { 0x03, request_sense },     /* REQUEST SENSE */
        { 0x12, inquire },           /* INQUIRY */
        { 0x1a, mode_sense },        /* MODE SENSE (6) */
        { 0x1b, do_nothing },        /* START STOP UNIT */
        { 0x1e, do_nothing },        /* PREVENT ALLOW MEDIUM REMOVAL */
        { 0x25, read_capacity },     /* READ CAPACITY (10) */
        { 0x28, read_blocks },       /* READ (10) */
        { 0x43, read_contents },     /* READ TOC/PMA/ATIP */
        { 0x46, get_configuration }, /* GET CONFIGURATION */
        { 0x5a, mode_sense },        /* MODE SENSE (10) */
        { 0xa0, report_units },      /* REPORT LUNS */
        { 0xa8, read_blocks },       /* READ (12) */
};

static uint32_t run_command(struct command *command)
{
        for (size_t i = 0; i < sizeof(commands) / sizeof(commands[0]); i++)
                if (commands[i].code == command->cdb[0])
                        return commands[i].run(command);
        return SENSE_UNKNOWN_COMMAND;
}

/* ---- Requests ---- */

/* Single level addressing of target 0, unit 0: section 5.6.6.1; and the well-known unit that lists the others. */
static bool is_for_us(const uint8_t *unit)
{
        return unit[0] == 1 && !unit[1] && (unit[2] & 0x3f) == 0 && !unit[3];
}

static void answer_request(struct virtio_scsi *scsi, struct virtqueue *queue, const struct virtqueue_chain *chain)
{
        uint8_t head[HEAD_LENGTH + SIZE_MAX_OF_DRIVER] = { 0 }, answer[ANSWER_LENGTH + SIZE_MAX_OF_DRIVER] = { 0 };
        struct command command = { .scsi = scsi, .queue = queue, .chain = chain, .cdb = head + HEAD_LENGTH };
        size_t answer_length = ANSWER_LENGTH + scsi->sense_size;
        uint64_t writable = virtqueue_writable_length(chain);
        virtqueue_read(chain, 0, head, HEAD_LENGTH + scsi->cdb_size);
        command.data_at = answer_length;
        command.room = writable > answer_length ? writable - answer_length : 0;

        uint32_t sense = SENSE_NONE;
        if (is_for_us(head))
                sense = run_command(&command);
        else
                answer[11] = RESPONSE_BAD_TARGET;
        if (sense) {
                uint8_t *data = answer + ANSWER_LENGTH; /* SPC-4, section 4.5.3: fixed format */
                uint8_t fixed[SENSE_LENGTH] = { 0x70,
                                                0,
                                                (uint8_t)(sense >> 16),
                                                0,
                                                0,
                                                0,
                                                0,
                                                SENSE_LENGTH - 8,
                                                0,
                                                0,
                                                0,
                                                0,
                                                (uint8_t)(sense >> 8),
                                                (uint8_t)sense };
                size_t length = scsi->sense_size < SENSE_LENGTH ? scsi->sense_size : SENSE_LENGTH;
                __builtin_memcpy(data, fixed, length);
                answer[0] = (uint8_t)length; /* little-endian, and below 256 */
                answer[10] = STATUS_CHECK_CONDITION;
        }
        uint32_t residual = (uint32_t)(command.room - command.returned);
        for (unsigned i = 0; i < 4; i++)
                answer[4 + i] = (uint8_t)(residual >> (8 * i));
        virtqueue_write(queue, chain, 0, answer, answer_length);
        virtqueue_push(queue, chain, (uint32_t)(answer_length + command.returned));
}

/* Nothing is ever in flight: what is to be aborted or reset is done. */
static void answer_control(struct virtqueue *queue, const struct virtqueue_chain *chain)
{
        uint32_t type = 0;
        uint8_t answer[5] = { 0 };
        virtqueue_read(chain, 0, &type, sizeof(type));
        answer[4] = CONTROL_ANSWER_DONE;
        size_t length = type == CONTROL_TYPE_RESET ? 1 : sizeof(answer);
        virtqueue_push(queue, chain, (uint32_t)virtqueue_write(queue, chain, 0, answer, length));
}

static struct virtio_scsi *scsi_of(struct virtio_device *device)
{
        return (struct virtio_scsi *)(void *)((char *)device - offsetof(struct virtio_scsi, device));
}

static void scsi_notify(struct virtio_device *device, unsigned index)
{
        struct virtqueue *queue = &device->queues[index];
        struct virtqueue_chain chain;
        int popped;
        if (index == QUEUE_EVENT) /* the disc never changes: its buffers stay where they are */
                return;
        while ((popped = virtqueue_pop(queue, &chain)) > 0) {
                if (index == QUEUE_CONTROL)
                        answer_control(queue, &chain);
                else
                        answer_request(scsi_of(device), queue, &chain);
        }
        if (popped < 0)
                virtio_break(device, "a request's descriptors make no sense");
        else
                virtio_interrupt_queue(device, index);
}

static uint64_t scsi_features(struct virtio_device *device)
{
        (void)device;
        return 0;
}

static void scsi_reset(struct virtio_device *device)
{
        scsi_of(device)->sense_size = SENSE_SIZE;
        scsi_of(device)->cdb_size = CDB_SIZE;
}

static void scsi_config_read(struct virtio_device *device, unsigned offset, void *data, unsigned length)
{
        const struct virtio_scsi *scsi = scsi_of(device);
        /* queues, segments of a request, sectors of one, commands a unit, event size, sense, cdb */
        const uint32_t words[7] = { 1,  VIRTQUEUE_PARTS_MAX - 2, SECTORS_MAX,   QUEUE_SIZE,
                                    16, scsi->sense_size,        scsi->cdb_size };
        uint8_t config[CONFIG_LENGTH] = { 0 }; /* channel 0, target 0, unit 0 */
        __builtin_memcpy(config, words, sizeof(words));
        __builtin_memcpy(data, config + offset, length);
}

static void scsi_config_write(struct virtio_device *device, unsigned offset, const void *data, unsigned length)
{
        struct virtio_scsi *scsi = scsi_of(device);
        uint32_t value;
        if (length != sizeof(value))
                return;
        __builtin_memcpy(&value, data, sizeof(value));
        if (value > SIZE_MAX_OF_DRIVER)
                return;
        if (offset == CONFIG_SENSE_SIZE)
                scsi->sense_size = value;
        if (offset == CONFIG_CDB_SIZE && value >= 16)
                scsi->cdb_size = value;
}

#define SCSI_STATE_VERSION 1

static void scsi_save(struct virtio_device *device, struct state_writer *writer)
{
        state_begin(writer, "virtio-scsi", SCSI_STATE_VERSION);
        state_u32(writer, scsi_of(device)->sense_size);
        state_u32(writer, scsi_of(device)->cdb_size);
        state_end(writer);
}

static int scsi_restore(struct virtio_device *device, struct state_reader *reader)
{
        int r = state_open(reader, "virtio-scsi", SCSI_STATE_VERSION);
        if (r < 0)
                return r;
        uint32_t sense_size = state_take_u32(reader), cdb_size = state_take_u32(reader);
        r = state_close(reader);
        if (r < 0)
                return r;
        if (sense_size > SIZE_MAX_OF_DRIVER || cdb_size > SIZE_MAX_OF_DRIVER || cdb_size < 16)
                return -EINVAL;
        scsi_of(device)->sense_size = sense_size;
        scsi_of(device)->cdb_size = cdb_size;
        return 0;
}

static const struct virtio_operations scsi_operations = {
        .name = "scsi",
        .id = 8,
        .pci_class = 0x010000, /* storage, SCSI */
        .config_length = CONFIG_LENGTH,
        .features = scsi_features,
        .reset = scsi_reset,
        .notify = scsi_notify,
        .config_read = scsi_config_read,
        .config_write = scsi_config_write,
        .save = scsi_save,
        .restore = scsi_restore,
};

void virtio_scsi_init(struct virtio_scsi *scsi, const struct scsi_backend *backend)
{
        *scsi = (struct virtio_scsi){ .device = { .operations = &scsi_operations, .queue_count = QUEUES },
                                      .backend = *backend,
                                      .sense_size = SENSE_SIZE,
                                      .cdb_size = CDB_SIZE };
        for (unsigned i = 0; i < QUEUES; i++)
                scsi->device.queues[i].size_max = QUEUE_SIZE;
}
