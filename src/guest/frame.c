/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "guest/frame.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/file.h"

static const struct {
        unsigned type;
        long limit;
} limits[] = {
        { AGENT_CONTROL, 0 },
        { AGENT_START, 0 },
        { AGENT_SIGNAL, sizeof(struct agent_signal) },
        { AGENT_WINDOW, sizeof(struct agent_window) },
        { AGENT_SHUT_DOWN, 0 },
        { AGENT_EXEC, AGENT_DOCUMENT_MAX },
        { AGENT_INPUT, AGENT_DATA_MAX },
        { AGENT_STATISTICS, 0 },
        { AGENT_COPY_IN, AGENT_PATH_MAX },
        { AGENT_COPY_OUT, AGENT_PATH_MAX },
        { AGENT_KILL_ALL, sizeof(struct agent_signal) },
        { AGENT_TAR, AGENT_DATA_MAX },
        { AGENT_STATE, sizeof(struct agent_state) + AGENT_TEXT_MAX },
        { AGENT_DONE, 0 },
        { AGENT_ERROR, sizeof(struct agent_error) + AGENT_TEXT_MAX },
        { AGENT_STARTED, sizeof(struct agent_started) },
        { AGENT_OUTPUT, AGENT_DATA_MAX },
        { AGENT_ERRORS, AGENT_DATA_MAX },
        { AGENT_EXIT, sizeof(struct agent_exit) },
        { AGENT_DOCUMENT, AGENT_DOCUMENT_MAX },
};

long frame_limit(unsigned type)
{
        for (size_t i = 0; i < ARRAY_SIZE(limits); i++)
                if (limits[i].type == type)
                        return limits[i].limit;
        return -1;
}

int frame_send(int fd, enum agent_type type, const void *first, size_t first_length, const void *second,
               size_t second_length)
{
        struct agent_frame head = { .length = (uint32_t)(first_length + second_length), .type = (uint16_t)type };
        int r = write_all(fd, &head, sizeof(head));
        if (!r && first_length)
                r = write_all(fd, first, first_length);
        if (!r && second_length)
                r = write_all(fd, second, second_length);
        return r;
}

int frame_send_error(int fd, const struct error *err)
{
        struct agent_error code = { err->code };
        return frame_send(fd, AGENT_ERROR, &code, sizeof(code), err->text, strnlen(err->text, AGENT_TEXT_MAX));
}

/* Returns 1, 0 at the end before the first byte, or a negative errno. */
static int receive_all(int fd, char *bytes, size_t length)
{
        for (size_t done = 0; done < length;) {
                ssize_t n = read(fd, bytes + done, length - done);
                if (n < 0 && errno == EINTR)
                        continue;
                if (n <= 0)
                        return n < 0 ? -errno : done ? -EPROTO : 0;
                done += (size_t)n;
        }
        return 1;
}

int frame_receive(int fd, char **result, size_t *length)
{
        struct agent_frame head;
        int r = receive_all(fd, (char *)&head, sizeof(head));
        if (r <= 0)
                return r;
        long limit = frame_limit(head.type);
        if (limit < 0 || head.length > limit || head.zero)
                return -EPROTO;
        _cleanup_free_ char *data = malloc(head.length + 1);
        if (!data)
                return -ENOMEM;
        r = head.length ? receive_all(fd, data, head.length) : 1;
        if (r <= 0)
                return r < 0 ? r : -EPROTO;
        data[head.length] = 0;
        *result = TAKE_PTR(data);
        *length = head.length;
        return head.type;
}
