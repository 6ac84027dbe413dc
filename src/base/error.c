/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "base/error.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

static int set(struct error *err, int code, const char *meaning, const char *format, va_list args)
{
        if (!err)
                return code;

        char text[sizeof(err->text)];
        int length = vsnprintf(text, sizeof(text), format, args);
        if (length < 0)
                length = 0;
        if (meaning && (size_t)length < sizeof(text))
                snprintf(text + length, sizeof(text) - (size_t)length, ": %s", meaning);

        /* A name from an image may hold a line feed; an error is one line. */
        for (char *c = text; *c; c++)
                if (*c == '\n' || *c == '\r')
                        *c = ' ';
        err->code = code;
        memcpy(err->text, text, sizeof(text));
        return code;
}

int error_set(struct error *err, int code, const char *format, ...)
{
        va_list args;
        va_start(args, format);
        set(err, code, NULL, format, args);
        va_end(args);
        return code;
}

int error_errno(struct error *err, const char *format, ...)
{
        int code = errno ? -errno : -EIO;
        va_list args;
        va_start(args, format);
        set(err, code, strerror(-code), format, args);
        va_end(args);
        return code;
}

int error_code(struct error *err, int code, const char *format, ...)
{
        va_list args;
        va_start(args, format);
        set(err, code, strerror(-code), format, args);
        va_end(args);
        return code;
}

int error_prefix(struct error *err, const char *format, ...)
{
        if (!err)
                return -EIO;

        char old[sizeof(err->text)];
        memcpy(old, err->text, sizeof(old));
        va_list args;
        va_start(args, format);
        set(err, err->code, old[0] ? old : NULL, format, args);
        va_end(args);
        return err->code;
}

int error_memory(struct error *err)
{
        return error_set(err, -ENOMEM, "out of memory");
}
