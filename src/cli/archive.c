/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * import, load, save: handed to onggi-image, which reads archives. It has these commands' options, and its errors and
 * exit status are the command's.
 */
#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/text.h"
#include "cli/verbs.h"
#include "instance/instance.h"

/* Installed beside the monitor; in a build folder in its own room. */
static char *find_program(const struct host *host)
{
        char *path = text_format("%s/onggi-image", host->libexec);
        if (!path || !access(path, X_OK))
                return path;
        free(path);
        return text_format("%s/../image/onggi-image", host->libexec);
}

static int hand_over(struct call *call, void *target, struct error *err)
{
        (void)target;
        struct host *host;
        int r = call_host(call, &host, err);
        if (r < 0)
                return r;
        _cleanup_free_ char *program = find_program(host);
        _cleanup_list_ char **argv = NULL;
        if (!program || list_append(&argv, program) < 0 || list_append(&argv, "--root") < 0 ||
            list_append(&argv, host->root) < 0 || list_append(&argv, call->name) < 0)
                return error_memory(err);
        for (char **word = call->operands; *word; word++)
                if (list_append(&argv, *word) < 0)
                        return error_memory(err);
        execv(program, argv);
        return error_errno(err, "cannot execute %s", program);
}

const struct command command_import = {
        .summary = "Make an image of a root file system: a tar archive or a folder",
        .usage = "[OPTIONS] FILE|FOLDER|- [NAME[:TAG]]",
        .max = OPERANDS_MAX,
        .raw = true,
        .run = hand_over,
};

const struct command command_load = {
        .summary = "Load images from an archive of docker or OCI form",
        .usage = "[OPTIONS]",
        .max = OPERANDS_MAX,
        .raw = true,
        .run = hand_over,
};

const struct command command_save = {
        .summary = "Save images in an archive",
        .usage = "[OPTIONS] IMAGE [IMAGE...]",
        .max = OPERANDS_MAX,
        .operands = OPERAND_IMAGE,
        .raw = true,
        .run = hand_over,
};
