/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * import, load, save: handed to onggi-image, which reads archives. It has these commands' options, and its errors and
 * exit status are the command's.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/process.h"
#include "base/text.h"
#include "cli/rooms.h"
#include "cli/verbs.h"
#include "instance/instance.h"

/* Installed beside the monitor; in a build folder in its own room. The path of the file beside onggi-image. */
static char *find_beside(const struct host *host, const char *name)
{
        char *path = text_format("%s/%s", host->libexec, name);
        if (!path || !access(path, F_OK))
                return path;
        free(path);
        return text_format("%s/../image/%s", host->libexec, name);
}

static int hand_over(struct call *call, void *target, struct error *err)
{
        (void)target;
        struct host *host;
        int r = call_host(call, &host, err);
        if (r < 0)
                return r;
        const char *space = strrchr(call->name, ' '); /* "image load" is load */
        _cleanup_free_ char *program = find_beside(host, "onggi-image");
        _cleanup_list_ char **argv = NULL;
        /* Under our name: that is what the user has typed. */
        if (!program || list_append(&argv, "onggi") < 0 || list_append(&argv, "--root") < 0 ||
            list_append(&argv, host->root) < 0 || list_append(&argv, space ? space + 1 : call->name) < 0)
                return error_memory(err);
        for (char **word = call->operands; *word; word++)
                if (list_append(&argv, *word) < 0)
                        return error_memory(err);
        execv(program, argv);
        return error_errno(err, "cannot execute %s", program);
}

int image_bring(struct call *call, const char *reference, struct error *err)
{
        const char *name = store_embedded_archive(reference);
        _cleanup_store_ struct store *store = NULL;
        _cleanup_image_ struct image *image = NULL;
        if (!name)
                return 0;
        int r = call_store(call, &store, err);
        if (!r)
                r = store_find(store, reference, &image, NULL) == -ENOENT ? 1 : 0;
        if (r <= 0)
                return r;

        _cleanup_free_ char *program = find_beside(call->host, "onggi-image");
        _cleanup_free_ char *archive = find_beside(call->host, name);
        if (!program || !archive)
                return error_memory(err);
        char *const argv[] = { program, "--root", call->host->root, "load", "-q", "-i", archive, NULL };
        pid_t child;
        int status;
        r = process_spawn(argv, (const int[]){ -1, -1, -1 }, &child, err);
        if (!r)
                r = process_wait(child, &status);
        if (!r && status)
                r = error_set(err, -EIO, "cannot load %s, the image that comes with onggi, from %s", reference,
                              archive);
        return r < 0 ? r : 1;
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
