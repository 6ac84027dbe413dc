/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Bytes of a hostile client of the control socket, in pieces as they may come: every line is a request or gets one line back. */
#include "hosted/request_line.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void serve(const char *line, size_t length)
{
        struct error err = { 0 };
        json_t *value = NULL;
        const char *command = NULL;
        if (!request_parse(line, length, &value, &command, &err)) {
                if (!command || strlen(command) > length)
                        abort();
                error_set(&err, -1, "there is no command \"%s\"", command);
                json_decref(value);
        }
        char *refusal = request_refusal(&err);
        if (!refusal || strchr(refusal, '\n') != refusal + strlen(refusal) - 1)
                abort();
        free(refusal);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
        struct request_line line = { .length = 0 };
        while (size) {
                size_t piece = 1 + data[0] % 64, room = request_line_room(&line);
                if (!room)
                        break;
                piece = piece > size ? size : piece;
                piece = piece > room ? room : piece;
                memcpy(line.data + line.length, data, piece);
                line.length += piece;
                data += piece;
                size -= piece;
                for (int length; (length = request_line_first(&line)) >= 0;) {
                        serve(line.data, (size_t)length);
                        request_line_drop(&line, (size_t)length);
                }
        }
        return 0;
}
