/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The container: the host's kernel keeps it apart, and its processes are processes of the host. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/json.h"
#include "base/process.h"
#include "base/text.h"
#include "instance/folder.h"
#include "instance/start.h"
#include "instance/vessel_private.h"

static int check(const struct instance_settings *settings, struct error *err)
{
        if (settings->kernel)
                return error_set(err, -EINVAL,
                                 "--kernel: a container runs on the host's kernel; give --isolation vm too");
        if (settings->engine)
                return error_set(
                        err, -EINVAL,
                        "--engine: a container's program runs on the processor itself; give --isolation vm too");
        return 0;
}

static int ready(const struct host *host, const struct instance_settings *settings, const char **engine,
                 struct error *err)
{
        (void)host;
        (void)settings;
        (void)err;
        *engine = NULL;
        return 0;
}

static int describe(const struct start *start, json_t *spec, struct error *err)
{
        (void)start;
        (void)spec;
        (void)err;
        return 0;
}

/* Of its first process, which still lives after the folder is open: so the number was not another's meanwhile. */
static int open_root(const struct instance *instance, struct error *err)
{
        pid_t pid = (pid_t)json_integer_value(json_object_get(instance->run, "pid"));
        uint64_t start = (uint64_t)json_integer_value(json_object_get(instance->run, "pid_start"));
        char path[48];
        snprintf(path, sizeof(path), "/proc/%d/root", (int)pid);
        _cleanup_close_ int root = open(path, O_PATH | O_DIRECTORY | O_CLOEXEC);
        _cleanup_close_ int process = root < 0 ? -errno : start ? process_open(pid, start) : -ESRCH;
        if (process < 0)
                return error_code(err, process, "cannot open the root folder of instance %s", instance->name);
        return TAKE_FD(root);
}

/* ---- Its processes, among all of the host's ---- */

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

static int top(struct instance *instance, char *const *arguments, char ***lines, struct error *err)
{
        json_t *read = NULL;
        int r = runtime_read(instance, (char *const[]){ "ps", "-f", "json", instance->id, NULL }, &read, err);
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

const struct vessel vessel_container = {
        .name = "container",
        .runtime = "onggi-runtime",
        .containers = "runtime",
        .written = "upper",
        .check = check,
        .ready = ready,
        .root = start_overlay_root,
        .describe = describe,
        .open_root = open_root,
        .top = top,
};
