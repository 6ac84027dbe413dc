/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "instance/exit_code.h"

#include <stdbool.h>
#include <stddef.h>
#include <string.h>

static bool contains(const char *text, const char *const *parts)
{
        for (; *parts; parts++)
                if (strcasestr(text, *parts))
                        return true;
        return false;
}

int exit_code_of_failure(const char *text)
{
        static const char *const program[] = { "exec", "execute", "command", "program", NULL };
        static const char *const missing[] = { "not found", "no such file", "not in the", NULL };
        static const char *const unfit[] = { "permission denied", "is a directory", "exec format", "not executable",
                                             NULL };
        static const char *const short_of_memory[] = { "(out of memory)", NULL };
        if (contains(text, short_of_memory))
                return EXIT_CODE_OUT_OF_MEMORY;
        if (!contains(text, program))
                return 125;
        return contains(text, missing) ? 127 : contains(text, unfit) ? 126 : 125;
}
