/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/file.h"
#include "base/json.h"
#include "base/process.h"
#include "base/text.h"
#include "instance/folder.h"

#define OUTPUT_MAX (4 * 1024 * 1024)

/* The last line that a program wrote on standard error is the reason. */
static const char *last_line(char *output)
{
        size_t length = strlen(output);
        while (length && (output[length - 1] == '\n' || output[length - 1] == ' '))
                output[--length] = 0;
        char *line = strrchr(output, '\n');
        line = line ? line + 1 : output;
        static const char *const names[] = { "onggi-runtime: ", "onggi-runtime-vm: " };
        for (size_t i = 0; i < ARRAY_SIZE(names); i++)
                if (text_starts(line, names[i]))
                        return line + strlen(names[i]);
        return line;
}

/* Others say first what is wrong and then how they are used. */
static const char *first_line(char *output)
{
        char *line = output + strspn(output, "\n ");
        line[strcspn(line, "\n")] = 0;
        return line;
}

/* Standard error is a file without a name, not a second pipe: nobody has to read both at once. */
static int run(char *const argv[], const char *(*reason_of)(char *output), char **output, struct error *err)
{
        int ends[2];
        _cleanup_close_ int null = open("/dev/null", O_RDWR | O_CLOEXEC), errors = memfd_create("errors", MFD_CLOEXEC);
        if (null < 0 || errors < 0 || pipe2(ends, O_CLOEXEC) < 0)
                return error_errno(err, "cannot start %s", argv[0]);
        _cleanup_close_ int in = ends[0], out = ends[1];
        pid_t pid;
        int r = process_spawn(argv, (int[]){ null, out, errors }, &pid, err);
        if (r < 0)
                return r;
        close(TAKE_FD(out));
        int code = 1;
        r = file_read_fd(in, argv[0], OUTPUT_MAX, output, NULL, err);
        int waited = process_wait(pid, &code);
        if (r < 0 || waited < 0)
                return r < 0 ? r : error_code(err, waited, "cannot wait for %s", argv[0]);
        if (!code)
                return 0;
        free(TAKE_PTR(*output));
        _cleanup_free_ char *reason = NULL;
        if (lseek(errors, 0, SEEK_SET) < 0 || file_read_fd(errors, argv[0], 65536, &reason, NULL, NULL) < 0 || !*reason)
                return error_set(err, -EIO, "%s failed without a word", argv[0]);
        return error_set(err, -EIO, "%s", reason_of(reason));
}

int program_read(char *const argv[], char **output, struct error *err)
{
        return run(argv, first_line, output, err);
}

static int whole(const struct host *host, const struct vessel *vessel, char *const *arguments, char ***argv,
                 struct error *err)
{
        char *path;
        int r = vessel_runtime(vessel, host, &path, err);
        if (r < 0)
                return r;
        r = list_append(argv, path);
        free(path);
        if (!r)
                r = list_append(argv, "--root");
        if (!r)
                r = list_printf(argv, "%s/%s", host->state, vessel->containers);
        /* The runtime sees that it is root; in whose user namespace is for us to tell. */
        if (!r)
                r = list_printf(argv, "--rootless=%s", host->rootless ? "true" : "false");
        for (; !r && *arguments; arguments++)
                r = list_append(argv, *arguments);
        return r < 0 ? error_memory(err) : 0;
}

static int call(const struct host *host, const struct vessel *vessel, char *const *arguments, char **output,
                struct error *err)
{
        _cleanup_list_ char **argv = NULL;
        int r = whole(host, vessel, arguments, &argv, err);
        return r < 0 ? r : run(argv, last_line, output, err);
}

int runtime_text(const struct instance *instance, char *const *arguments, char **text, struct error *err)
{
        return call(instance->host, vessel_of(instance), arguments, text, err);
}

int runtime_read(const struct instance *instance, char *const *arguments, json_t **value, struct error *err)
{
        char *output = NULL;
        int r = runtime_text(instance, arguments, &output, err);
        _cleanup_free_ char *text = output;
        return r < 0 ? r : json_parse(text, strlen(text), "what the runtime wrote", value, err);
}

int vessel_runtime_call(const struct host *host, const struct vessel *vessel, char *const *arguments, struct error *err)
{
        char *output = NULL;
        int r = call(host, vessel, arguments, &output, err);
        free(output);
        return r;
}

int runtime_call(const struct instance *instance, char *const *arguments, struct error *err)
{
        return vessel_runtime_call(instance->host, vessel_of(instance), arguments, err);
}
