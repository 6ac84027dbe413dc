/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/json.h"
#include "base/text.h"
#include "instance/folder.h"
#include "instance/instance.h"

/* The column of a heading line, counted in words; -1 without it. */
static int column_of(const char *titles, const char *wanted)
{
        for (int column = 0; *titles; column++) {
                titles += strspn(titles, " ");
                size_t length = strcspn(titles, " ");
                if (length == strlen(wanted) && !strncmp(titles, wanted, length))
                        return column;
                titles += length;
        }
        return -1;
}

static long long word_number(const char *line, int column)
{
        for (; column > 0; column--) {
                line += strspn(line, " ");
                line += strcspn(line, " ");
        }
        return atoll(line);
}

static bool is_of(const json_t *numbers, long long pid)
{
        size_t i;
        json_t *number;
        json_array_foreach((json_t *)numbers, i, number)
                if (json_integer_value(number) == pid)
                        return true;
        return false;
}

int instance_top(struct instance *instance, char *const *arguments, char ***lines, struct error *err)
{
        if (!instance->run)
                return error_set(err, -ESRCH, "instance %s does not run", instance->name);
        json_t *read = NULL;
        int r = runtime_read(instance->host, (char *const[]){ "ps", "-f", "json", instance->id, NULL }, &read, err);
        _cleanup_json_ json_t *numbers = read;
        if (r < 0)
                return r;

        _cleanup_list_ char **argv = NULL;
        if (list_append(&argv, "ps") < 0 || (!list_length(arguments) && list_append(&argv, "-ef") < 0))
                return error_memory(err);
        for (; arguments && *arguments; arguments++)
                if (list_append(&argv, *arguments) < 0)
                        return error_memory(err);
        char *output = NULL;
        r = program_read(argv, &output, err);
        _cleanup_free_ char *text = output;
        if (r < 0)
                return r;
        char *rest = text, *line = strsep(&rest, "\n");
        int column = line ? column_of(line, "PID") : -1;
        if (column < 0)
                return error_set(err, -EINVAL,
                                 "ps shows no column PID with these options; it is needed to tell processes apart");
        r = list_append(lines, line);
        while (!r && (line = strsep(&rest, "\n")))
                if (is_of(numbers, word_number(line, column)))
                        r = list_append(lines, line);
        return r < 0 ? error_memory(err) : 0;
}
