/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * onggi-finish ROOT STATE ID: what remains to be done when an instance has ended and no command waits for it. The
 * monitor executes it in its own place; it does what the next command would do: instance_finish().
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/error.h"
#include "instance/folder.h"
#include "instance/instance.h"

static int finish(const char *root, const char *state, const char *id, struct error *err)
{
        struct host *host;
        int r = host_open(root, state, &host, err);
        if (r < 0)
                return r;
        struct instance *instance = NULL;
        r = instance_open(host, id, &instance, err);
        int lock = r < 0 ? r : instance_lock(instance, err);
        if (lock >= 0) {
                /* run.json still names this very process as the living monitor: there is nobody to look for. */
                r = instance_finish(instance, err);
                close(lock);
        } else {
                r = lock;
        }
        instance_free(instance);
        host_close(host);
        return r == -ENOENT ? 0 : r;
}

int main(int argc, char **argv)
{
        struct error err = { 0 };
        if (argc != 4)
                dprintf(STDERR_FILENO, "usage: onggi-finish ROOT STATE ID\n");
        if (argc != 4)
                return 125;
        return finish(argv[1], argv[2], argv[3], &err) < 0 ? 1 : 0;
}
